"""When phones are spoken: segments of a path, and the alignment of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from letter_phones import phones_task

from speech_mtl.data.manifest import read_manifest
from speech_mtl.decoding.decoder import Decoded, DecodedToken
from speech_mtl.errors import InputError
from speech_mtl.run.phone_alignment import PhoneAligner, PhoneSegment, phone_segments
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe


def test_phones_reach_half_way_to_their_neighbours_or_60_ms():
    tokens = (DecodedToken(1, 3, 3, 0.0), DecodedToken(2, 5, 5, 0.0), DecodedToken(1, 12, 13, 0.0))
    segments = phone_segments(Decoded(tokens, 0.0), ["<blank>", "a", "b"], 0.02 + 0.04 * np.arange(15))
    assert segments == [
        PhoneSegment(0.06, None),  # frame 3 lasts from 0.12 to 0.16 s
        PhoneSegment(0.18, "a"),  # half-way between 0.16 and 0.2
        PhoneSegment(0.3, "b"),  # 0.24 and 60 ms
        PhoneSegment(0.42, None),
        PhoneSegment(0.56, "a"),  # nothing tells how long the last one is
    ]


def test_the_first_phone_begins_with_the_audio():
    segments = phone_segments(Decoded((DecodedToken(1, 0, 0, 0.0),), 0.0), ["<blank>", "a"], np.array([0.02, 0.06]))
    assert segments == [PhoneSegment(0.04, "a")]


def test_a_run_aligns_the_phones_of_a_manifest(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    few = {"encoder.num_layers": 2, "training.num_updates": 1, "training.evaluate_every": 1}
    run = train(tiny_recipe.overridden({**few, "tasks": {"p": phones_task(tiny_recipe, tmp_path)}}), tmp_path / "run")
    dev = list(read_manifest(tiny_recipe.manifest("bb", "dev")))
    lost, unread = replace(dev[0], audio=tmp_path / "no.wav"), replace(dev[0], text="not in the lexicon")
    found = list(PhoneAligner(run, "bb").align([lost, *dev, unread]))
    assert [utterance for utterance, _ in found] == [lost, *dev, unread]
    assert "no.wav" in str(found[0][1])
    assert "cannot be read" in str(found[-1][1])
    for utterance, segments in found[1:-1]:
        assert isinstance(segments, list)
        spelt = "".join((utterance.text or "").split()).replace("a", "ɑ")
        assert "".join(one.phone for one in segments if one.phone) == spelt
        ends_s = [one.end_s for one in segments]
        assert ends_s == sorted(ends_s)
        assert ends_s[-1] <= utterance.duration_s + 0.05
    plain = train(tiny_recipe.overridden(few), tmp_path / "plain")
    with pytest.raises(InputError, match="has no phones of aa"):
        PhoneAligner(plain, "aa")
