"""The objective L = sum_i lambda_i L_i over tasks: each language's transcripts, and every other target.

L_i is the mean loss of the known entries of task i in the batch: of its tokens, classes, numbers or tags. What is
unknown adds neither to the sum nor to the number, and has no gradient. The languages' transcripts share one
denominator, the tokens of the whole batch, so that a language counts in a batch by how much of it was sampled
(`data.alpha`), times lambda.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

from speech_mtl.datatypes import Batch, Outputs
from speech_mtl.targets.target import Target


@dataclass(frozen=True)
class Objective:
    """The tasks of a network in the order of their weights: the transcripts of each language, then the other targets.

    Attributes:
        languages: In the order of `language_ids`.
        targets: What is learned; the transcripts come first.
        known: Names of the tasks that training has any transcript or label of. None: all.
        trained: Languages that batches may have. None: all.
    """

    languages: tuple[str, ...]
    targets: tuple[Target, ...]
    known: tuple[str, ...] | None = None
    trained: tuple[str, ...] | None = None

    def __post_init__(self):
        if [i for i, target in enumerate(self.targets) if target.by_language] != [0]:
            raise ValueError(f"The transcripts must be the first target. Received: {', '.join(self.columns)}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the targets, C, in the order of the columns of `losses`."""
        return tuple(target.name for target in self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tasks, T."""
        return (*self.languages, *self.columns[1:])

    @property
    def likelihood_factors(self) -> np.ndarray:
        """(T,) see `Target.likelihood_factor`."""
        transcripts, *others = [target.likelihood_factor for target in self.targets]
        return np.array([transcripts] * len(self.languages) + others)

    @property
    def learned(self) -> np.ndarray:
        """(T,) bool, which tasks training has anything of; the others' weights weigh nothing."""
        return np.array([self.known is None or name in self.known for name in self.names])

    def counts(self, batch: Batch, num_frames):
        """(B, C) known entries of each utterance, of which `num_frames` (B,) are the true encoder frames."""
        return ops.stack([target.counts(batch.targets[target.name], num_frames) for target in self.targets], axis=1)

    def losses(self, outputs: Outputs, batch: Batch):
        """Sums of the loss of each utterance, in nats or squared deviations, and of how many entries: both (B, C)."""
        losses = [
            target.losses(outputs.values[target.name], batch.targets[target.name], outputs.num_frames)
            for target in self.targets
        ]
        return ops.stack(losses, axis=1), self.counts(batch, outputs.num_frames)

    def by_task(self, losses, counts, language_ids):
        """Terms of the tasks in the objective at a loss weight of 1: (T,).

        The utterances may be a part of the batch; `counts` are those of the whole one, of which only the sums matter.
        """
        of_language = ops.one_hot(language_ids, len(self.languages), dtype="float32")
        numbers = ops.maximum(ops.sum(counts, axis=0), 1.0)
        by_language, others = ops.matmul(losses[:, 0], of_language), ops.sum(losses[:, 1:], axis=0)
        return ops.concatenate([by_language / numbers[0], others / numbers[1:]], axis=0)

    def observed(self, losses: np.ndarray, counts: np.ndarray, batch: Batch, sample_rate_hz: int) -> "Observed":
        """Observations of each task in a batch, from the results of `losses`."""
        language_ids, seconds = np.asarray(batch.language_ids), np.asarray(batch.num_samples) / sample_rate_hz

        def by_task(of_utterances: np.ndarray) -> np.ndarray:
            transcripts, others = of_utterances[:, 0], of_utterances[:, 1:]
            languages = np.bincount(language_ids, transcripts, minlength=len(self.languages))
            return np.concatenate([languages, others.sum(axis=0)])

        speech = np.repeat(seconds[:, None], len(self.targets), axis=1)
        speech[:, 0] *= counts[:, 0] > 0
        return Observed(by_task(losses), by_task(counts), by_task(speech))

    def norms(self, products: np.ndarray, observed: "Observed") -> np.ndarray:
        """(T,) norm of the gradient of each L_i, from the inner products of what tasks add to the objective.

        A language adds its fraction of the batch's tokens times L_i; that fraction is taken out again.
        """
        fractions, tokens = np.ones(len(observed.counts)), observed.counts[: len(self.languages)]
        fractions[: len(tokens)] = tokens / max(1.0, tokens.sum())
        return np.sqrt(np.maximum(np.diag(products), 0.0)) / np.where(fractions > 0, fractions, 1.0)


@dataclass(frozen=True)
class Observed:
    """Observations of each task in a batch.

    Attributes:
        sums: (T,) loss, summed over entries.
        counts: (T,) known entries: tokens, labels, tags.
        seconds: (T,) speech of the utterances.
        norms: (T,) norm of the gradient of L_i in the last shared layer; None if nobody asked.
    """

    sums: np.ndarray
    counts: np.ndarray
    seconds: np.ndarray
    norms: np.ndarray | None = None

    @property
    def present(self) -> np.ndarray:
        """(T,) bool, whether the batch has anything of a task."""
        return self.counts > 0

    @property
    def losses(self) -> np.ndarray:
        """(T,) L_i, 0 where the batch has nothing of a task."""
        return self.sums / np.maximum(self.counts, 1)
