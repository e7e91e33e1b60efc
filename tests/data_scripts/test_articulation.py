"""Articulatory features, and the labels that synthetic speech has."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_scripts.articulation import FEATURES, SPEECH, articulation, tags_of
from data_scripts.synthetic import EMOTIONS, LABELS, VARIANTS, make_corpus, parse_labels
from speech_mtl.data.espeak import Delivery, Phone, espeak
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError
from speech_mtl.screen import Screen
from speech_mtl.targets.frame_multi_label import FrameMultiLabel


@pytest.mark.parametrize(
    ("ipa", "known"),
    [
        ("m", {"nasal": 1, "voiced": 1, "labial": 1, "syllabic": 0}),
        ("s", {"voiced": 0, "strident": 1, "continuant": 1, "nasal": 0}),
        ("b", {"voiced": 1, "continuant": 0, "sonorant": 0}),
        ("p", {"voiced": 0, "continuant": 0}),
        ("u", {"syllabic": 1, "high": 1, "back": 1, "round": 1}),
        ("i", {"high": 1, "back": 0, "round": 0}),
        ("l", {"lateral": 1, "sonorant": 1}),
    ],
)
def test_features_are_those_of_textbooks(ipa, known):
    found = tags_of(ipa)
    assert {name: found[name] for name in known} == known
    assert found[SPEECH] == 1


def test_what_differs_within_a_phone_is_unknown():
    diphthong, start, end = tags_of("aɪ"), tags_of("a"), tags_of("ɪ")
    for name in FEATURES.values():
        assert diphthong[name] == (start[name] if start[name] == end[name] else None)
    assert diphthong["high"] is None
    assert diphthong["syllabic"] == 1


@pytest.mark.parametrize(("ipa", "speech"), [("", 0), ("5", 1)])
def test_of_pauses_and_unknown_phones_nothing_else_is_known(ipa, speech):
    assert tags_of(ipa) == {SPEECH: speech, **dict.fromkeys(FEATURES.values())}


def test_segments_fill_the_utterance():
    label = articulation([Phone(0.1, "m"), Phone(0.25, "a")], 0.4)
    assert label["end_s"] == [0.1, 0.25, 0.4]
    assert label[SPEECH] == [0, 1, 1]
    assert label["nasal"] == [None, 1, 0]
    assert articulation([Phone(0.0, "m")], 0.3)["end_s"] == [0.3]
    assert articulation([], 0.3)[SPEECH] == [0]


def test_phones_lie_where_they_are_spoken():
    """A hiss between two vowels: the energy above 4 kHz is in its segment."""
    speech = espeak().speak("assa", Delivery(espeak().voice("it")))
    rate, phones = espeak().sample_rate_hz, speech.phones
    assert [phone.ipa for phone in phones if phone.ipa][0::2][0] == "a"
    hiss = next(i for i, phone in enumerate(phones) if phone.ipa.startswith("s"))
    shares = []
    for start, end in pairwise([*(phone.start_s for phone in phones), len(speech.waveform) / rate]):
        piece = speech.waveform[int(start * rate) : int(end * rate)]
        if len(piece) < 200 or not np.abs(piece).max():
            shares.append(0.0)
            continue
        power = np.abs(np.fft.rfft(piece)) ** 2
        shares.append(power[int(len(power) * 4000 / (rate / 2)) :].sum() / power.sum())
    assert int(np.argmax(shares)) == hiss


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    make_corpus(
        folder,
        ["de"],
        train_minutes={"de": 0.6},
        dev_utterances=24,
        test_utterances=0,
        labels=LABELS,
        shared_voices=True,
        jobs=1,
        screen=Screen(quiet=True),
    )
    return folder


def test_manifests_have_the_labels(corpus):
    utterances = list(read_manifest(manifest_path(corpus, "de", "dev")))
    assert all(set(utterance.labels) == set(LABELS) for utterance in utterances)
    assert len({utterance.labels["emotion"] for utterance in utterances}) == len(EMOTIONS)
    assert {utterance.labels["gender"] for utterance in utterances} == {"male", "female", None}
    for utterance in utterances:
        rates, *_ = EMOTIONS[utterance.labels["emotion"]]
        assert rates[0] <= utterance.labels["rate"] <= rates[1]
        assert str(utterance.speaker).split("+")[1] in VARIANTS["train"]
        assert utterance.labels["articulation"]["end_s"][-1] == pytest.approx(utterance.duration_s, abs=2e-3)
    labels = [utterance.labels["articulation"] for utterance in utterances]
    task = FrameMultiLabel.from_labels("a", "articulation", labels, unseen="refuse")
    assert set(task.names) == {SPEECH, *FEATURES.values()}


def test_ways_of_speaking_differ_in_length(corpus):
    """Seconds a letter: sad speech is slower than angry speech."""
    pace: dict[str, list[float]] = {}
    for split in ("train", "dev"):
        for utterance in read_manifest(manifest_path(corpus, "de", split)):
            seconds = soundfile.info(str(utterance.audio)).duration
            pace.setdefault(utterance.labels["emotion"], []).append(seconds / len(str(utterance.text)))
    assert np.mean(pace["sad"]) > 1.2 * np.mean(pace["angry"])


def test_labels_as_they_are_typed():
    assert parse_labels(" emotion, rate,emotion") == ("emotion", "rate")
    assert parse_labels("") == ()
    with pytest.raises(InputError, match="mood"):
        parse_labels("mood")
