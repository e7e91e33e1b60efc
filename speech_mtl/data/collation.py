"""Examples -> batches: their audio is read, perturbed and padded to one rectangle."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from speech_mtl.data.audio import add_noise, change_speed
from speech_mtl.data.augmentation import WaveformAugmentation, augmented
from speech_mtl.data.examples import Examples
from speech_mtl.data.sampling import SampledExample
from speech_mtl.data.threads import ahead
from speech_mtl.datatypes import Batch

Own = Callable[[int, int], range]
"""(rows of a batch, numbers that the network gets for its longest utterance) -> the rows that this process reads."""


Input = tuple[np.ndarray, int, dict[str, np.ndarray]]
"""What the network gets for an example, its number of samples, and its values by target."""


def collate(
    sampled: Sequence[SampledExample],
    examples: Mapping[int, Examples],
    augmentations: Sequence[WaveformAugmentation] = (),
    own: Own | None = None,
) -> Batch:
    """Reads and perturbs the waveforms of one batch, and pads them to one rectangle.

    Args:
        sampled: What is in the batch.
        examples: By language id.
        augmentations: In the order in which they are applied.
        own: Which rows to read, if others are read by other processes: these are silent here and without labels, as
            long as they are by the plan.
    """
    if own is None:
        found = [_input(one, examples[one.language], augmentations) for one in sampled]
    else:
        found = _own_inputs(sampled, examples, augmentations, own)
    padded, _ = padded_rows([waveform for waveform, *_ in found], np.float32)
    sizes = np.array([num_samples for _, num_samples, _ in found], dtype=np.int32)
    languages = np.array([one.language for one in sampled], dtype=np.int32)
    targets = {
        name: column.target.stacked([values[name] for *_, values in found])
        for name, column in examples[sampled[0].language].targets.items()
    }
    return Batch(padded, sizes, languages, targets)


def _own_inputs(
    sampled: Sequence[SampledExample],
    examples: Mapping[int, Examples],
    augmentations: Sequence[WaveformAugmentation],
    own: Own,
) -> list[Input]:
    """What the network gets for the rows of this process, and silence of the lengths of the plan for the others."""
    silent = [_silence(one, examples[one.language]) for one in sampled]
    rows = own(len(sampled), max(len(given) for given, *_ in silent))
    return [
        _input(one, examples[one.language], augmentations) if row in rows else silent[row]
        for row, one in enumerate(sampled)
    ]


def _silence(one: SampledExample, examples: Examples) -> Input:
    """What stands for an example that is not read: as long, and without labels."""
    num_samples, columns = examples.length(one.example, one.speed), examples.targets.items()
    values = {name: column.of_rows(column.target.rows(None), num_samples, one.speed) for name, column in columns}
    return np.zeros(examples.num_inputs(num_samples), np.float32), num_samples, values


def _input(one: SampledExample, examples: Examples, augmentations: Sequence[WaveformAugmentation]) -> Input:
    """What the network gets for an example, its number of samples, and its values by target."""
    if examples.made is not None:
        given, num_samples = examples.made(int(examples.positions[one.example]), one.speed)
        rows = examples.rows(one.example)
    else:
        waveform, rows = examples.read(one.example)
        waveform = change_speed(waveform, one.speed)
        if one.snr_db is not None:
            waveform = add_noise(waveform, one.snr_db, np.random.default_rng(one.seed))
        given, num_samples = waveform, len(waveform)
        if augmentations:
            given = augmented(waveform, augmentations, one.seed)
    columns = examples.targets.items()
    return given, num_samples, {name: column.of_rows(rows[name], num_samples, one.speed) for name, column in columns}


def batches(
    plan: Iterable[list[SampledExample]],
    examples: Mapping[int, Examples],
    num_threads: int,
    augmentations: Sequence[WaveformAugmentation] = (),
    own: Own | None = None,
) -> Iterator[Batch]:
    """Collates the batches of a plan ahead of time, in `num_threads` threads, and yields them in order."""
    collated = partial(collate, examples=examples, augmentations=augmentations, own=own)
    return ahead(collated, plan, num_threads, most=2 * num_threads)


def padded_rows(rows: Sequence[np.ndarray], dtype: type):
    """Rows of different length -> one zero-padded matrix, and the (B,) int32 true lengths."""
    sizes = np.array([len(row) for row in rows], dtype=np.int32)
    matrix = np.zeros((len(rows), int(sizes.max(initial=0))), dtype=dtype)
    for target, row in zip(matrix, rows, strict=True):
        target[: len(row)] = row
    return matrix, sizes
