"""Labels that count as unknown, and what an utterance's labels are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech_mtl.data.corrupted import LabelMasking
from speech_mtl.datatypes import TRANSCRIPT, Utterance


def utterance(number: int = 0, **fields: Any) -> Utterance:
    made = Utterance(f"u{number}", Path("a.wav"), "cs", "ahoj", 1.0, "s1", source=f"train.jsonl:{number + 1}")
    return replace(made, **fields)


SPOKEN = [utterance(i, labels={"mood": "sad", "age": i}) for i in range(4000)]


def keeps(masking: LabelMasking, name: str, utterances: list[Utterance] = SPOKEN) -> np.ndarray:
    """Which utterances are left with a label."""
    left = map(masking, utterances)
    return np.array([u.label(name) is not None for u in left])


def within_sampling_error(shares: np.ndarray, expected: float) -> bool:
    return abs(shares.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(shares))


@pytest.mark.parametrize("name", ["mood", TRANSCRIPT, "speaker"])
def test_removal_keeps_the_share(name):
    for share in (0.1, 0.3, 0.9):
        assert within_sampling_error(keeps(LabelMasking({name: share}), name), share)
    assert keeps(LabelMasking({name: 1.0}), name).all()


def test_what_little_keeps_more_keeps_too():
    little, more = (keeps(LabelMasking({"mood": share}), "mood") for share in (0.3, 0.6))
    assert (more | ~little).all()
    assert (more & ~little).any()


def test_labels_are_removed_independently_of_each_other():
    for names in (("mood", "age"), ("mood", TRANSCRIPT)):
        masking = LabelMasking(dict.fromkeys(names, 0.5))
        one, other = (keeps(masking, name) for name in names)
        assert within_sampling_error(one & other, 0.25)


def test_a_seed_has_its_own_labels():
    one, again, other = (keeps(LabelMasking({"mood": 0.5}, seed), "mood") for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert within_sampling_error(one & other, 0.25)


def test_only_the_id_decides():
    """Not the order of the corpus, nor what else is known of the utterance, nor what else is removed."""
    expected = keeps(LabelMasking({"mood": 0.4}), "mood")
    backwards = keeps(LabelMasking({"mood": 0.4}), "mood", SPOKEN[::-1])
    np.testing.assert_array_equal(backwards[::-1], expected)
    others = [replace(u, text=None, language="de", duration_s=9.0, source="", labels={"mood": "x"}) for u in SPOKEN]
    np.testing.assert_array_equal(keeps(LabelMasking({"mood": 0.4}), "mood", others), expected)
    np.testing.assert_array_equal(keeps(LabelMasking({"age": 0.2, "mood": 0.4, TRANSCRIPT: 0.5}), "mood"), expected)


def test_nothing_else_is_lost():
    whole = utterance(labels={"mood": "sad", "age": 3})
    assert LabelMasking()(whole) is whole
    assert LabelMasking({"mood": 1.0, TRANSCRIPT: 1.0})(whole) is whole
    assert LabelMasking({"mood": 1e-12})(whole) == replace(whole, labels={"mood": None, "age": 3})
    assert LabelMasking({TRANSCRIPT: 1e-12})(whole) == replace(whole, text=None)
    unspoken = LabelMasking({"speaker": 1e-12, "language": 1e-12})(whole)
    assert (unspoken.label("speaker"), unspoken.label("language")) == (None, None)
    assert (unspoken.text, unspoken.language, unspoken.label("mood")) == ("ahoj", "cs", "sad")
    assert whole.labels == {"mood": "sad", "age": 3}, "the utterance itself stays as it was"


def test_labels_come_before_language_and_speaker():
    assert (utterance().label("language"), utterance().label("speaker"), utterance().label("mood")) == (
        "cs",
        "s1",
        None,
    )
    own = utterance(labels={"language": "sk", "speaker": None})
    assert (own.label("language"), own.label("speaker")) == ("sk", None)
