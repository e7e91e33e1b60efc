"""Articulatory labels of frames, from aligned phones."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data_scripts.phone_labels import app, articulation_label, labelled
from speech_mtl.datatypes import Utterance
from speech_mtl.run.phone_alignment import PhoneSegment
from speech_mtl.targets.frame_multi_label import FrameMultiLabel

pytest.importorskip("panphon", reason="the optional extra `corpora` is not installed")

SEGMENTS = [PhoneSegment(0.1, None), PhoneSegment(0.2, "m"), PhoneSegment(0.3, "a"), PhoneSegment(0.4, "t͡ʃ")]


def test_a_label_has_the_features_of_each_phone():
    label = articulation_label(SEGMENTS)
    assert label["end_s"] == [0.1, 0.2, 0.3, 0.4]
    assert label["nasal"] == [None, 1, 0, 0]
    assert label["voiced"] == [None, 1, 1, 0]
    assert label["syllabic"] == [None, 0, 1, 0]
    task = FrameMultiLabel.from_labels("a", "articulation", [label], unseen="refuse")
    assert "nasal" in task.names


def test_what_cannot_be_aligned_is_counted():
    class Aligner:
        def align(self, utterances: Iterator[Utterance]) -> Iterator[tuple[Utterance, Any]]:
            yield next(utterances), SEGMENTS
            yield next(utterances), "no phones"

    utterances = [Utterance(name, Path("a.wav"), "aa", "ma", 0.5, labels={"age": 3}) for name in "ab"]
    left_out: Counter[str] = Counter()
    first, second = labelled(Aligner(), iter(utterances), "articulation", left_out)  # pyright: ignore
    assert first.labels == {"age": 3, "articulation": articulation_label(SEGMENTS)}
    assert second.labels == {"age": 3, "articulation": None}
    assert left_out == {"no phones": 1}


def test_a_folder_without_manifests_of_a_language_is_refused(tmp_path: Path):
    (tmp_path / "from" / "cs").mkdir(parents=True)
    (tmp_path / "from" / "cs" / "train.jsonl").touch()
    arguments = [tmp_path / "run", tmp_path / "from", tmp_path / "to", "-l", "nl"]
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 2
    assert "no manifests in 'nl'" in result.stderr
