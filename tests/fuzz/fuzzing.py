"""Tries spoilt inputs one after another: each must be read, or refused as something that a user can fix."""

import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from targets import TARGETS, Trial, Whole

from speech_mtl.data.place import AudioError
from speech_mtl.errors import InputError, unusable_file

MOST_S = 20
"""Seconds after which a trial counts as a hang."""

LONGEST_MESSAGE = 20_000


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    read: int = 0
    refused: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    """Tracebacks and hangs, by the input's name."""


def fuzz(
    number: int, seed: int, folder: Path, kinds: list[str] | None = None, keep: Path | None = None
) -> dict[str, Tally]:
    """Tries `number` inputs, as many of each kind.

    Args:
        number: Of all kinds together.
        seed: Decides what is spoilt, and how.
        folder: For the inputs.
        kinds: Which of `TARGETS`; None for all.
        keep: Where inputs that show a fault are kept; None: nowhere.
    """
    whole, tallies = Whole(folder / "whole"), {kind: Tally() for kind in kinds or TARGETS}
    names = [(kind, i) for kind in tallies for i in range(number // len(tallies))]
    for kind, i in names:
        place = folder / f"{kind}-{i}"
        place.mkdir()
        fault = _tried(TARGETS[kind](whole, place, Random(f"{seed}/{kind}/{i}")), tallies[kind])
        if fault:
            tallies[kind].faults[place.name] = fault
            if keep:
                shutil.rmtree(keep / place.name, ignore_errors=True)
                shutil.copytree(place, keep / place.name, symlinks=True)
                (keep / place.name / "traceback.txt").write_text(fault, encoding="utf-8", errors="replace")
        shutil.rmtree(place)
    return tallies


def _tried(trial: Trial, tally: Tally) -> str | None:
    """Counts what becomes of an input; the traceback if that is neither read nor refused."""
    try:
        with _limited():
            trial()
        tally.read += 1
    except InputError as error:
        if len(str(error)) > LONGEST_MESSAGE or any(ord(c) < 32 and c not in "\n\t" for c in str(error)):
            return f"A message of {len(str(error))} letters, or with control characters: {str(error)[:200]!r}"
        tally.refused += 1
    except AudioError:
        tally.refused += 1
    except OSError as error:
        if unusable_file(error) is None:
            return traceback.format_exc()
        tally.refused += 1
    except (Exception, SystemExit):
        return traceback.format_exc()
    return None


class Hang(Exception):
    """A trial took too long."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang(f"still at it after {MOST_S} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MOST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def table(tallies: dict[str, Tally]) -> str:
    """The tallies as a Markdown table."""
    lines = ["| Input | Tried | Read | Refused | Tracebacks and hangs |", "| --- | ---: | ---: | ---: | ---: |"]
    for kind, tally in tallies.items():
        tried = tally.read + tally.refused + len(tally.faults)
        lines.append(f"| {kind.replace('_', ' ')} | {tried} | {tally.read} | {tally.refused} | {len(tally.faults)} |")
    return "\n".join(lines)


def causes(tallies: dict[str, Tally]) -> str:
    """Each different last line of a traceback, how often it came, and the first input that has it."""
    ends = [(text.strip().splitlines()[-1][:160], name) for t in tallies.values() for name, text in t.faults.items()]
    firsts = dict(reversed(ends))
    return "\n".join(f"{count} x {end} ({firsts[end]})" for end, count in Counter(end for end, _ in ends).most_common())
