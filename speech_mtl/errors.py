"""The one exception that a user causes and can fix."""

import errno
import re
import reprlib
import shutil
from collections.abc import Iterable
from functools import partial
from importlib import import_module

LONGEST = 2_000
"""Letters of one part of a message: what comes from a file may be of any length."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""What moves the cursor of a terminal, changes its colours, turns the direction of writing, or is no letter of XML; not
tab and line feed."""


def printable(text: str, longest: int = LONGEST) -> str:
    """A text as a terminal can show it: control characters escaped, and the middle of a very long one left out."""
    if len(text) > longest:
        left_out = len(text) - longest
        text = f"{text[: longest // 2]} ... ({left_out:,} letters) ... {text[-longest // 2 :]}"
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def cell(text: str) -> str:
    """A text as it can stand in a line of columns: tabs and line feeds escaped, too."""
    return printable(text, len(text)).replace("\t", "\\t").replace("\n", "\\n")


def brief(value: object) -> str:
    """A value as Python writes it, in at most 200 letters; of a large one, only the beginning is written out."""
    text = _BRIEF.repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 200
_BRIEF.maxlong = 100
_BRIEF.maxlevel = 3


class InputError(Exception):
    """Bad input or settings: what is wrong and where, what was expected, what was received, what to do.

    The command line prints it without a traceback and exits with code 2.

    Args:
        problem: What is wrong and where: `file:line` for data, the key as typed for settings.
        expected: What would have been right.
        received: What was there instead.
        action: What the user can do about it.
    """

    def __init__(self, problem: str, *, expected: str, received: object, action: str):
        self.problem = printable(problem)
        self.expected = printable(expected)
        self.received = printable(str(received))
        self.action = printable(action)
        super().__init__(
            f"{self.problem}\nExpected: {self.expected}\nReceived: {self.received}\nWhat to do: {self.action}"
        )

    def __reduce__(self):
        rebuild = partial(type(self), expected=self.expected, received=self.received, action=self.action)
        return rebuild, (self.problem,)


def no_such(problem: str, name: str, known: Iterable[str]) -> InputError:
    """The error to raise when a name is none of those that are known."""
    return InputError(problem, expected="one of " + ", ".join(known), received=name, action="choose one of these")


class MissingPackage(InputError):
    """An optional package is not installed: whatever is tried next fails, too."""


def refuse_missing(module: str, *, extra: str, purpose: str) -> None:
    """Checks that an optional package can be imported, by importing it: one that is there may be broken.

    Raises:
        MissingPackage: It cannot.
    """
    try:
        import_module(module)
    except Exception as error:  # a broken package may raise anything
        raise require(module.partition(".")[0], extra=extra, purpose=purpose, error=error) from None


def require(package: str, *, extra: str, purpose: str, error: Exception | None = None) -> MissingPackage:
    """The error to raise when an optional package is missing; or broken, if another error than that of a missing one
    came when it was imported."""
    is_broken = error is not None and not (isinstance(error, ModuleNotFoundError) and error.name == package)
    return MissingPackage(
        f"{purpose} needs the package {package!r}, which "
        + ("cannot be imported" if is_broken else "is not installed"),
        expected=f"an installation with the optional extra {extra!r}",
        received=f"{type(error).__name__}: {error}" if is_broken else "no such package",
        action=f"pip install{' --force-reinstall' * is_broken} 'speech-mtl[{extra}]'",
    )


OURS = frozenset({errno.EBADF, errno.EFAULT, errno.ECHILD, errno.EINVAL})
"""System errors that only a fault of the program causes."""


def unusable_file(error: OSError) -> InputError | None:
    """Turns a system error about files or disks into one for the user; None if it is a fault of ours."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # of a folder: what went wrong with each
        first = error.args[0][0]
        error = OSError(errno.EIO, str(first[2]), str(first[1]))
    if error.errno is None or error.errno in OURS:
        return None
    return InputError(
        f"{error.filename2 or error.filename or 'A file'} cannot be used",
        expected="a file or folder that you may read and write, on a disk with space left",
        received=error.strerror or str(error),
        action="make room or give another folder; what was saved before is intact, and the command resumes from it",
    )
