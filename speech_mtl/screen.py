"""Messages and progress bars. Everything here can be silenced."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from speech_mtl.errors import printable


class Wrap(Protocol):
    """Wraps items under a title, to show a bar; see `Screen.progress`."""

    def __call__(self, items: Iterable, title: str, total: int | None = None, /) -> Iterable: ...


def silent(items: Iterable, _title: str, _total: int | None = None) -> Iterable:
    """A `Wrap` that shows nothing."""
    return items


_TITLE = TextColumn("{task.description}", markup=False)


class _Seconds(ProgressColumn):
    """How much of the speech is done: `0:12:30 of 1:00:00`."""

    def render(self, task: Task) -> Text:
        done, total = (str(timedelta(seconds=round(seconds))) for seconds in (task.completed, task.total or 0))
        return Text(f"{done} of {total}" if task.total else done)  # headers need not tell how much there is


class Screen:
    """Messages and progress bars on standard error, so that results on standard output stay clean.

    Bars are shown on a terminal only: a log file would fill with their traces. Control characters are escaped, and very
    long messages lose their middle: they hold what files hold.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, quiet: bool = False):
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)

    @classmethod
    @contextmanager
    def to_file(cls, path: Path) -> Iterator["Screen"]:
        """A screen whose messages are added to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        screen = cls()
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            screen.console = Console(file=file, highlight=False, soft_wrap=True)
            yield screen

    def say(self, message: str) -> None:
        """Prints a line."""
        self.console.print(escape(printable(message)))

    def warn(self, message: str) -> None:
        """Prints a line that stands out."""
        self.console.print(f"[yellow]warning[/yellow] {escape(printable(message))}")

    def progress(self, items: Iterable, title: str, total: int | None = None) -> Iterator:
        """Yields the items under a bar that counts them; `total` says how many, where they do not."""
        columns = (_TITLE, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with self._bars(*columns) as bar:
            yield from bar.track(items, total, description=printable(title))

    @contextmanager
    def training(self, title: str, num_updates: int, done: int) -> Iterator[Callable]:
        """A bar over updates. Yields a function (update, loss=, rate=, best=, audio_s_per_s=) to call after one."""
        columns = (
            _TITLE,
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            TimeRemainingColumn(),
        )
        seen: dict[str, float | str] = {}
        with self._bars(*columns) as bar:
            task = bar.add_task(printable(title), total=num_updates, completed=done, values="first step ...")

            def show(update: int, **values: float | str) -> None:
                seen.update(values)
                bar.update(task, completed=update, values=_line(seen))

            yield show

    @contextmanager
    def recordings(self, title: str, total_s: float) -> Iterator[tuple[Progress, Callable[[float], None]]]:
        """A bar over seconds of speech. Gives it, to stop it where something is printed, and what moves it on."""
        with self._bars(_TITLE, BarColumn(), _Seconds(), TimeRemainingColumn()) as bar:
            task = bar.add_task(printable(title), total=total_s)
            yield bar, lambda seconds: bar.advance(task, seconds)

    def _bars(self, *columns: ProgressColumn) -> Progress:
        """Makes progress bars that do not redirect standard output."""
        hidden = not self.console.is_terminal
        return Progress(*columns, console=self.console, transient=True, disable=hidden, redirect_stdout=False)


SILENT = Screen(quiet=True)
"""Shows nothing."""


def _line(values: dict[str, float | str]) -> str:
    forms = {
        "loss": "training loss {:.2f}",
        "rate": "learning rate {:.1e}",
        "best": "{}",
        "audio_s_per_s": "{:.0f} s of speech a second",
    }
    return "  ".join(form.format(values[name]) for name, form in forms.items() if name in values)
