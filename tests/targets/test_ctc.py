"""Sequences of tokens as targets: what is encoded, several at once, and one inside the encoder."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from speech_mtl.backend import ctc_loss
from speech_mtl.data.examples import Unusable
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT, Batch, Outputs, Tokens, Utterance
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.train import train
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.ctc import Ctc
from speech_mtl.training.objective import Objective

ops: Any = keras.ops  # whose annotations admit strings and None

LATIN, GREEK = CharacterTokenizer.from_texts(["abc"], "aa"), CharacterTokenizer.from_texts(["αβ"], "el")


def utterance(text: str | None) -> Utterance:
    return Utterance("u", Path("a.wav"), "aa", text, 1.0)


def ids_of(target: Ctc, text: str, language: str) -> list[int]:
    return np.array(target.encode(utterance(text), language)).tolist()


def test_each_language_has_tokens_of_its_own():
    target = Ctc(TRANSCRIPT, {"aa": LATIN, "el": GREEK})
    assert ids_of(target, "cab", "aa") == [3, 1, 2]
    assert ids_of(target, "βα", "el") == [2, 1]
    assert target.encode(utterance(None), "aa") is None
    assert target.encode(utterance("cab"), "de") is None
    assert [target.is_for(language) for language in ("aa", "el", "de")] == [True, True, False]


def test_languages_that_share_an_output_layer_share_its_tokens():
    target = Ctc("letters", {"latin": LATIN}, {"aa": "latin", "bb": "latin"})
    for language in ("aa", "bb"):
        assert ids_of(target, "cab", language) == [3, 1, 2]
    head = target.head({"top": 8}, ["aa", "el", "bb"])
    head.build(None)
    assert [tuple(v.shape) for v in head.trainable_variables] == [(4, 8), (4,)]


@pytest.mark.parametrize(("text", "reason"), [("xyz", "unknown characters"), ("...", "no text")])
def test_what_cannot_be_learned_from(text: str, reason: str):
    with pytest.raises(Unusable) as caught:
        Ctc(TRANSCRIPT, {"aa": LATIN}).encode(utterance(text), "aa")
    assert caught.value.reason == reason


def test_an_objective_of_several_sequences():
    """A language's transcripts have a weight each, another reading has one; each is a mean over its own tokens."""
    generator = np.random.default_rng(0)
    targets = Ctc(TRANSCRIPT, {"aa": LATIN, "el": GREEK}), Ctc("letters", {"x": LATIN}, {"aa": "x", "el": "x"})
    values = {name: generator.normal(size=(3, 6, 4)).astype("float32") for name in (TRANSCRIPT, "letters")}
    first = Tokens(np.array([[1, 2], [2, 0], [3, 1]], "int32"), np.array([2, 1, 2], "int32"))
    second = Tokens(np.array([[1, 2, 3], [2, 0, 0], [0, 0, 0]], "int32"), np.array([3, 1, 0], "int32"))
    outputs = Outputs(values, np.array([6, 5, 6], "int32"))
    sizes, ids = np.full(3, 16_000, "int32"), np.array([0, 1, 0], "int32")
    batch = Batch(np.zeros((3, 16_000), "float32"), sizes, ids, {TRANSCRIPT: first, "letters": second})
    objective = Objective(("aa", "el"), targets)
    assert objective.names == ("aa", "el", "letters")
    assert objective.columns == (TRANSCRIPT, "letters")
    losses, counts = objective.losses(outputs, batch)
    one, other = (
        ops.convert_to_numpy(ctc_loss(values[name], outputs.num_frames, *batch.targets[name])) for name in values
    )
    expected = [(one[0] + one[2]) / 5, one[1] / 5, other.sum() / 4]
    np.testing.assert_allclose(ops.convert_to_numpy(objective.by_task(losses, counts, ids)), expected, rtol=1e-5)
    observed = objective.observed(ops.convert_to_numpy(losses), ops.convert_to_numpy(counts), batch, 16_000)
    assert observed.counts.tolist() == [4, 1, 4]
    with pytest.raises(ValueError, match="must be the first"):
        Objective(("aa", "el"), targets[::-1])


@pytest.fixture
def intermediate(tiny_recipe: Recipe) -> Recipe:
    """Lee and Watanabe 2021: the same transcripts once more, lower in the encoder."""
    return tiny_recipe.overridden(
        {
            "encoder.num_layers": 2,
            "encoder.dropout": 0.1,
            "training.num_updates": 12,
            "training.evaluate_every": 6,
            "tasks": {"intermediate": {"kind": "ctc", "at": "block_0"}},
            "weighting": {"kind": "fixed", "weights": {"intermediate": 0.3}},
        }
    )


def test_intermediate_ctc(intermediate: Recipe, tmp_path: Path, untraced: None):
    run = train(intermediate, tmp_path / "run")
    first, last = (json.loads(line) for line in run.log_path.read_text("utf-8").splitlines())
    assert list(last["train_loss"]) == ["aa", "bb", "intermediate"]
    assert last["train_loss"]["intermediate"] < first["train_loss"]["intermediate"]
    assert last["weight"] == {"aa": 1.0, "bb": 1.0, "intermediate": 0.3}
    assert "dev_error" not in last, "it is not used to recognise speech"
    files = {f"tasks/intermediate/{name}.safetensors" for name in ("aa", "bb")}
    folder = run.best_folder()
    assert files <= {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    recognizer = load_recognizer(run)
    waveforms = [np.random.default_rng(0).normal(0, 0.1, 9000).astype("float32")]
    before = recognizer.transcribe(waveforms, "aa")
    for variable in recognizer.model.heads["intermediate"].trainable_variables:
        variable.assign(0 * variable.value)
    assert recognizer.transcribe(waveforms, "aa") == before


def test_intermediate_ctc_of_no_weight_changes_nothing(intermediate: Recipe, tmp_path: Path, untraced: None):
    changes = {"tasks": {}, "weighting": {}}
    runs = [
        train(intermediate.overridden(one), tmp_path / name)
        for name, one in (("with", {"weighting.weights": {"intermediate": 0.0}}), ("without", changes))
    ]
    curves = [[json.loads(line)["losses"] for line in run.log_path.read_text("utf-8").splitlines()] for run in runs]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)


def test_frames_needed_are_what_paths_need():
    """The shortest path that collapses to the tokens, found by trying all."""
    for size in (1, 2, 3):
        for tokens in product((1, 2), repeat=size):
            for num_frames in range(1, 6):
                paths = product((0, 1, 2), repeat=num_frames)
                if any(collapsed(path) == list(tokens) for path in paths):
                    assert Ctc(TRANSCRIPT, {"aa": LATIN}).num_frames_needed(np.array(tokens)) == num_frames, tokens
                    break
            else:
                pytest.fail(f"no path for {tokens}")


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for i, token in enumerate(path) if token and (i == 0 or token != path[i - 1])]
