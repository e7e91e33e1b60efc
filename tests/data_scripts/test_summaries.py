"""Sums over manifests."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_scripts import summaries
from speech_mtl.datatypes import Utterance


def test_a_manifest_is_summed_up_in_one_pass(monkeypatch: pytest.MonkeyPatch):
    most = 0

    def utterances(_path: Path) -> Iterator[Utterance]:
        nonlocal most
        for number in range(9):
            yield Utterance(str(number), Path("a.wav"), "de", "x", 0.5, speaker=[None, "ann"][number % 2])
            most = max(most, sum(isinstance(one, Utterance) and one.language == "de" for one in gc.get_objects()))

    monkeypatch.setattr(summaries, "read_manifest", utterances)
    summary = summaries.summarise(Path("data"), "de", "train", {})
    assert (summary.num_utterances, summary.duration_s, summary.num_speakers) == (9, 4.5, 1)
    assert most < 9, "they are not held at once"
