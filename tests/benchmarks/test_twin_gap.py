"""The twin is trained on our batches, and without anything random both have the same weights afterwards."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks import twin_gap, twin_training
from benchmarks.twin_gap import PAIRS, ROWS, Row, errors_table, of_row, pairs_table
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.run import training_speech
from speech_mtl.run.build import build_optimizer
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.training.objective import Objective
from speech_mtl.training.state import TrainState
from speech_mtl.training.weighting import Equal

UPDATES = 8


@pytest.fixture
def recipe(tiny_recipe, monkeypatch):
    """Tones, a budget that leaves some of them out, and nothing random in training; gradients are clipped."""
    monkeypatch.setattr(twin_gap, "BUDGET_S", 6.0)
    monkeypatch.setitem(twin_gap.SETTINGS, "data.batch_s", 2.0)
    monkeypatch.setitem(twin_gap.SETTINGS, "augment.spec_augment", {"num_time_masks": 0, "num_frequency_masks": 0})
    return tiny_recipe.overridden({"training.clip_norm": 0.5, "augment.speeds": [0.9, 1.0]})


def recorded(batches, taken):
    """The function, which notes what it yields."""

    def record(*arguments):
        for batch in batches(*arguments):
            taken.append(batch)
            yield batch

    return record


@pytest.mark.parametrize("changes", [{}, twin_gap.ZERO_MEAN], ids=["as it was", "zero branches, mean"])
def test_both_train_on_the_same_batches_to_the_same_weights(recipe, monkeypatch, tmp_path, changes, untraced):
    pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")
    from benchmarks.pytorch_twin import copy_weights

    own = of_row(recipe, Row("twin", settings=changes), 3, UPDATES)
    ours, its = [], []
    monkeypatch.setattr(training_speech, "batches", recorded(training_speech.batches, ours))
    written = twin_gap.trained("product", 3, own, tmp_path)
    prepared = twin_training.Prepared(own)
    with monkeypatch.context() as patch:
        patch.setattr(twin_training.Prepared, "batches", recorded(twin_training.Prepared.batches, its))
        found = list(twin_training.twin_training(own))

    assert len(its) == UPDATES
    for one, other in zip(ours[:UPDATES], its, strict=True):
        for array, same in zip(
            [*one[:3], *one.targets[TRANSCRIPT]], [*other[:3], *other.targets[TRANSCRIPT]], strict=True
        ):
            np.testing.assert_array_equal(array, same)
    samples = sum(int(batch.num_samples.sum()) for batch in its)
    assert written["audio_s"] == pytest.approx(samples / 16_000, abs=0.1)
    assert written["features"] == changes.get("features.normalize", "mean_variance")

    assert [validation["update"] for validation in written["looks"]] == [2, 4, 6, 8]
    for validation, (same, _) in zip(written["looks"], found, strict=True):
        assert same == pytest.approx(validation, rel=1e-3)
    start, expected = twin_training.new_twin(prepared), twin_training.new_twin(prepared)
    objective = Objective(prepared.model.languages, tuple(prepared.targets.values()))
    optimizer, equal = build_optimizer(prepared.model, own.training), Equal(objective)
    Checkpoints(Run(tmp_path / f"{UPDATES}" / "product-3")).load(TrainState(prepared.model, optimizer, equal))
    copy_weights(expected, {variable.path: variable.numpy() for variable in prepared.model.trainable_variables})
    first, twin = start.state_dict(), found[-1][1].state_dict()
    for name in dict(expected.named_parameters()):
        product = expected.state_dict()[name]
        moved, apart = float((product - first[name]).norm()), float((product - twin[name]).norm())
        # Adam makes gradients of all sizes alike: behind branches that begin at zero, rounding decides some.
        assert apart < 0.05 * moved, name


def test_the_first_updates_are_the_same_without_anything_random(recipe, untraced):
    pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")
    own = of_row(recipe, Row("product", settings=twin_gap.NOTHING_RANDOM), 0, UPDATES)
    found = twin_gap.first_updates(own, 3)
    assert [one["update"] for one in found] == [1, 2, 3]
    for one in found:
        assert one["twin"] == pytest.approx(one["product"], rel=1e-3)
    (line,) = twin_gap.first_table(
        [{"update": i, "product": one, "twin": one} for i, one in enumerate([{"loss": 2.0, "norm": 4.0}] * 2)]
    ).lines
    assert line == ["0-1", "2.0000", "2.0000", "0.0e+00", "0.0e+00"]


def test_a_scaled_start_is_ours_but_for_what_enters_the_blocks(recipe):
    torch = pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")
    prepared = twin_training.Prepared(of_row(recipe, Row("twin"), 0, UPDATES))
    ours, scaled = (twin_training.new_twin(prepared, init).state_dict() for init in ("ours", "scaled"))
    name = "encoder.subsampling.project.weight"
    torch.testing.assert_close(scaled.pop(name), 4.0 * ours.pop(name))  # a width of 16
    assert all(torch.equal(value, scaled[name]) for name, value in ours.items())


def test_what_varies_at_the_start(recipe):
    pytest.importorskip("torch", reason="the twin needs benchmarks/requirements.txt")
    own = of_row(recipe, Row("twin"), 0, UPDATES)
    start = twin_gap.start_of("twin", own)
    assert 0 < start["end"] < 1
    assert start["middle"] == start["subsampled"], "half of one block is none"
    assert start["rms"] > 0


def test_a_share_that_varies_over_time():
    frames = np.array([[[1.0, 0.0], [-1.0, 2.0], [9.0, 9.0]], [[3.0, 3.0], [0.0, 0.0], [0.0, 0.0]]])
    # The first row: variances 1 and 1, mean squares 1 and 2; the second has one true frame.
    assert twin_gap._varying(frames, np.array([2, 1])) == pytest.approx((2 / 3 + 0) / 2)


def row_of(name, seed, errors):
    validations = [{"update": 10 * i, "dev_error": error, "train_loss": 1.0} for i, error in enumerate(errors, start=1)]
    return {"name": name, "seed": seed, "updates": 20, "looks": validations, "audio_s": 60.0}


def test_pairs_are_compared_on_the_seeds_that_both_have():
    first, second = PAIRS[0]
    rows = [row_of(first, seed, [1.0, error]) for seed, error in enumerate([0.2, 0.3, 0.9])]
    rows += [row_of(second, seed, [1.0, error]) for seed, error in enumerate([0.25, 0.3])]
    assert pairs_table(rows).lines == [[first, second, "+10.0 %", "+25 %, +0 %"]]
    assert errors_table(rows).lines[0] == ["product", "100.0", "27.5", "25.0, 30.0", "1.00", "1"]


def test_rows_of_pairs_are_there_and_differ_in_one_thing():
    for names in PAIRS:
        first, second = (ROWS[name] for name in names)
        differ = [first.who != second.who, first.init != second.init, first.intermediate != second.intermediate]
        assert sum(differ) + (first.settings != second.settings) == 1, names


def test_what_is_written_is_not_trained_again(recipe, tmp_path, monkeypatch):
    trained, started, out = [], [], tmp_path / "gap.json"

    def start_once(name, _recipe):
        started.append(name)
        return {"name": name, "rms": 1.0, "subsampled": 0.5, "middle": 0.4, "end": 0.3}

    def train_one(name, seed, recipe, _runs):
        trained.append((name, seed, recipe.training.num_updates, recipe.seed))
        if seed == 5:
            raise KeyboardInterrupt
        return row_of(name, seed, [1.0, 0.5])

    monkeypatch.setattr(twin_gap, "trained", train_one)
    step = {"loss": 2.0, "norm": 1.0}
    monkeypatch.setattr(twin_gap, "first_updates", lambda *_: [{"update": 1, "product": step, "twin": step}])
    monkeypatch.setattr(twin_gap, "start_of", start_once)
    monkeypatch.setattr(twin_gap, "ProcessPoolExecutor", lambda jobs, *_, **__: ThreadPoolExecutor(jobs))
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")

    def main(*arguments):
        given = ["--out", str(out), "--recipe", str(tmp_path), "--updates", "20", "--jobs", "1", *arguments]
        monkeypatch.setattr(sys, "argv", ["twin_gap", *given])
        twin_gap.main()

    with pytest.raises(KeyboardInterrupt):
        main("twin", "product", "--seeds", "4", "5")
    assert trained[:2] == [("twin", 4, 20, 4), ("product", 4, 20, 4)], "the first seed of all rows comes first"
    trained.clear()
    main("--seeds", "4")
    assert [name for name, *_ in trained] == [name for name in ROWS if name not in ("twin", "product")]
    rows = json.loads(out.read_text("utf-8"))["rows"]
    assert [row["name"] for row in rows] == list(ROWS)
    assert started == list(twin_gap.STARTS), "once"
    assert "| twin-zero " in out.with_suffix(".md").read_text("utf-8")
