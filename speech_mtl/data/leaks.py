"""Speech that is in a dev or test split and in training too: the same audio, the same sentence, the same speakers."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from speech_mtl.datatypes import Utterance


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
    """Finds utterances whose text is in training, by the same speaker. Unknown speakers count as different ones.

    Training is read once, and only texts of speakers that are in both are normalised.

    Args:
        held_out: Of dev and test splits.
        training: What training uses.
        normalize: Gives the canonical form of an utterance's text.

    Returns:
        By the source of an utterance that is held out, the source of the first in training that says the same.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for utterance in held_out:
        if utterance.speaker is not None and utterance.text and (text := normalize(utterance)):
            wanted.setdefault((utterance.speaker, text), []).append(utterance.source)
    speakers = {speaker for speaker, _ in wanted}
    found: dict[str, str] = {}
    for utterance in training:
        if utterance.speaker in speakers and utterance.text:
            for source in wanted.get((utterance.speaker, normalize(utterance)), ()):
                found.setdefault(source, utterance.source)
    return found


def speakers_line(held_out: Sequence[str | None], training: Iterable[str | None]) -> str | None:
    """What has to be said of a split's speakers: that training has them, or some; None where it has none of them."""
    own = {speaker for speaker in held_out if speaker is not None}
    known = own & set(training)
    if not known:
        return None
    if known == own and None not in held_out:
        return ("its only speaker is" if len(own) == 1 else f"all {len(own)} speakers are") + " in training too"
    return f"{len(known)} of {len(own)} known speakers {'is' if len(known) == 1 else 'are'} in training too"
