"""The command that aligns texts with recordings."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import RunPath, open_run
from speech_mtl.cli.recordings import FORMAT, Out, Output
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
    form: Annotated[str, FORMAT] = "ctm",
    out: Out = None,
) -> None:
    """Find when each word of a known text is spoken, and print it.

    Recordings may last hours; those longer than the run's data.max_duration_s are cut at their pauses, and written as
    one segment each. Confidence is that of the path. Files whose text does not fit, or which cannot be aligned, are
    named on standard error; for the latter the exit code is 2.

    Example: speech-mtl align runs/human --language de recording.wav recording.txt

    Example: speech-mtl align runs/human --language de FOLDER --format TextGrid --out grids
    """
    opened = open_run(run)
    from speech_mtl.run.align import POOR_FIT, align_files, spoken
    from speech_mtl.screen import Screen

    screen, found = Screen(), spoken(files)
    output = Output([pair.audio for pair in found], out, form, screen)
    is_shown = out is None and sys.stdout.isatty()  # lines show it themselves
    for path, aligned in align_files(opened, found if is_shown else screen.progress(found, "Aligning"), language):
        if isinstance(aligned, InputError):
            output.refuse(f"{path}: {aligned.problem}", aligned)
            continue
        if aligned.misfit > POOR_FIT:
            screen.warn(
                f"{path}: its text seems to be another one: {aligned.misfit:.1f} nats a letter less probable than what "
                f"is recognised, where {POOR_FIT:g} are usual at most"
            )
        else:
            for start_s, end_s in aligned.doubtful:
                screen.warn(
                    f"{path}: from {timedelta(seconds=round(start_s))} to {timedelta(seconds=round(end_s))} "
                    "the text does not seem to be what is spoken"
                )
        output.write(path, aligned.hypotheses, [{}] * len(aligned.hypotheses), aligned.duration_s)
    output.end("aligned texts", "aligned", "audio files with speech, and what is spoken in them")
