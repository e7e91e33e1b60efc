"""Commands that write a text for each recording."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speech_mtl.cli.arguments import Decoding, RunPath, open_trained, wrong
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.writers import CONFIDENT, WRITERS, find_writer
from speech_mtl.errors import InputError, MissingPackage

if TYPE_CHECKING:
    from speech_mtl.run.transcribe import Transcriber
    from speech_mtl.screen import Screen
    from speech_mtl.targets.target import ScoredTarget

STANDARD_INPUT = Path("-")
USUAL = next(iter(WRITERS))

FORMAT = typer.Option(
    "--format",
    metavar="|".join(WRITERS),
    help=" ".join(f"{name}: {(own.__doc__ or name).splitlines()[0]}" for name, own in WRITERS.items()),
)
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write a file for each recording there; else to standard output.")
]


class Output:
    """Writes the hypotheses of recordings, to a file for each or to standard output, and counts those without.

    Args:
        recordings: All audio files.
        out: The folder of the files; None: standard output.
        form: Name of the format.
        screen: Where recordings that cannot be used are named.
        labels: Whether labels are written, too.

    Raises:
        InputError: The format does not fit, or a file would replace another one.
    """

    def __init__(self, recordings: Sequence[Path], out: Path | None, form: str, screen: "Screen", labels: bool = False):
        from speech_mtl.run.transcribe import transcript_paths

        self._num, self._num_refused, self._out, self._screen = len(recordings), 0, out, screen
        self._format = find_writer(form, labels, 1 if out else len(recordings))
        self._paths = transcript_paths(recordings, out, form) if out else {}

    def write(
        self, recording: Path, hypotheses: Sequence[Hypothesis], labels: Sequence[Mapping[str, Any]], duration_s: float
    ) -> None:
        """Writes the hypotheses of a recording of so many seconds, with the labels of each."""
        from speech_mtl.files import write_text

        text = self._format(hypotheses, labels, duration_s)
        if self._out:
            write_text(self._paths[recording], text)
        else:
            print(text, end="", flush=True)

    def refuse(self, problem: str, error: InputError) -> None:
        """Names a recording without hypotheses.

        Raises:
            MissingPackage: That is the error, which the other recordings would have, too.
        """
        if isinstance(error, MissingPackage):
            raise error
        self._num_refused += 1
        self._screen.warn(f"{problem}: {error.received}")

    def end(self, content: str, verb: str, expected: str) -> None:
        """Prints where the files are.

        Raises:
            InputError: A recording was refused.
        """
        if self._out and self._num_refused < self._num:
            print(f"The {content} are in {self._out}")
        if self._num_refused:
            raise InputError(
                f"{self._num_refused} of {self._num} files could not be {verb}",
                expected=expected,
                received="those named above",
                action="fix or convert these, or leave them out; the others are done",
            )


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
    form: Annotated[str | None, FORMAT] = None,
    out: Out = None,
    changes: Decoding = None,
) -> None:
    """Print what is said in audio files: one line a file, or one for each segment of a long recording.

    A recording longer than the run's data.max_duration_s, which is 30 s if nobody changed it, is cut into segments at
    its pauses. A file that cannot be recognised is named on standard error, and the exit code is then 2.

    Example: speech-mtl transcribe runs/human --language zh-CN recording.wav

    Example: speech-mtl transcribe runs/human FOLDER --format srt --out subtitles

    Example: arecord -t raw -f S16_LE -c 1 -r 16000 | speech-mtl transcribe runs/streaming --language zh-CN --stream
    """
    _refuse_together(files, language, languages, stream, labels or out or form)
    opened = open_trained(run)
    from speech_mtl.run.build import decoding_with
    from speech_mtl.screen import Screen

    screen, decoding = Screen(), decoding_with(opened.recipe(), changes or [])
    if stream and language:
        from speech_mtl.run.stream import transcribe_standard_input

        transcribe_standard_input(opened, language, decoding, screen)
        return
    from speech_mtl.run.transcribe import Transcriber, audio_files

    found = audio_files(files or [])
    form = form or USUAL
    output = Output(found, out, form, screen, labels)
    spoken = languages.replace(" ", "").split(",") if languages else [language] if language else []
    transcriber = Transcriber(run, decoding, screen, form in CONFIDENT, spoken)
    among = transcriber.among(spoken)
    tasks = opened.scored() if labels else {}
    _transcribe_files(found, transcriber, among, tasks, output, screen)


def _refuse_together(
    files: Sequence[Path] | None, language: str | None, languages: str | None, stream: bool, has_output_options: object
) -> None:
    """Refuses arguments that exclude one another."""
    if language and languages:
        expected = "the language that is spoken, or those among which to detect it"
        raise wrong("--language and --languages exclude one another", expected, "both")
    if stream == bool(files):
        raise wrong("transcribe takes audio files or --stream", "one of these", "both" if stream else "neither")
    if stream and not language:
        expected = "--language with the language that is spoken"
        raise wrong("--stream takes one language, which is not detected", expected, "no --language")
    if stream and has_output_options:
        problem = "--stream prints text on standard output, and nothing else"
        raise wrong(problem, "--stream without --labels, --out and --format", "one of them")


def _transcribe_files(
    files: Sequence[Path],
    transcriber: "Transcriber",
    languages: Sequence[str],
    tasks: "Mapping[str, ScoredTarget]",
    output: Output,
    screen: "Screen",
) -> None:
    from speech_mtl.run.transcribe import label_values

    for language in languages:
        transcriber.recognizer.decoder(language)  # one that cannot be made is refused here, not for each file
    if len(languages) > 1:
        transcriber.detector.calibrate()  # before the bar, as it shows one of its own
    total_s = _seconds(files) if screen.console.is_terminal else 0.0
    with screen.recordings("Transcribing", total_s) as (bar, progress):
        done_s: list[float] = []  # of the recording at hand

        def count(seconds: float) -> None:
            done_s.append(seconds)
            progress(seconds)

        for path in files:
            name = "standard input" if path == STANDARD_INPUT else str(path)
            done_s.clear()
            try:
                with _at_hand(path) as there:
                    hypotheses = transcriber.transcribe(there, languages=languages, name=name, progress=count)
            except InputError as error:
                output.refuse(error.problem, error)
                continue
            if len(languages) > 1 and hypotheses:
                screen.say(f"{name}: {hypotheses[0].language} is spoken, it seems")
            if not any(hypothesis.text for hypothesis in hypotheses):
                screen.warn(f"nothing was recognised in {name}")
            bar.stop()  # on a terminal, lines would run into it
            output.write(path, hypotheses, [label_values(tasks, one) for one in hypotheses], sum(done_s))
            bar.start()
    output.end("transcripts", "transcribed", "audio files with speech")


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
    """Length of all files together, as far as their headers have it."""
    from speech_mtl.data.audio_file import opened
    from speech_mtl.data.place import AudioError

    total_s = 0.0
    for path in files:
        with suppress(AudioError, OSError), opened(path) as (file, num_frames):
            total_s += (num_frames or 0) / file.samplerate
    return total_s


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
    opened = open_trained(run)
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
                f"{path}: its text seems to be another one: {aligned.misfit:.1f} nats a token less probable than what "
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
