"""What is held out and in training too is found as comparing every pair finds it."""

from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data.leaks import same_audio, same_sentence, speakers_line
from speech_mtl.datatypes import Utterance


@pytest.mark.parametrize(("num_held_out", "num_training"), [(0, 5), (5, 0), (1, 1), (40, 60)])
def test_same_audio_is_found_as_in_a_comparison_of_all_pairs(num_held_out: int, num_training: int):
    generator = np.random.default_rng(0)
    held_out, training = (
        generator.integers(2**63, 2**63 + 50, size, dtype=np.uint64) for size in (num_held_out, num_training)
    )
    expected = [next((place for place in range(num_training) if training[place] == digest), -1) for digest in held_out]
    assert same_audio(held_out, training).tolist() == expected
    assert num_held_out < 40 or (max(expected) > 0 > min(expected))


def utterance(source: str, text: str | None, speaker: str | None) -> Utterance:
    return Utterance("x", Path("x.wav"), "aa", text, 1.0, speaker, source=source)


def test_same_sentences_are_found_as_in_a_comparison_of_all_pairs():
    generator = np.random.default_rng(0)

    def some(name: str, size: int) -> list[Utterance]:
        texts, speakers = ["A b", "a B", "c", "", None, "d e"], ["s", "t", None]
        draws = generator.integers(len(texts), size=size), generator.integers(len(speakers), size=size)
        return [utterance(f"{name}:{i}", texts[a], speakers[b]) for i, (a, b) in enumerate(zip(*draws, strict=True))]

    def lower(one: Utterance) -> str:
        return (one.text or "").lower()

    held_out, training = some("test", 30), some("train", 9)
    expected = {}
    for one in held_out:
        for other in training:
            alike = (
                one.speaker is not None and one.speaker == other.speaker and lower(one) and lower(one) == lower(other)
            )
            if alike and one.source not in expected:
                expected[one.source] = other.source
    found = same_sentence(held_out, training, lower)
    assert found == expected
    assert 0 < len(found) < 30


def test_only_texts_of_speakers_that_are_in_both_are_normalised():
    read = []

    def normalize(one: Utterance) -> str:
        read.append(one.source)
        return one.text or ""

    assert (
        same_sentence([utterance("a", "x", "s")], [utterance("b", "x", "t"), utterance("c", "x", None)], normalize)
        == {}
    )
    assert read == ["a"]


@pytest.mark.parametrize(
    ("held_out", "training", "line"),
    [
        (["s", "s"], ["s", "t"], "its only speaker is in training too"),
        (["s", "t"], ["s", "t", None], "all 2 speakers are in training too"),
        (["s", "t"], ["s"], "1 of 2 known speakers is in training too"),
        (["s", None], ["s"], "1 of 1 known speakers is in training too"),
        (["s"], ["t"], None),
        ([None], [None], None),
    ],
)
def test_speakers_are_told(held_out: list, training: list, line: str | None):
    assert speakers_line(held_out, training) == line
