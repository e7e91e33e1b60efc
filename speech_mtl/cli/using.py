"""Commands that use a trained run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Decoding, Quiet, RunPath, open_run
from speech_mtl.cli.console import print_markdown
from speech_mtl.decoding.writers import WRITERS, find_writer
from speech_mtl.errors import InputError


def evaluate(
    run: RunPath,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, dev (validation) or test, several times if need be; dev and test if not given."),
    ] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only these languages; all if not given.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Other speech, in one language: what was found in the run's own dev and test stays."),
    ] = None,
    changes: Decoding = None,
    quiet: Quiet = False,
) -> None:
    """Print word and character error rates of a run by language and split.

    With the validation set, dev, it also calibrates the confidences that transcribe gives words.

    Example: speech-mtl evaluate runs/human --split test --language zh-CN

    Example: speech-mtl evaluate runs/human --manifest data/held_out.jsonl --language zh-CN
    """
    languages = language or []
    if manifest and (split or len(languages) > 1):
        raise InputError(
            "--manifest takes the place of --split, and is of one language",
            expected="--manifest FILE, with at most one --language",
            received=f"--split {' '.join(split)}" if split else f"{len(languages)} languages",
            action="leave --split out, and call it once for each language",
        )
    opened = open_run(run)
    from speech_mtl.run import evaluate as evaluation
    from speech_mtl.run.build import decoding_with
    from speech_mtl.screen import Screen

    name, decoding = "evaluation", decoding_with(opened.recipe(), changes or [])
    if manifest:
        one = languages[0] if languages else None
        name += "-" + evaluation.evaluate_manifest(opened, manifest, one, Screen(quiet), decoding)[1]
    else:
        evaluation.evaluate(opened, split or ("dev", "test"), language, Screen(quiet), decoding=decoding)
    print_markdown((run / f"{name}.md").read_text(encoding="utf-8").rstrip())
    print(f"The tables are in {run}/{name}.md and .json, what was recognised in {run}/hypotheses/")


def forgetting(
    run: RunPath,
    split: Annotated[str, typer.Option(help="dev (validation) or test.")] = "test",
    quiet: Quiet = False,
) -> None:
    """Print what was forgotten where a run was fine-tuned from another, and that one from another again.

    Example: speech-mtl forgetting runs/own-cs-pl --split dev
    """
    opened = open_run(run)
    from speech_mtl.screen import Screen
    from speech_mtl.study.lineage import write_forgetting

    path = write_forgetting(opened, split, screen=Screen(quiet))
    print_markdown(path.read_text(encoding="utf-8").rstrip())
    print(f"The table is in {path}, its rows in {path.with_suffix('.json')}")


def transcribe(
    run: RunPath,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Audio files that libsndfile reads (wav, flac, mp3, ogg, ...), of any rate, up to the run's "
            "data.max_duration_s, which is 30 s if nobody changed it; folders of them; or patterns such as '*.wav'.",
        ),
    ],
    language: Annotated[str, typer.Option("--language", "-l", help="Whose output layer to use, such as zh-CN.")],
    labels: Annotated[bool, typer.Option("--labels", help="Write what the run's other tasks predict, too.")] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(WRITERS),
            help=" ".join(f"{name}: {(own.__doc__ or name).splitlines()[0]}" for name, own in WRITERS.items()),
        ),
    ] = next(iter(WRITERS)),
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a file for each recording there; else to standard output."),
    ] = None,
    changes: Decoding = None,
) -> None:
    """Print what is said in audio files, one line a file.

    A file that cannot be recognised is named on standard error, and the exit code is then 2.

    Example: speech-mtl transcribe runs/human --language zh-CN recording.wav

    Example: speech-mtl transcribe runs/human --language zh-CN FOLDER --format srt --out subtitles
    """
    opened = open_run(run)
    from speech_mtl.files import write_text
    from speech_mtl.run.build import decoding_with
    from speech_mtl.run.transcribe import audio_files, label_values, transcribe_files, transcript_paths
    from speech_mtl.screen import Screen

    screen, tasks = Screen(), opened.labelled() if labels else {}
    found, refused = audio_files(files), 0
    write = find_writer(form, labels, 1 if out else len(found))
    paths = transcript_paths(found, out, form) if out else {}
    decoding = decoding_with(opened.recipe(), changes or [])
    is_shown = out is None and sys.stdout.isatty()  # lines show it themselves
    shown = found if is_shown else screen.progress(found, "Transcribing")
    for path, told in transcribe_files(opened, shown, language, decoding):
        if isinstance(told, InputError):
            refused += 1
            screen.warn(f"{told.problem}: {told.received}")
        elif out:
            write_text(paths[path], write([told], [label_values(tasks, told)]))
        else:
            print(write([told], [label_values(tasks, told)]), end="", flush=True)
    if out and refused < len(found):
        print(f"The transcripts are in {out}")
    if refused:
        raise InputError(
            f"{refused} of {len(found)} files could not be transcribed",
            expected="audio files with speech",
            received="those named above",
            action="mend or convert these, or leave them out; the others are done",
        )
