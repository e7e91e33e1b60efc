"""Recognises speech on standard input while it goes on, and prints it as it becomes final."""

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np

from speech_mtl.data.pcm import read_pcm
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.streaming import Stream, latencies_s
from speech_mtl.errors import InputError, printable
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.screen import Screen
from speech_mtl.settings.decoding import DecodingSettings


def open_stream(run: Run, language: str, decoding: DecodingSettings | None = None) -> Stream:
    """A recogniser of a stream with the best weights of a run, whose confidences are not calibrated; see `Stream`.

    Raises:
        InputError: The run is not trained, the language has no output layer, or the encoder needs the whole utterance.
    """
    recipe = run.recipe()
    if not recipe.encoder.streams:
        raise InputError(
            f"{run.path} recognises whole utterances only",
            expected="a run whose encoder depends on no later speech: one of encoder.kind: conformer with a chunk_size",
            received=f"encoder.kind: {recipe.encoder.kind}"
            + (", encoder.chunk_size: null" if hasattr(recipe.encoder, "chunk_size") else ""),
            action="train one: speech-mtl train RECIPE encoder.chunk_size=16 features.normalize=running_mean",
        )
    recognizer = load_recognizer(run, decoding, calibrated=False, languages=[language])
    return Stream(recognizer, language, longest_s=recipe.data.max_duration_s)


def transcribe_standard_input(run: Run, language: str, decoding: DecodingSettings | None, screen: Screen) -> None:
    """Prints what is said on standard input: a line for each stretch of speech between pauses.

    Words are printed once they are final; on a terminal, the others too, until they are. After Ctrl-C, what was
    recognised so far is printed.

    Raises:
        InputError: As of `open_stream` and `read_pcm`; or standard input is a terminal.
    """
    sample_rate_hz = run.recipe().data.sample_rate_hz
    if sys.stdin.isatty():
        raise InputError(
            "There is no audio on standard input",
            expected=f"mono samples of 16 bits at {sample_rate_hz:,} Hz, or a WAV file of 16 bits, through a pipe",
            received="a terminal",
            action=f"for a microphone: arecord -t raw -f S16_LE -c 1 -r {sample_rate_hz} | speech-mtl transcribe ...",
        )
    stream = open_stream(run, language, decoding)
    latest_s = latencies_s(stream.model)
    screen.say(
        f"Reads 16-bit samples at {sample_rate_hz:,} Hz, or a WAV file. Text comes {latest_s.min():.2f} to "
        f"{latest_s.max():.2f} s after speech, plus the time of the computation."
    )
    show = show_on_terminal if sys.stdout.isatty() else print_final
    show(recognized(stream, read_pcm(sys.stdin.buffer, sample_rate_hz)), stream.is_settled, sys.stdout)


def recognized(stream: Stream, pieces: Iterable[np.ndarray]) -> Iterator[tuple[Hypothesis, bool]]:
    """Yields segments of a stream: as far as they are known after each chunk, with False; and whole, with True.

    Where the pieces end with an error or Ctrl-C, what is known is yielded before.
    """
    stopped: BaseException | None = None
    num_frames = 0
    try:
        for piece in pieces:
            yield from ((segment, True) for segment in stream.push(piece))
            if stream.num_frames > num_frames:
                num_frames = stream.num_frames
                yield stream.partial, False
    except (InputError, KeyboardInterrupt) as error:
        stopped = error
    yield from ((segment, True) for segment in stream.end())
    if stopped is not None:
        raise stopped


def print_final(found: Iterable[tuple[Hypothesis, bool]], is_settled: bool, out: TextIO) -> None:
    """Prints the words of segments as they become final, and a line feed after each segment.

    Args:
        found: As of `recognized`.
        is_settled: Whether all words but the last are final; else a segment's are when it ends.
    """
    num_printed = 0
    for segment, is_whole in found:
        words, between = _words(segment)
        final = words[num_printed:] if is_whole else words[num_printed : -1 if is_settled else 0]
        for word in final:
            out.write(between * (num_printed > 0) + word)
            num_printed += 1
        if is_whole:
            out.write("\n")
            num_printed = 0
        out.flush()


def _words(segment: Hypothesis) -> tuple[list[str], str]:
    """Words, or characters where no spaces separate them, and what stands between two of them."""
    text = printable(segment.text, len(segment.text))
    return (text.split(), " ") if segment.spaced else (list(text), "")


def show_on_terminal(found: Iterable[tuple[Hypothesis, bool]], is_settled: bool, out: TextIO) -> None:
    """Prints segments as they end, and below them the one that goes on, what is not final of it dimmed.

    Arguments are those of `print_final`.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        for segment, is_whole in found:
            words, between = _words(segment)
            if is_whole:
                live.update(Text(), refresh=True)
                console.print(Text(between.join(words)))
            else:
                final = words[:-1] if is_settled else []
                rest = between * bool(final) + between.join(words[len(final) :])
                live.update(Text(between.join(final)).append(rest, style="dim"), refresh=True)
