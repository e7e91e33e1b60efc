"""What the mouth does in each phone, from panphon: labels of frames for the task kind `frame_tags`."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

from speech_mtl.data.espeak import Phone
from speech_mtl.errors import refuse_missing

FEATURES = {
    "syl": "syllabic",
    "son": "sonorant",
    "cont": "continuant",
    "nas": "nasal",
    "voi": "voiced",
    "strid": "strident",
    "lat": "lateral",
    "lab": "labial",
    "cor": "coronal",
    "hi": "high",
    "lo": "low",
    "back": "back",
    "round": "round",
}
"""panphon's features that are used, and what we call them."""

SPEECH = "speech"
"""The tag that is 1 in phones and 0 in pauses."""

SIGNS = {1: 1, -1: 0, 0: None}
"""panphon's +, - and 0, which stands for a feature that a phone does not have."""


def articulation(phones: Sequence[Phone], duration_s: float) -> dict[str, list]:
    """The label of an utterance: segments with their ends in seconds and, by feature, 1, 0 or None.

    What lies before the first phone is a pause.
    """
    found = [Phone(0.0, ""), *phones] if not phones or phones[0].start_s > 0 else list(phones)
    ends_s = [round(phone.start_s, 3) for phone in found[1:]] + [round(duration_s, 3)]
    tags = [tags_of(phone.ipa) for phone in found]
    columns: dict[str, list[Any]] = {name: [one[name] for one in tags] for name in (SPEECH, *FEATURES.values())}
    return {"end_s": ends_s, **columns}


@functools.cache
def tags_of(ipa: str) -> dict[str, int | None]:
    """The features of a phone; None where it does not have one, or where the parts of a diphthong or affricate differ.

    In a pause, and in a phone that panphon does not know, only the tag `speech` is known.
    """
    vectors = _table().word_to_vector_list(ipa, numeric=True) if ipa else []
    tags: dict[str, int | None] = {SPEECH: int(bool(ipa))}
    for feature, name in FEATURES.items():
        signs = {vector[_table().names.index(feature)] for vector in vectors}
        tags[name] = SIGNS[signs.pop()] if len(signs) == 1 else None
    return tags


@functools.cache
def _table() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of a backslash in one of its docstrings
        refuse_missing("panphon", extra="corpora", purpose="Articulatory features")
    import panphon

    return panphon.FeatureTable()
