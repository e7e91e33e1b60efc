"""The training speech of a run as batches, by a plan that is made of lengths and a seed."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from speech_mtl.backend import own_rows, processes, uses_xla
from speech_mtl.backend.step import Limits
from speech_mtl.data.augmentation import WaveformAugmentation
from speech_mtl.data.collation import batches, collate
from speech_mtl.data.examples import Examples
from speech_mtl.data.manifest import line_name
from speech_mtl.data.mixing import padded_lengths
from speech_mtl.data.sampling import SampledExample
from speech_mtl.datatypes import Batch
from speech_mtl.run.build import build_plan, step_limits
from speech_mtl.run.speech import Split
from speech_mtl.settings.recipe import Recipe

MOST_LENGTHS = 8
"""Of the batches of a training under XLA."""


def lengths_under_xla(
    examples: Iterable[Examples], durations_s: Iterable[np.ndarray], number: int
) -> tuple[float, ...]:
    """The lengths, at most so many, to which batches of examples are padded where XLA compiles for each.

    Empty under another compiler, or of features that were made before.
    """
    if not uses_xla() or any(own.made is not None for own in examples):
        return ()
    return padded_lengths(np.concatenate(list(durations_s)), number)


@dataclass(frozen=True)
class TrainingSpeech:
    """The training speech of a run as batches; which ones depends on the seed, and on where training ends.

    Attributes:
        recipe: The settings.
        splits: By language id.
        examples: By language id.
        augmentations: By name.
    """

    recipe: Recipe
    splits: Mapping[int, Split]
    examples: Mapping[int, Examples]
    augmentations: Mapping[str, WaveformAugmentation] = field(default_factory=dict)

    def batches(self, start: int, end: int) -> Generator[Batch, None, None]:
        """Yields batches from number `start`; `end` is the update after which training ends.

        Of several processes that train together, each reads its rows of them.
        """
        augmentations = tuple(self.augmentations.values())
        own = partial(own_rows, limits=self.limits) if processes.count() > 1 else None
        planned, num_threads = self._planned(start, end), self.recipe.data.num_threads
        yield from batches(planned, self.examples, num_threads, augmentations, own)

    def batch(self, number: int, end: int) -> Batch:
        """Returns one batch, all of it."""
        return collate(next(self._planned(number, end)), self.examples, tuple(self.augmentations.values()))

    def sources(self, number: int, end: int, rows: Sequence[int]) -> list[str]:
        """`file:line` of the utterances in some rows of a batch."""
        sampled, found = next(self._planned(number, end)), []
        for one in (sampled[row] for row in rows):
            position = int(self.examples[one.language].positions[one.example])
            found.append(line_name(self.splits[one.language].manifest.path, position))
        return found

    @cached_property
    def limits(self) -> Limits:
        """Those of the sizes of batches."""
        examples = list(self.examples.values())
        columns = [column for own in examples for column in own.targets.values() if column.target.from_text]
        num_tokens = max(int(np.diff(column.starts).max(initial=0)) for column in columns)
        return step_limits(self.recipe, self._lengths_s, examples[0].num_inputs, num_tokens)

    @cached_property
    def _lengths_s(self) -> tuple[float, ...]:
        """The lengths to which batches are padded under XLA."""
        slowest = min(self.recipe.augment.speeds)
        durations_s = [own_s / slowest for own_s in self._durations_s.values()]
        return lengths_under_xla(self.examples.values(), durations_s, MOST_LENGTHS)

    @property
    def _durations_s(self) -> dict[int, np.ndarray]:
        return {i: own.manifest.durations_s[self.examples[i].positions] for i, own in self.splits.items()}

    def _planned(self, start: int, end: int) -> Iterator[list[SampledExample]]:
        return build_plan(self.recipe, self._durations_s, end, self._lengths_s).batches(start)
