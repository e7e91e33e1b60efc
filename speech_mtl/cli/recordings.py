"""Options and output of commands that write a text for each recording."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.writers import WRITERS, find_writer
from speech_mtl.errors import InputError, MissingPackage

if TYPE_CHECKING:
    from speech_mtl.screen import Screen

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
