"""Cuts one manifest into train, dev and test: no speaker, text or recording is in two of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import numpy as np

from speech_mtl.corpus.manifests import ManifestFile
from speech_mtl.data.leaks import comparable_text
from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.data.place import Place, place_of
from speech_mtl.data.sampling import within_budget
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError

MOST = 2.0
"""A dev or test split may be so many times as long as wished where speakers cannot be cut."""

BY_TEXTS = "split by texts alone with --share-speakers: errors are then not those of new speakers"


@dataclass(frozen=True)
class SplitSettings:
    """How a manifest is cut.

    Attributes:
        dev, test: Fractions of the speech; 0 for no such split.
        seed: Decides which speakers or texts go where.
        share_speakers: Whether speakers and recordings may be in several splits, so that only texts and stretches that
            overlap are kept apart.
        drop_shared_texts: Whether speakers are kept apart at the cost of training utterances whose text dev or test
            has, and of dev utterances whose text test has: these are left out.
    """

    dev: float
    test: float
    seed: int = 0
    share_speakers: bool = False
    drop_shared_texts: bool = False


@dataclass(frozen=True)
class Cut:
    """The splits of a manifest.

    Attributes:
        splits: The utterances of each, in the order of the manifest.
        left_out: Those whose text is in another split.
    """

    splits: Mapping[str, Sequence[Utterance]]
    left_out: Sequence[Utterance]


def cut(file: ManifestFile, settings: SplitSettings) -> Cut:
    """Cuts a manifest.

    Utterances that must stay together (by speaker, text, recording) form groups. Groups are taken in a random order
    for test, then for dev, as long as that brings the split nearer to its length.

    Raises:
        InputError: The manifest cannot be read, or cannot be cut so.
    """
    utterances = list(read_manifest(file.path))
    if not settings.share_speakers:
        _refuse_unknown_speakers(file, utterances)
    made = _cut(utterances, settings)
    if made is None:
        raise _impossible(file, utterances, settings)
    if not all(made.splits.values()):
        raise _nothing_left(file, made)
    return made


def write_splits(data_dir: Path, language: str, made: Cut) -> None:
    """Writes `DATA_DIR/LANGUAGE/{train,dev,test}.jsonl`.

    Raises:
        InputError: One of them is there already.
    """
    paths = {split: manifest_path(data_dir, language, split) for split in made.splits}
    if there := [path for path in paths.values() if path.exists()]:
        raise InputError(
            f"{there[0]} is there already",
            expected="a DATA_DIR without manifests of this language",
            received=", ".join(map(str, there)),
            action="choose another folder with --out: nothing in this one was touched",
        )
    for split, path in paths.items():
        write_manifest(path, made.splits[split])


def budget_sizes(
    utterances: Sequence[Utterance], budgets_s: Iterable[float], seed: int
) -> list[tuple[float, int, int]]:
    """The subsets that budgets take of a training split, transcribed speech only; a larger one holds a smaller one.

    Args:
        utterances: The split, in the order of its manifest.
        budgets_s: As `languages.*.budget_s`.
        seed: As `data.subset_seed`.

    Returns:
        Of each: its seconds, utterances and speakers.

    Raises:
        InputError: A budget is more than there is.
    """
    durations_s, sizes = np.array([one.duration_s * (one.text is not None) for one in utterances]), []
    for budget_s in budgets_s:
        taken = within_budget(durations_s, budget_s, seed, "the training split")
        speakers = {utterances[i].speaker for i in taken} - {None}
        sizes.append((float(durations_s[taken].sum()), len(taken), len(speakers)))
    return sizes


def _refuse_unknown_speakers(file: ManifestFile, utterances: Sequence[Utterance]) -> None:
    if unknown := [one for one in utterances if one.speaker is None]:
        raise InputError(
            f"{unknown[0].source}: the speaker is unknown, so speakers cannot be kept apart",
            expected="a speaker in every line",
            received=f"{len(unknown)} of {len(utterances)} utterances of {file.path} without",
            action=f"add speakers, or {BY_TEXTS}",
        )


def _cut(utterances: Sequence[Utterance], settings: SplitSettings) -> Cut | None:
    """The splits, of which leaving out shared texts may leave nothing; None if there is no way."""
    groups = _groups(utterances, settings)
    split_of = _assigned(_seconds(utterances, groups), settings)
    if split_of is None:
        return None
    splits = {
        split: [one for one, group in zip(utterances, groups, strict=True) if split_of[group] == split]
        for split in SPLITS
        if split_of.count(split)
    }
    return _without_shared_texts(splits) if settings.drop_shared_texts else Cut(splits, [])


def _seconds(utterances: Sequence[Utterance], groups: np.ndarray) -> np.ndarray:
    """The seconds of each group."""
    return np.bincount(groups, [utterance.duration_s for utterance in utterances])


def _groups(utterances: Sequence[Utterance], settings: SplitSettings) -> np.ndarray:
    """(N,) numbers of the groups that must stay together: connected components over what utterances have in common."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = [place_of(utterance.audio) for utterance in utterances]
    recordings = [replace(place, start_s=None, end_s=None, channel=None) for place in places]
    numbers: dict[tuple, int] = {}
    rows, columns = [], []
    overlaps = _overlaps(places, recordings)
    for row, utterance in enumerate(utterances):
        keys: list[tuple] = [("overlap", overlaps[row])]
        if not settings.share_speakers:
            keys += [("recording", recordings[row]), ("speaker", utterance.speaker)]
        if not settings.drop_shared_texts and (text := comparable_text(utterance)):
            keys.append(("text", text))
        for key in keys:
            rows.append(row)
            columns.append(len(utterances) + numbers.setdefault(key, len(numbers)))
    size = len(utterances) + len(numbers)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: len(utterances)]
    return np.unique(labels, return_inverse=True)[1]


def _overlaps(places: Sequence[Place], recordings: Sequence[Place]) -> list[int]:
    """(N,) of each utterance the first that it overlaps with, itself or through others, in any channel."""
    starts_s = [place.start_s or 0.0 for place in places]
    firsts, latest = [0] * len(places), {}
    for row in sorted(range(len(places)), key=starts_s.__getitem__):
        first, end_s = latest.get(recordings[row], (row, 0.0))
        firsts[row] = row if starts_s[row] >= end_s else first
        own_end_s = places[row].end_s
        latest[recordings[row]] = firsts[row], max(end_s, inf if own_end_s is None else own_end_s)
    return firsts


def _assigned(seconds: np.ndarray, settings: SplitSettings) -> list[str] | None:
    """The split of each group; None if there is no way."""
    splits = ["train"] * len(seconds)
    order = np.random.default_rng(settings.seed).permutation(len(seconds)).tolist()
    for split, fraction in (("test", settings.test), ("dev", settings.dev)):
        if fraction == 0:
            continue
        wanted_s, taken_s = fraction * seconds.sum(), 0.0
        free = [group for group in order if splits[group] == "train"]
        for group in free:
            if abs(taken_s + seconds[group] - wanted_s) < abs(taken_s - wanted_s):
                splits[group], taken_s = split, taken_s + seconds[group]
        if taken_s == 0 and free:  # all are more than twice as long as wished
            group = min(free, key=lambda one: seconds[one])
            splits[group], taken_s = split, seconds[group]
        if not 0 < taken_s <= MOST * wanted_s:
            return None
    return splits if "train" in splits else None


def _impossible(file: ManifestFile, utterances: Sequence[Utterance], settings: SplitSettings) -> InputError:
    seconds = _seconds(utterances, _groups(utterances, settings))
    num_speakers = len({one.speaker for one in utterances})
    largest = seconds.max() / seconds.sum()
    speakers = f"{num_speakers} speaker" + "s" * (num_speakers > 1)
    received = f"{speakers}; {len(seconds)} groups with nothing in common, the largest {largest:.0%} of the speech"
    if settings.share_speakers:
        action = "lower --dev and --test, or record more texts"
    elif num_speakers == 1:
        action = BY_TEXTS
    elif num_speakers == len(seconds) == 2 and settings.dev and settings.test:
        action = f"{BY_TEXTS}; or have no dev split with --dev 0"
    elif (made := _cut(utterances, replace(settings, drop_shared_texts=True))) is None or not all(made.splits.values()):
        action = BY_TEXTS
    else:
        action = f"leave out training utterances whose text is in dev or test with --drop-shared-texts, or {BY_TEXTS}"
    apart = "texts" if settings.share_speakers else "speakers, texts and recordings"
    return InputError(
        f"{file.path} cannot be split with its {apart} kept apart",
        expected=f"groups of which {settings.test:.0%} of the speech can be test and {settings.dev:.0%} dev, or at "
        f"most {MOST:g} times as much",
        received=received,
        action=action,
    )


def _nothing_left(file: ManifestFile, made: Cut) -> InputError:
    sizes = ", ".join(f"{split} {len(own)}" for split, own in made.splits.items())
    return InputError(
        f"{file.path} cannot be split without the texts that several splits have",
        expected="at least one utterance of each split whose text no other split has",
        received=f"{sizes}; {len(made.left_out)} left out for their text",
        action=BY_TEXTS,
    )


def _without_shared_texts(splits: Mapping[str, Sequence[Utterance]]) -> Cut:
    """Leaves out of training the texts of dev and test, and out of dev those of test."""
    taken: set[str] = set()
    kept: dict[str, list[Utterance]] = {}
    left_out: list[Utterance] = []
    for split in ("test", "dev", "train"):
        own = splits.get(split, ())
        texts = [comparable_text(one) for one in own]
        kept[split] = [one for one, text in zip(own, texts, strict=True) if text not in taken]
        left_out += [one for one, text in zip(own, texts, strict=True) if text in taken]
        taken.update(text for text in texts if text)
    return Cut({split: kept[split] for split in splits}, left_out)
