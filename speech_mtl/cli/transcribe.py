"""The command that recognises recordings."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Decoding, RunPath, open_run
from speech_mtl.decoding.writers import WRITERS, find_writer
from speech_mtl.errors import InputError

STANDARD_INPUT = Path("-")


def transcribe(
    run: RunPath,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="Audio files that libsndfile reads (wav, flac, mp3, ogg, ...), of any rate and length; folders of "
            "them; patterns such as '*.wav'; or - for standard input.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language", "-l", help="Whose output layer to use, such as zh-CN; detected for each file if not given."
        ),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(metavar="TAG,TAG", help="Among which languages to detect; all of the run if not given."),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Recognise standard input while it arrives: samples of 16 bits, or a WAV file."),
    ] = False,
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
    """Print what is said in audio files: one line a file, or one for each segment of a long recording.

    A recording longer than the run's data.max_duration_s, which is 30 s if nobody changed it, is cut into segments at
    its pauses. A file that cannot be recognised is named on standard error, and the exit code is then 2.

    Example: speech-mtl transcribe runs/human --language zh-CN recording.wav

    Example: speech-mtl transcribe runs/human FOLDER --format srt --out subtitles

    Example: arecord -t raw -f S16_LE -c 1 -r 16000 | speech-mtl transcribe runs/streaming --language zh-CN --stream
    """
    _refuse_together(files, language, languages, stream, labels or out or form != next(iter(WRITERS)))
    opened = open_run(run)
    from speech_mtl.files import write_text
    from speech_mtl.run.build import decoding_with
    from speech_mtl.run.transcribe import Transcriber, audio_files, label_values, transcript_paths
    from speech_mtl.screen import Screen

    screen, decoding = Screen(), decoding_with(opened.recipe(), changes or [])
    if stream and language:
        from speech_mtl.run.stream import transcribe_standard_input

        transcribe_standard_input(opened, language, decoding, screen)
        return
    tasks = opened.labelled() if labels else {}
    found, refused = audio_files(files or []), 0
    write = find_writer(form, labels, 1 if out else len(found))
    paths = transcript_paths(found, out, form) if out else {}
    transcriber = Transcriber(run, decoding, screen)
    among = transcriber.among(languages.replace(" ", "").split(",") if languages else [language] if language else [])
    for one in among:
        transcriber.recognizer.decoder(one)  # what it lacks is told once, not for each file
    if len(among) > 1:
        transcriber.languages.calibrate()  # before the bar, as it shows one of its own
    total_s = _seconds(found) if screen.console.is_terminal else 0.0
    with screen.recordings("Transcribing", total_s) as (bar, progress):
        for path in found:
            try:
                with _at_hand(path) as there:
                    hypotheses = transcriber.transcribe(there, languages=among, name=str(path), progress=progress)
            except InputError as error:
                refused += 1
                screen.warn(f"{error.problem}: {error.received}")
                continue
            if not any(hypothesis.text for hypothesis in hypotheses):
                screen.warn(f"no speech was found in {path}")
            text = write(hypotheses, [label_values(tasks, hypothesis) for hypothesis in hypotheses])
            if out:
                write_text(paths[path], text)
            else:
                bar.stop()  # on a terminal, lines would run into it
                print(text, end="", flush=True)
                bar.start()
    if out and refused < len(found):
        print(f"The transcripts are in {out}")
    if refused:
        raise InputError(
            f"{refused} of {len(found)} files could not be transcribed",
            expected="audio files with speech",
            received="those named above",
            action="fix or convert these, or leave them out; the others are done",
        )


def _refuse_together(
    files: Sequence[Path] | None, language: str | None, languages: str | None, stream: bool, has_output_options: object
) -> None:
    """Refuses arguments that exclude one another."""
    for wrong, problem, expected, received in (
        (
            language and languages,
            "--language and --languages exclude one another",
            "the language that is spoken, or those among which to detect it",
            "both",
        ),
        (
            stream == bool(files),
            "transcribe takes audio files or --stream",
            "one of these",
            "both" if stream else "neither",
        ),
        (
            stream and not language,
            "--stream takes one language, which is not detected",
            "--language with the language that is spoken",
            "no --language",
        ),
        (
            stream and has_output_options,
            "--stream prints text on standard output, and nothing else",
            "--stream without --labels, --out and --format",
            "one of them",
        ),
    ):
        if wrong:
            raise InputError(problem, expected=expected, received=received, action="change the arguments")


@contextmanager
def _at_hand(path: Path) -> Iterator[Path]:
    """The file, or a copy of standard input on disk while the block runs: many formats cannot be read from a pipe."""
    if path != STANDARD_INPUT:
        yield path
        return
    with TemporaryDirectory(prefix="speech-mtl-") as folder:
        copy = Path(folder, "standard-input")
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copy


def _seconds(files: Sequence[Path]) -> float:
    """Of all files together, as far as their headers tell."""
    from speech_mtl.data.audio import AudioError, opened

    total_s = 0.0
    for path in files:
        with suppress(AudioError, OSError), opened(path) as (file, num_frames):
            total_s += (num_frames or 0) / file.samplerate
    return total_s
