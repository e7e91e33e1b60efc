"""Finds speech of dev and test splits that is also in training: the same audio, sentences or speakers."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from speech_mtl.data.text import normalize
from speech_mtl.datatypes import Utterance

SAME_LENGTH_S = 0.02
"""By how much a lossy format changes a recording's length at most; two readings of a text seldom differ so little."""


FEW = 20
"""With fewer utterances a split only tests the pipeline: utterances that are in training are named, and not refused."""


def too_many_leaks(num_leaks: int, num_held_out: int, allowed: float) -> bool:
    """Whether more of a dev or test split has its audio in training than may have."""
    return num_held_out >= FEW and num_leaks > max(1, allowed * num_held_out)


def comparable_text(utterance: Utterance) -> str:
    """The text of an utterance as it is compared with those of other languages."""
    return normalize(utterance.text or "", "und")


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
    held_out: Iterable[Utterance],
    training: Iterable[Utterance],
    normalized: Callable[[Utterance], str],
    any_speaker: bool = False,
) -> dict[str, Utterance]:
    """Finds utterances whose text is in training, by the same speaker; or as long, where a speaker is unknown.

    Training is read once.

    Args:
        held_out: Of dev and test splits.
        training: What training uses.
        normalized: Gives the canonical form of an utterance's text.
        any_speaker: Whether those count, too, whose text another speaker of the same language has in training.

    Returns:
        By the source of an utterance that is held out, the first in training with the same text, which is one by the
        same speaker where there is one.
    """
    wanted: dict[str, list[Utterance]] = {}
    for utterance in held_out:
        if utterance.text and (text := normalized(utterance)):
            wanted.setdefault(text, []).append(utterance)
    speakers = {utterance.speaker for own in wanted.values() for utterance in own}
    found: dict[str, Utterance] = {}
    others: dict[str, Utterance] = {}
    for utterance in training:
        known = any_speaker or None in speakers or utterance.speaker is None or utterance.speaker in speakers
        if utterance.text and known:
            for one in wanted.get(normalized(utterance), ()):
                if _may_be_one(one, utterance):
                    found.setdefault(one.source, utterance)
                elif any_speaker and one.language == utterance.language:
                    others.setdefault(one.source, utterance)
    return others | found


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
