"""The one exception that a user causes and can mend."""

from functools import partial


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
        self.problem = problem
        self.expected = expected
        self.received = str(received)
        self.action = action
        super().__init__(f"{problem}\nExpected: {expected}\nReceived: {self.received}\nWhat to do: {action}")

    def __reduce__(self):
        rebuild = partial(InputError, expected=self.expected, received=self.received, action=self.action)
        return rebuild, (self.problem,)


def require(package: str, *, extra: str, purpose: str) -> InputError:
    """The error to raise when an optional package is missing."""
    return InputError(
        f"{purpose} needs the package {package!r}, which is not installed",
        expected=f"an installation with the optional extra {extra!r}",
        received="no such package",
        action=f"pip install 'speech-mtl[{extra}]'",
    )
