"""What is held out and in training too is found as comparing every pair finds it."""

from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data.leaks import same_audio, same_sentence, speakers_line
from speech_mtl.data.text import normalize
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


def test_every_recording_of_training_is_found_the_largest_digest_too():
    training = np.random.default_rng(0).permutation(np.arange(2**63, 2**63 + 9, dtype=np.uint64))
    assert same_audio(training, training).tolist() == list(range(9))


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
            known = one.speaker is not None and other.speaker is not None
            alike = lower(one) and lower(one) == lower(other) and (one.speaker == other.speaker or not known)
            if alike and one.source not in expected:
                expected[one.source] = other.source
    found = same_sentence(held_out, training, lower)
    assert {line: other.source for line, other in found.items()} == expected
    assert 0 < len(found) < 30


def test_texts_of_other_speakers_are_not_normalised():
    read = []

    def normalize(one: Utterance) -> str:
        read.append(one.source)
        return one.text or ""

    assert (
        same_sentence([utterance("a", "x", "s")], [utterance("b", "x", "t"), utterance("c", "y", "u")], normalize) == {}
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


@pytest.mark.parametrize(
    ("speaker", "in_training", "longer_s", "found"),
    [(None, None, 0.01, True), (None, None, 0.5, False), ("a", None, 0.0, True), ("a", "b", 0.0, False)],
)
def test_a_sentence_of_an_unknown_speaker_is_known_by_its_length(speaker, in_training, longer_s, found):
    test = Utterance("t", Path("t.ogg"), "cs", "dobrý den", 2.0, speaker, source="test:1")
    train = Utterance("u", Path("u.wav"), "cs", "Dobrý den!", 2.0 + longer_s, in_training, source="train:1")
    said = same_sentence([test], [train], lambda utterance: normalize(utterance.text or "", "cs"))
    assert said == ({"test:1": train} if found else {})
