"""From utterances to targets that have labels, and what is encoded of an utterance."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from target_cases import CASES

from speech_mtl.data.manifest import read_manifest
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.settings.tasks import LabelTaskSection
from speech_mtl.targets.classes import Classes
from speech_mtl.targets.frame_multi_label import FrameMultiLabel
from speech_mtl.targets.multi_label import MultiLabel

KINDS = LabelTaskSection.kinds()
TARGETS: dict[str, Any] = LabelTaskSection.members()
FRAMES = FrameMultiLabel("phones", "phones", ["nasal", "voiced"], "refuse")


def utterance(number: int = 0, **fields: Any) -> Utterance:
    made = Utterance(f"u{number}", Path("a.wav"), "cs", "ahoj", 1.0, "s1", source=f"train.jsonl:{number + 1}")
    return replace(made, **fields)


def labelled(*labels: Any, name: str = "mood") -> list[Utterance]:
    return [utterance(i, labels={name: label}) for i, label in enumerate(labels)]


def test_what_is_unknown_is_not_encoded():
    task = Classes("feeling", "mood", ["sad", "happy"], "refuse")
    assert task.encode(utterance(), "cs") is None
    assert task.encode(utterance(labels={"mood": None}), "cs") is None
    assert task.encode(utterance(labels={"mood": "happy"}), "cs") == 1.0
    assert Classes("who", "speaker", ["s0", "s1"], "refuse").encode(utterance(), "cs") == 1.0


@pytest.mark.parametrize(
    ("task", "label"),
    [
        (MultiLabel("x", "mood", ["music"], "refuse"), {"music": None}),
        (MultiLabel("x", "mood", ["music"], "refuse"), {}),
        (FrameMultiLabel("x", "mood", ["voiced"], "refuse"), {"end_s": [0.1, 0.2], "voiced": [None, None]}),
        (Classes("x", "mood", ["sad", "happy"], unseen="unknown"), "calm"),
    ],
)
def test_a_label_of_unknown_entries_is_unknown(task, label):
    assert task.encode(utterance(labels={"mood": label}), "cs") is None


def test_a_label_that_the_task_has_not_names_its_line():
    task = Classes("feeling", "mood", ["sad", "happy"], "refuse")
    with pytest.raises(InputError) as caught:
        task.encode(utterance(6, labels={"mood": "calm"}), "cs")
    assert caught.value.problem == "train.jsonl:7: the label 'mood' is not one of the task 'feeling'"
    assert caught.value.expected.startswith("a class that training has")
    assert caught.value.received.startswith("'calm'")


def made(kind: str, name: str, label: str, utterances: Iterable[Utterance], **settings: Any) -> Any:
    return TARGETS[kind].from_speech(name, (("cs", one) for one in utterances), label=label, **settings)


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_a_task_is_made_of_what_is_known(kind):
    first, second = CASES[kind].labels[:2]
    settings = KINDS[kind]().arguments()
    task = made(kind, "feeling", "mood", iter(labelled(None, first, None, second)), **settings)
    expected = TARGETS[kind].from_labels("feeling", "mood", [first, second], **settings)
    assert task.to_json() == expected.to_json()


@pytest.mark.parametrize("place", [0, 2, 3])
@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_a_label_of_another_kind_names_its_line(kind, place):
    """Wherever it stands, also behind an utterance without label and at the end of the corpus."""
    labels, wrong = [*CASES[kind].labels[:2], None], CASES[kind].no_labels[0]
    labels.insert(place, wrong)
    with pytest.raises(InputError) as caught:
        made(kind, "feeling", "mood", labelled(*labels))
    assert caught.value.problem == f"train.jsonl:{place + 1}: the label 'mood' is not one of the task 'feeling'"
    assert not caught.value.expected.startswith("expected")
    assert str(wrong) in caught.value.received


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_a_task_without_labels(kind):
    for utterances in ([], [utterance()], labelled(None, None)):
        with pytest.raises(InputError) as caught:
            made(kind, "feeling", "mood", utterances)
        assert caught.value.problem == "No training utterance has a label for the task 'feeling'"
        assert "'mood'" in caught.value.expected
        assert "tasks.feeling.label" in caught.value.action


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_a_task_with_nothing_to_learn(kind):
    """No single line is to blame."""
    with pytest.raises(InputError) as caught:
        made(kind, "feeling", "mood", labelled(*CASES[kind].useless[1], None))
    assert caught.value.problem == "The task 'feeling' has nothing to learn from"
    assert "received" in caught.value.received


def test_settings_of_a_task_and_what_every_utterance_has():
    speakers = [utterance(speaker="s1"), utterance(speaker="s0"), utterance(speaker=None)]
    task = made("classes", "who", "speaker", speakers, unseen="unknown")
    assert task.to_json() == {"name": "who", "label": "speaker", "classes": ["s0", "s1"], "unseen": "unknown"}


def test_a_label_names_the_line_of_its_manifest(tmp_path):
    path = tmp_path / "train.jsonl"
    records = [
        {"id": str(i), "audio": "a.wav", "language": "cs", "text": None, "duration_s": 1.0, "labels": {"age": age}}
        for i, age in enumerate([20, None, "old"])
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        made("number", "age", "age", read_manifest(path))
    assert caught.value.problem == f"{path}:3: the label 'age' is not one of the task 'age'"


@pytest.mark.parametrize("ends_s", [[0.5, 100.0], [10**400, 10**400], [0.5, float("inf")]])
def test_segments_that_end_far_behind_the_audio_name_their_line(ends_s: list):
    label = {"end_s": ends_s, "voiced": [0, 1], "nasal": [0, 1]}
    with pytest.raises(InputError, match=r"train\.jsonl:1: the label 'phones'"):
        FRAMES.encode(utterance(labels={"phones": label}), "cs")
    assert FRAMES.encode(utterance(labels={"phones": label | {"end_s": [0.5, 1.1]}}), "cs") is not None
