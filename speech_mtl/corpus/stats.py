"""Counts of manifests by language and split, made in one reading of each."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from speech_mtl.corpus.manifests import ManifestFile, ManifestSet
from speech_mtl.data.rules import Choices
from speech_mtl.data.text import normalize, refusal
from speech_mtl.datatypes import Utterance
from speech_mtl.scoring.tables import MISSING
from speech_mtl.screen import Wrap, silent
from speech_mtl.study.report.blocks import Cell, Table

RARE = 10
"""A character that comes fewer times is rare: a network hardly learns it."""

TEXT_HEADS = ("language", "split")
NUMBER_HEADS = ("utterances", "hours", "speakers", "no text", "refused", "seconds", "letters/s", "characters", "rare")
TABLE_NOTE = (
    "Refused: transcripts that training leaves out for their numbers or Latin words. Seconds and letters per second: "
    "median over utterances, in brackets the 5th and 95th percentile. Letters: characters of the transcript as it is "
    f"learnt, spaces left out. Rare: fewer than {RARE} times."
)


class Spread(NamedTuple):
    """Percentiles of a quantity over utterances."""

    low: float
    """The 5th."""
    median: float
    high: float
    """The 95th."""

    @classmethod
    def of(cls, values: array) -> "Spread | None":
        """None of no values."""
        return cls(*np.percentile(np.frombuffer(values, np.float32), (5, 50, 95)).tolist()) if values else None


@dataclass
class Counted:
    """What is counted of a manifest; memory grows by 8 bytes an utterance, and with speakers and characters.

    Attributes:
        file: The manifest.
        choices: What is done with numbers and Latin words.
        num_utterances, num_without_text, num_refused: Utterances, those whose text is null, and those whose text is
            refused; see `data.text.refusal`.
        durations_s: (N,) of each utterance.
        letters_per_s: (M,) of each with a text that is not refused: characters of it, spaces left out, per second of
            audio.
        speakers_s: Seconds of each known speaker.
        characters: How often each comes in normalised texts, spaces left out.
        first: By character, the line in which it comes first.
    """

    file: ManifestFile
    choices: Choices
    num_utterances: int = 0
    num_without_text: int = 0
    num_refused: int = 0
    duration_s: float = 0.0
    durations_s: array = field(default_factory=lambda: array("f"))
    letters_per_s: array = field(default_factory=lambda: array("f"))
    speakers_s: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, utterance: Utterance) -> None:
        """Counts an utterance."""
        self.num_utterances += 1
        self.duration_s += utterance.duration_s
        self.durations_s.append(utterance.duration_s)
        if utterance.speaker is not None:
            self.speakers_s[utterance.speaker] += utterance.duration_s  # pyright: ignore[reportArgumentType]
        if utterance.text is None:
            self.num_without_text += 1
            return
        if refusal(utterance.text, self.file.language, self.choices):
            self.num_refused += 1
            return
        text = normalize(utterance.text, self.file.language, self.choices).replace(" ", "")
        self.letters_per_s.append(len(text) / utterance.duration_s)
        self.characters.update(text)
        for char in set(text) - self.first.keys():
            self.first[char] = utterance.source

    @property
    def rare(self) -> dict[str, int]:
        """The rare characters, the rarest first."""
        few = ((char, number) for char, number in self.characters.items() if number < RARE)
        return dict(sorted(few, key=lambda pair: (pair[1], pair[0])))

    def record(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        durations, rates = Spread.of(self.durations_s), Spread.of(self.letters_per_s)
        return {
            "path": str(self.file.path),
            "language": self.file.language,
            "split": self.file.split,
            "num_utterances": self.num_utterances,
            "num_without_text": self.num_without_text,
            "num_refused": self.num_refused,
            "duration_s": round(self.duration_s, 3),
            "utterance_s": durations and durations._asdict(),
            "letters_per_s": rates and rates._asdict(),
            "speakers_s": {name: round(seconds, 3) for name, seconds in self.speakers_s.most_common()},
            "characters": dict(self.characters.most_common()),
            "rare": {char: {"number": number, "first": self.first[char]} for char, number in self.rare.items()},
        }


def count(manifests: Sequence[ManifestSet], wrap: Wrap = silent) -> list[Counted]:
    """Counts manifests, their transcripts as the recipe of each set has them learnt; `wrap` shows a bar.

    Raises:
        InputError: One is missing or empty, or a line cannot be read.
    """
    found = []
    for recipe, file in [(one.recipe, file) for one in manifests for file in one.files]:
        found.append(Counted(file, Choices(**recipe.languages[file.language].text.model_dump())))
        for utterance in wrap(file.utterances(), f"{file.language} {file.split}", file.num_lines()):
            found[-1].add(utterance)
    return found


def table(counted: Sequence[Counted]) -> Table:
    """A row for each manifest."""
    rows = [[Cell(one.file.language), Cell(one.file.split), *_numbers(one)] for one in counted]
    return Table("Speech", (*TEXT_HEADS, *NUMBER_HEADS), rows, len(TEXT_HEADS), TABLE_NOTE)


def _numbers(one: Counted) -> list[Cell]:
    """Cells under `NUMBER_HEADS`."""
    hours, speakers = one.duration_s / 3600, len(one.speakers_s)
    return [
        _number(one.num_utterances),
        Cell(f"{hours:.2f}", hours),
        _number(speakers) if speakers else Cell("unknown"),
        _number(one.num_without_text),
        _number(one.num_refused),
        _spread(one.durations_s),
        _spread(one.letters_per_s),
        _number(len(one.characters)),
        _number(len(one.rare)),
    ]


def _number(number: int) -> Cell:
    return Cell(f"{number:,}", number)


def _spread(values: array) -> Cell:
    if (spread := Spread.of(values)) is None:
        return Cell(MISSING)
    return Cell(f"{spread.median:.1f}", spread.median, f"({spread.low:.1f}–{spread.high:.1f})")
