"""Finds speech of dev and test splits that is also in training: the same audio, sentences or speakers."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from speech_mtl.datatypes import Utterance

SAME_LENGTH_S = 0.02
"""By how much a lossy format changes a recording's length at most; two readings of a text seldom differ so little."""


def same_audio(held_out: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Finds utterances whose audio is in training, to the sample: in other files, copied, or in another lossless form.

    Args:
        held_out: (N,) uint64, digests of decoded audio; see `WaveformStore`.
        training: (M,) uint64, the same of training.

    Returns:
        (N,) int64, the first training utterance with the audio of each; -1 where there is none.
    """
    if not len(training):
        return np.full(len(held_out), -1, np.int64)
    order = np.argsort(training, kind="stable")
    places = np.searchsorted(training, held_out, sorter=order)
    candidates = order[np.minimum(places, len(training) - 1)]
    return np.where(training[candidates] == held_out, candidates, -1)


def same_sentence(
    held_out: Iterable[Utterance], training: Iterable[Utterance], normalize: Callable[[Utterance], str]
) -> dict[str, str]:
    """Finds utterances whose text is in training, by the same speaker; or as long, where a speaker is unknown.

    Training is read once.

    Args:
        held_out: Of dev and test splits.
        training: What training uses.
        normalize: Gives the canonical form of an utterance's text.

    Returns:
        By the source of an utterance that is held out, the source of the first in training with the same text.
    """
    wanted: dict[str, list[Utterance]] = {}
    for utterance in held_out:
        if utterance.text and (text := normalize(utterance)):
            wanted.setdefault(text, []).append(utterance)
    speakers = {utterance.speaker for own in wanted.values() for utterance in own}
    found: dict[str, str] = {}
    for utterance in training:
        if utterance.text and (None in speakers or utterance.speaker is None or utterance.speaker in speakers):
            for one in wanted.get(normalize(utterance), ()):
                if _may_be_one(one, utterance):
                    found.setdefault(one.source, utterance.source)
    return found


def _may_be_one(utterance: Utterance, other: Utterance) -> bool:
    """Whether utterances of one text may be one recording, perhaps in another lossy form, or one speaker's."""
    if utterance.speaker is not None and other.speaker is not None:
        return utterance.speaker == other.speaker
    return abs(utterance.duration_s - other.duration_s) <= SAME_LENGTH_S


def speakers_line(held_out: Sequence[str | None], training: Iterable[str | None]) -> str | None:
    """Describes a split's speakers that are in training; None if there are none."""
    own = {speaker for speaker in held_out if speaker is not None}
    known = own & set(training)
    if not known:
        return None
    if known == own and None not in held_out:
        return ("its only speaker is" if len(own) == 1 else f"all {len(own)} speakers are") + " in training too"
    return f"{len(known)} of {len(own)} known speakers {'is' if len(known) == 1 else 'are'} in training too"
