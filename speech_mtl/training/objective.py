"""The objective L = sum_i lambda_i L_i over tasks: the transcripts of each language, and whatever else is predicted.

L_i is the mean loss of the known entries of task i in the batch: of its tokens, classes, numbers or tags. What is
unknown adds neither to the sum nor to the number, and has no gradient. The languages' transcripts share one
denominator, the tokens of the whole batch, so that a language counts in a batch by how much of it was drawn
(`data.alpha`), times lambda.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops

from speech_mtl.backend import ctc_loss
from speech_mtl.datatypes import Batch, Logits
from speech_mtl.models.features import frame_mask
from speech_mtl.tasks import Task


@dataclass(frozen=True)
class Objective:
    """The tasks of a network in the order of their weights: its languages, then its other tasks.

    Attributes:
        languages: In the order of `language_ids`.
        tasks: All others, in the order of their heads.
        known: Names of those that training has any transcript or label of. None: all.
    """

    languages: tuple[str, ...]
    tasks: tuple[Task, ...] = ()
    known: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all tasks, T."""
        return (*self.languages, *(task.name for task in self.tasks))

    @property
    def learned(self) -> np.ndarray:
        """(T,) bool, which tasks training has anything of; the others' weights weigh nothing."""
        return np.array([self.known is None or name in self.known for name in self.names])

    def losses(self, logits: Logits, batch: Batch):
        """Sums of the loss of each utterance, in nats or squared deviations, and of how many entries: both (B, 1 + K).

        Column 0 is the transcript and counts tokens; each other task has a column.
        """
        columns = [ctc_loss(logits.values, logits.num_frames, batch.tokens, batch.num_tokens)]
        counts = [ops.cast(batch.num_tokens, "float32")]
        for task in self.tasks:
            values = batch.labels[task.name]
            if task.over_frames:
                values = _true_frames(values, logits.labels[task.name], logits.num_frames)
            sums, known = _known_losses(task, logits.labels[task.name], values)
            columns.append(sums)
            counts.append(known)
        return ops.stack(columns, axis=1), ops.stack(counts, axis=1)

    def by_task(self, losses, counts, language_ids):
        """What each task adds to the objective at a weight of 1: (T,)."""
        of_language = ops.one_hot(language_ids, len(self.languages), dtype="float32")
        sums = ops.sum(losses, axis=0)
        numbers = ops.maximum(ops.sum(counts, axis=0), 1.0)
        transcripts = ops.matmul(losses[:, 0], of_language) / numbers[0]
        return ops.concatenate([transcripts, sums[1:] / numbers[1:]], axis=0)

    def observed(self, losses: np.ndarray, counts: np.ndarray, batch: Batch, sample_rate_hz: int) -> "Observed":
        """What a batch showed of each task, from the results of `losses`."""
        language_ids, size = np.asarray(batch.language_ids), len(self.languages)
        seconds = np.asarray(batch.num_samples) / sample_rate_hz * (np.asarray(batch.num_tokens) > 0)
        by_language = [
            np.bincount(language_ids, weights=column, minlength=size)
            for column in (losses[:, 0], counts[:, 0], seconds)
        ]
        others = losses[:, 1:].sum(axis=0), counts[:, 1:].sum(axis=0)
        total_s = np.full(len(self.tasks), float(np.asarray(batch.num_samples).sum()) / sample_rate_hz)
        sums, numbers, spoken_s = (np.concatenate(pair) for pair in zip(by_language, (*others, total_s), strict=True))
        return Observed(sums, numbers, spoken_s)

    def norms(self, products: np.ndarray, observed: "Observed") -> np.ndarray:
        """(T,) norm of the gradient of each L_i, from the inner products of what tasks add to the objective.

        A language adds its share of the batch's tokens times L_i; that share is taken out again.
        """
        size, counts = len(self.languages), observed.counts
        shares = np.ones(len(counts))
        shares[:size] = counts[:size] / max(1.0, counts[:size].sum())
        return np.sqrt(np.maximum(np.diag(products), 0.0)) / np.where(shares > 0, shares, 1.0)


@dataclass(frozen=True)
class Observed:
    """What a batch showed of each task.

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


def _known_losses(task: Task, outputs, values):
    """(B,) sums of the loss over known entries, and how many there are."""
    known = ops.logical_not(ops.isnan(values))
    entries = task.losses(outputs, ops.where(known, values, 0.0))
    entries = ops.where(known, entries, 0.0)
    axes: Sequence[int] = tuple(range(1, len(values.shape)))
    counted = ops.cast(known, "float32")
    return (ops.sum(entries, axis=axes), ops.sum(counted, axis=axes)) if axes else (entries, counted)


def _true_frames(values, outputs, num_frames):
    """(B, E', K) labels of frames as (B, E, K), with NaN wherever there is no label or no true frame."""
    size = ops.shape(outputs)[1]
    unknown = ops.full_like(outputs, np.nan)
    fitted = ops.concatenate([values, unknown], axis=1)[:, :size]
    return ops.where(frame_mask(num_frames, size)[:, :, None] > 0, fitted, unknown)
