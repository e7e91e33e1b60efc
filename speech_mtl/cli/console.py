"""Output and exit codes of commands."""

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from speech_mtl.errors import InputError, printable, unusable_file

STOPPED = 130
"""Exit code after Ctrl-C, by the shell's convention and typer's."""


def run(command: Callable[[], object]) -> None:
    """Runs a command; what the user can fix is printed without a traceback."""
    escape_what_cannot_be_shown()
    try:
        command()
    except InputError as error:
        _print_error(error)
        sys.exit(2)
    except OSError as error:
        if (fixable := unusable_file(error)) is None:
            _report_fault()
        _print_error(fixable)
        sys.exit(2)
    except SystemExit as end:
        if end.code == STOPPED:
            print("\nStopped." + _resumption(sys.argv[1:2]), file=sys.stderr)
        raise
    except Exception:
        _report_fault()


RESUMES = ("train", "finetune", "compare", "transfer", "tune")
"""Commands that resume where they were stopped."""

WRITES_EACH = ("transcribe", "align")
"""Commands that write each recording as it is done."""


def _resumption(command: Sequence[str]) -> str:
    """What holds for a command that was stopped."""
    if command and command[0] in RESUMES:
        return f" {command[0]} resumes if started again."
    return " What was written before is complete." if command and command[0] in WRITES_EACH else ""


def print_markdown(text: str) -> None:
    """Prints a text on standard output; on a terminal, its marks are shown as what they mean."""
    text = printable(text, len(text))
    if not sys.stdout.isatty():
        print(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def escape_what_cannot_be_shown() -> None:
    """Has letters that an output's encoding lacks written as escapes, where Python would stop with an error.

    Outputs that were closed lead nowhere: else the next file that is opened would take their place.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            setattr(sys, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _report_fault() -> NoReturn:
    traceback.print_exc()
    print("\nThis is a fault of speech-mtl. Please report it with all the lines above.", file=sys.stderr)
    sys.exit(1)


def _print_error(error: InputError) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("Error: ", style="bold red").append(error.problem, style="bold"))
    for title, text in (("Expected: ", error.expected), ("Received: ", error.received), ("What to do: ", error.action)):
        console.print(Text(title, style="dim").append(text, style="default"))
