"""Samples of utterances."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_up_manifests import good, written

from speech_mtl.corpus.listen import sampled
from speech_mtl.corpus.manifests import ManifestSet, find_manifests
from speech_mtl.data.audio import read_audio
from speech_mtl.errors import InputError


@pytest.fixture
def manifests(tmp_path: Path) -> list[ManifestSet]:
    written(tmp_path / "de" / "train.jsonl", good(0, 12, "ab"))
    written(tmp_path / "en" / "test.jsonl", good(50, 12, "c", language="en"), rate=8000, channels=2)
    return find_manifests([tmp_path])


def ids(found) -> list[str]:
    return [one.utterance.id for one in found]


def test_the_sample_is_of_the_seed_and_not_of_the_order(manifests):
    chosen = ids(sampled(manifests, None, None, 4, 0))
    assert len(chosen) == 8
    path = manifests[0].files[0].path
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    assert ids(sampled(manifests, None, None, 4, 0)) == chosen
    assert ids(sampled(manifests, None, None, 4, 1)) != chosen


def test_languages_and_splits_are_chosen(manifests):
    assert {one.file.language for one in sampled(manifests, ["EN"], None, 99, 0)} == {"en"}
    assert {one.file.split for one in sampled(manifests, None, ["train"], 99, 0)} == {"train"}
    with pytest.raises(InputError, match="No manifest is of these"):
        sampled(manifests, ["fr"], None, 1, 0)


def test_audio_is_what_training_gets(manifests):
    (one,) = sampled(manifests, ["en"], None, 1, 0)
    assert one.flac
    heard, rate = soundfile.read(BytesIO(one.flac))
    assert rate == 16_000
    assert heard == pytest.approx(read_audio(one.utterance.audio, 16_000), abs=2**-15)
    assert np.abs(heard).max() > 0.1


def test_the_rate_is_that_of_the_recipe(manifests, tmp_path):
    (one,) = sampled(find_manifests([tmp_path], ["data.sample_rate_hz=8000"]), ["en"], None, 1, 0)
    assert one.flac
    assert soundfile.read(BytesIO(one.flac))[1] == 8_000


def test_audio_that_cannot_be_decoded_is_said(manifests):
    one = sampled(manifests, ["de"], None, 1, 0)[0]
    one.utterance.audio.resolve().write_bytes(b"no audio")
    (again,) = sampled(manifests, ["de"], None, 1, 0)
    assert again.flac is None
    assert "unreadable" in again.problem
