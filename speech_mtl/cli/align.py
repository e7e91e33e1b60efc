"""The command `align`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import RunPath, open_run
from speech_mtl.decoding.writers import WRITERS, find_writer
from speech_mtl.errors import InputError


def align(
    run: RunPath,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="AUDIO [TEXT]...",
            help="Audio files, each followed by a .txt file with what is spoken, or with one of the same name beside "
            "it; folders of these; or a manifest (.jsonl).",
        ),
    ],
    language: Annotated[str, typer.Option("--language", "-l", help="Whose output layer to use, such as zh-CN.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="|".join(WRITERS), help="As for transcribe; confidence is that of the path."),
    ] = "ctm",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a file for each recording there; else to standard output."),
    ] = None,
) -> None:
    """Find when each word of a known text is spoken, and print it.

    Files whose text does not fit, or which cannot be aligned, are named on standard error; for the latter the exit
    code is 2.

    Example: speech-mtl align runs/human --language de recording.wav recording.txt

    Example: speech-mtl align runs/human --language de FOLDER --format TextGrid --out grids
    """
    opened = open_run(run)
    from speech_mtl.files import write_text
    from speech_mtl.run.align import POOR_FIT, align_files, spoken
    from speech_mtl.run.transcribe import transcript_paths
    from speech_mtl.screen import Screen

    screen, found, refused = Screen(), spoken(files), 0
    write = find_writer(form, num_recordings_a_file=1 if out else len(found))
    paths = transcript_paths([pair.audio for pair in found], out, form) if out else {}
    is_shown = out is None and sys.stdout.isatty()  # lines show it themselves
    for path, told in align_files(opened, found if is_shown else screen.progress(found, "Aligning"), language):
        if isinstance(told, InputError):
            refused += 1
            screen.warn(f"{path}: {told.problem}: {told.received}")
            continue
        if told.misfit > POOR_FIT:
            screen.warn(
                f"{path}: its text seems to be another one: {told.misfit:.1f} nats a letter less probable than what "
                f"is recognised, where {POOR_FIT:g} are usual at most"
            )
        text = write([told.hypothesis], [{}])
        if out:
            write_text(paths[path], text)
        else:
            print(text, end="", flush=True)
    if out and refused < len(found):
        print(f"The aligned texts are in {out}")
    if refused:
        raise InputError(
            f"{refused} of {len(found)} files could not be aligned",
            expected="audio files with speech, and what is spoken in them",
            received="those named above",
            action="mend these, or leave them out; the others are done",
        )
