"""Functions that are chosen by name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from speech_mtl.errors import no_such

Function = TypeVar("Function", bound=Callable[..., Any])


class Registry(dict[str, Function]):
    """Functions by their own names.

    Args:
        problem: What is wrong with a name that none has; `{}` stands for it.
    """

    def __init__(self, problem: str):
        super().__init__()
        self.problem = problem

    def add(self, function: Function) -> Function:
        """Decorates a function that is to be among them."""
        self[function.__name__] = function
        return function

    def __missing__(self, name: str) -> NoReturn:
        raise no_such(self.problem.format(repr(name)), name, self)


def names_added(module: str, registry: str) -> list[str]:
    """The functions that a module adds, read from its source: to import it may take longer than a help text may."""
    source = (Path(__file__).parent / module).read_text(encoding="utf-8")
    return re.findall(rf"^@{registry}\.add\ndef (\w+)", source, re.MULTILINE)
