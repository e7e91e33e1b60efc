"""Training as a whole: it learns, each language by its own head; and wherever it is killed, it resumes exactly."""

import itertools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from recorded_screen import RecordedScreen

import speech_mtl.run.train as train_module
from speech_mtl.backend.step import StepResult, TrainStep
from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import Checkpoints, load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.folder import Run
from speech_mtl.run.observer import RunObserver
from speech_mtl.run.references import load_references, recognize
from speech_mtl.run.speech import open_split
from speech_mtl.run.train import train
from speech_mtl.run.validation import Validation
from speech_mtl.run.weights import load_part
from speech_mtl.settings.recipe import Recipe


@pytest.fixture(scope="module")
def memory() -> dict[str, Run]:
    """runs that several tests use."""
    return {}


def errors(run: Run, recognizer: Recognizer, language: str, head: str) -> float:
    """Character error rate of a language's dev set under the output layer of another."""
    recipe = run.recipe()
    references = load_references(recipe, language, "dev", recognizer)
    return recognize(recognizer, head, references, recipe.data)[0].characters.rate


def test_each_language_is_recognised_by_its_own_head_only(trained: Run):
    recognizer = load_recognizer(trained)
    for language, other in (("aa", "bb"), ("bb", "aa")):
        own, wrong = errors(trained, recognizer, language, language), errors(trained, recognizer, language, other)
        assert own < 0.15
        assert wrong > 0.6


def test_training_starts_from_another_run_even_if_killed_before_its_first_checkpoint(
    trained: Run, tmp_path: Path, untraced: None
):
    recipe = trained.recipe().overridden(
        {
            "languages": {"bb": {}, "aa": {}},
            "init_from": str(trained.path),
            "training.num_updates": 1,
            "training.learning_rate": 1e-7,
            "training.final_learning_rate": 0.0,
        }
    )
    Run(tmp_path / "run").start(recipe, {name: trained.tokenizers()[name] for name in ("bb", "aa")})
    screen = RecordedScreen()
    run = train(recipe, tmp_path / "run", screen)
    assert any("encoder kept; bb kept; aa kept" in line for line in screen.lines)
    assert json.loads(run.log_path.read_text())["dev_cer"]["bb"] == pytest.approx(
        errors(trained, load_recognizer(trained), "bb", "bb"), abs=0.05
    )


def test_a_language_that_is_not_trained_does_not_hold_up_the_weights_of_others(
    trained: Run, make_corpus: Callable, tmp_path: Path, untraced: None
):
    """CTC-DRO moves them when all languages have been seen."""
    recipe = trained.recipe().overridden(
        {
            "languages": {"aa": {"train": False}, "bb": {}, "cc": {}},
            "data.dir": str(make_corpus(("aa", "bb", "cc"))),
            "init_from": str(trained.path),
            "weighting": {"kind": "ctc_dro", "step_size": 0.1},
            "training.num_updates": 6,
            "training.evaluate_every": 6,
        }
    )
    run = train(recipe, tmp_path / "run")
    weights = json.loads(run.log_path.read_text())["weight"]
    assert weights["cc"] > 1.01, "what is new has the larger loss"
    assert weights["bb"] + weights["cc"] == pytest.approx(2.0, abs=1e-4)


def test_a_wrong_source_of_weights_leaves_no_run_behind(tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match="is not a run"):
        train(tiny_recipe.overridden({"init_from": str(tmp_path / "nothing")}), tmp_path / "run")
    assert not Run(tmp_path / "run").exists()


def test_a_finished_run_is_left_alone(trained: Run):
    before = {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")}
    screen = RecordedScreen()
    train(trained.recipe(), trained.path, screen)
    assert screen.lines == [f"{trained.path} is finished: nothing to train."]
    assert {path: path.stat().st_mtime_ns for path in trained.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"training.learning_rate": 1e-4}, "training.learning_rate: 0.01 -> 0.0001"),
        ({"data.alpha": 1.0}, "data.alpha: 0.5 -> 1.0"),
        ({"languages": {"aa": {}}, "target": "aa"}, "languages.bb.tokenizer.kind"),
        ({"languages.aa.budget_s": 5}, "languages.aa.budget_s: null -> 5.0"),
    ],
)
def test_another_recipe_in_the_folder_of_a_run_is_refused(trained: Run, change: dict, named: str):
    with pytest.raises(InputError, match="holds a run with other settings") as caught:
        train(trained.recipe().overridden(change), trained.path)
    assert named in caught.value.received


def test_what_has_no_bearing_on_the_weights_is_no_other_setting(trained: Run, tmp_path: Path):
    """A setting that is refused here, or one that is not in the table and should be, shows."""
    shutil.copytree(trained.path, tmp_path / "run")
    moved = shutil.copytree(trained.recipe().data.dir, tmp_path / "moved")
    changes = {
        "name": "other",
        "about": "other words",
        "compare.budgets_min": [1, 2, 3],
        "tune.num_trials": 3,
        "data.cache_dir": str(tmp_path / "cache"),
        "data.num_threads": 1,
        "data.allow_skipped": 0.5,
        "data.allow_leaks": 1.0,
        "data.dir": str(moved),
        "languages.aa.manifests": {"test": str(moved / "bb" / "test.jsonl"), "dev": str(moved / "aa" / "dev.jsonl")},
    }
    screen = RecordedScreen()
    run = train(trained.recipe().overridden(changes), tmp_path / "run", screen)
    assert screen.lines == [f"{run.path} is finished: nothing to train."]
    assert run.recipe().data.dir == moved
    assert evaluate(run, ["dev"], ["aa"])[0]["num_utterances"] == 6


def test_a_run_of_a_version_that_wrote_nothing_down_is_taken_and_that_is_said(trained: Run, tmp_path: Path):
    run = Run(shutil.copytree(trained.path, tmp_path / "run"))
    run.made_from_path.unlink()
    screen = RecordedScreen()
    train(trained.recipe(), run.path, screen)
    assert any("did not write down what a run was made from" in line for line in screen.lines)
    with pytest.raises(InputError, match="holds a run with other settings"):
        train(trained.recipe().overridden({"data.dir": str(tmp_path)}), run.path)


def test_another_folder_is_refused_before_anything_is_read(tiny_recipe: Recipe, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "log.jsonl").write_text("my log")
    with pytest.raises(InputError, match="is no run, and not empty"):
        train(tiny_recipe.overridden({"data.dir": str(tmp_path / "nowhere")}), tmp_path / "mine")


# --- Trained further


@pytest.fixture
def short(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    """A run of two updates."""
    cosine = {"training.num_updates": 2, "training.warmup_updates": 1, "training.cooldown_updates": 0}
    return train(tiny_recipe.overridden(cosine), tmp_path / "short")


def test_a_finished_run_is_trained_further_at_the_rates_of_the_longer_one(short: Run, tmp_path: Path):
    before, screen = losses(short), RecordedScreen()
    recipe = short.recipe().overridden({"training.num_updates": 4})
    rates = {}
    with pytest.MonkeyPatch.context() as patched:
        on_update = RunObserver.on_update

        def seen(self, update: int, found: StepResult, rate: float) -> None:
            rates[update] = rate
            on_update(self, update, found, rate)

        patched.setattr(RunObserver, "on_update", seen)
        train(recipe, short.path, screen)
    assert f"warning {short.path}: training.num_updates: 2 -> 4" in screen.lines
    assert "Resuming from update 2." in screen.lines
    assert losses(short)[:2] == before
    assert list(rates) == [3, 4]
    cosine = 1e-5 + (1e-2 - 1e-5) * (1 + np.cos(np.pi * (2 - 1) / (4 - 1))) / 2
    assert rates[3] == pytest.approx(cosine)
    assert short.recipe() == recipe
    (change,) = json.loads(short.made_from_path.read_text())["changes"]
    assert change == {"update": 2, "what": ["training.num_updates: 2 -> 4"]}
    with pytest.raises(InputError, match="has been trained for more updates than that"):
        train(recipe.overridden({"training.num_updates": 3}), short.path)
    with pytest.raises(InputError, match="holds a run with other settings"):
        train(recipe.overridden({"training.num_updates": 6}), short.path, of_plan=True)


def test_a_run_resumes_in_less_memory(short: Run):
    screen = RecordedScreen()
    less = {"training.num_updates": 4, "training.part_s": 0.5, "training.precision": "bfloat16"}
    recipe = short.recipe().overridden(less)
    train(recipe, short.path, screen)
    assert (short.progress().update, short.recipe()) == (4, recipe)
    assert f"warning {short.path}: training.part_s: null -> 0.5" in screen.lines
    (change,) = json.loads(short.made_from_path.read_text())["changes"]
    assert 'training.precision: "float32" -> "bfloat16"' in change["what"]


def test_a_change_is_recorded_even_if_the_run_stops_while_its_speech_is_read(
    short: Run, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*_arguments, **_settings):
        raise KeyboardInterrupt

    recipe = short.recipe().overridden({"training.num_updates": 4})
    with monkeypatch.context() as patched:
        patched.setattr("speech_mtl.run.train._prepared", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, short.path)
    train(recipe, short.path)
    assert short.progress().update == 4
    (change,) = json.loads(short.made_from_path.read_text())["changes"]
    assert change == {"update": 2, "what": ["training.num_updates: 2 -> 4"]}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX computes them again")
def test_activations_are_not_computed_again_under_tensorflow(tiny_recipe: Recipe, tmp_path: Path):
    with pytest.raises(InputError, match=r"training\.recompute needs the Keras backend jax"):
        train(tiny_recipe.overridden({"training.recompute": True}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_stopped_early_resumes_with_more_patience(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    rates = {"training.learning_rate": 1e-9, "training.final_learning_rate": 1e-9}
    at_once = {"training.patience": 1, "training.cooldown_updates": 0, "training.num_updates": 8}
    recipe = tiny_recipe.overridden(rates | at_once)
    run = train(recipe, tmp_path / "run")
    assert run.progress().end == run.progress().update
    assert run.progress().update == 4
    screen = RecordedScreen()
    train(recipe.overridden({"training.num_updates": 20}), run.path, screen)
    assert run.progress().update == 4
    assert "resumes with a larger training.patience" in screen.lines[-1]
    train(recipe.overridden({"training.patience": 2}), run.path)
    assert run.progress().update == 6


# --- Speech that changes


def test_a_run_whose_speech_has_changed_is_refused_or_resumes_if_accepted(short: Run):
    path = manifest_path(short.recipe().data.dir, "bb", "train")
    path.write_text(path.read_text().replace('"abcd"', '"abca"', 1))
    recipe = short.recipe().overridden({"training.num_updates": 4})
    with pytest.raises(InputError, match="was made from has changed since") as caught:
        train(recipe, short.path)
    assert (
        f"{path}: text, id, speaker or labels of 1 of 12 used utterances (the first in line 1)" in caught.value.received
    )
    assert short.recipe().training.num_updates == 2
    train(recipe, short.path, accept_changes=True)
    assert short.progress().update == 4
    length, speech = json.loads(short.made_from_path.read_text())["changes"]
    assert length["what"] == ["training.num_updates: 2 -> 4"]
    assert speech["what"] == [caught.value.received]
    train(recipe, short.path)


def test_a_run_is_refused_if_the_one_it_started_from_has_other_weights(short: Run, tmp_path: Path):
    recipe = short.recipe().overridden({"init_from": str(short.path)})
    run = train(recipe, tmp_path / "second")
    moved = Run(short.path.rename(tmp_path / "moved"))
    recipe = recipe.overridden({"init_from": str(moved.path)})
    train(recipe, run.path)
    part = next(moved.best_folder().rglob("*.safetensors"))
    part.write_bytes(part.read_bytes() + b"x")
    with pytest.raises(InputError, match="was made from has changed since") as caught:
        train(recipe, run.path)
    assert caught.value.received == f"{moved.path}, from which it started, has other weights now"


def test_a_run_that_another_process_begins_meanwhile_is_left_to_it(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    """It begins and ends while this one reads its speech, with another learning rate."""
    recipe, prepared = tiny_recipe.overridden({"training.num_updates": 1}), train_module._prepared
    other = recipe.overridden({"training.learning_rate": 0.003})

    def slowly(*arguments):
        ready = prepared(*arguments)
        monkeypatch.undo()
        train(other, tmp_path / "run")
        return ready

    monkeypatch.setattr(train_module, "_prepared", slowly)
    with pytest.raises(InputError, match="was begun by another process"):
        train(recipe, tmp_path / "run")
    assert Run(tmp_path / "run").recipe().training.learning_rate == 0.003


# --- Dev and test speech that is in training


def test_dev_and_test_speech_in_training_is_told_and_refused(
    tiny_recipe: Recipe, make_corpus: Callable, tmp_path: Path, untraced: None
):
    data_dir = make_corpus(num_train=30, num_test=30, data_dir=tmp_path / "leaky")
    others = list(read_manifest(manifest_path(data_dir, "bb", "train")))[:5]
    own = list(read_manifest(manifest_path(data_dir, "aa", "test")))
    for number, other in enumerate(others):
        copy = Path(shutil.copyfile(other.audio, data_dir / f"{number}.flac"))
        own[number] = replace(own[number], audio=copy, duration_s=other.duration_s)
    write_manifest(manifest_path(data_dir, "aa", "test"), own)
    recipe = tiny_recipe.overridden({"data.dir": str(data_dir), "training.num_updates": 1})
    with pytest.raises(InputError, match=r"aa: \d+ of 30 test utterances have audio that is in training") as caught:
        train(recipe, tmp_path / "run")
    assert "test.jsonl:1 is " in caught.value.received
    assert not (tmp_path / "run").exists()
    screen = RecordedScreen()
    run = train(recipe.overridden({"data.allow_leaks": 1.0}), tmp_path / "run", screen)
    assert any(re.match(r"warning aa: \d+ of 30 test utterances .* are in training: ", line) for line in screen.lines)
    assert any(line.startswith("aa dev: all 2 speakers are in training too") for line in screen.lines)
    screen = RecordedScreen()
    evaluate(run, ["test"], ["aa"], screen)
    assert any(re.match(r"warning aa: \d+ of 30 test utterances", line) for line in screen.lines)
    assert any(line.startswith("aa test: all 2 speakers are in training too") for line in screen.lines)


# --- Killed and started again


@pytest.fixture
def varied(tiny_recipe: Recipe) -> Recipe:
    """Everything that draws random numbers is on, and languages have weights that training changes."""
    return tiny_recipe.overridden(
        {
            "weighting": {"kind": "uncertainty", "learning_rate": 0.3},
            "encoder.dropout": 0.2,
            "augment.speeds": [0.9, 1.0, 1.1],
            "augment.noise_probability": 0.5,
            "augment.waveform": {
                "line": {"kind": "codec", "codecs": ["gsm"], "probability": 0.5},
                "again": {"kind": "codec", "codecs": ["a_law"], "probability": 0.5},
            },
            "data.batch_s": 3.0,
            "training.num_updates": 6,
            "training.average_decay": 0.5,
            "data.mixing": "every_language",
        }
    )


@pytest.fixture
def reference(memory: dict[str, Run], varied: Recipe, tmp_path_factory: pytest.TempPathFactory, untraced: None) -> Run:
    """The varied recipe, trained without a break."""
    if "reference" not in memory:
        memory["reference"] = train(varied, tmp_path_factory.mktemp("reference") / "run")
    return memory["reference"]


def losses(run: Run) -> list[float]:
    """The loss of every update, by the log."""
    return [loss for line in run.log_path.read_text().splitlines() for loss in json.loads(line)["losses"]]


def timeless_log(run: Run) -> list[list]:
    """The log without what depends on the speed of the machine."""
    records = [json.loads(line) for line in run.log_path.read_text().splitlines()]
    return [[record[key] for key in ("update", "losses", "train_loss", "dev_cer")] for record in records]


def assert_same_end(run: Run, reference: Run) -> None:
    """The same weights, optimiser and random state to the last bit, and the same log but for times."""
    for folder in ("checkpoints", "best"):
        paths = sorted(path.relative_to(reference.path) for path in (reference.path / folder).rglob("*.safetensors"))
        assert paths == sorted(path.relative_to(run.path) for path in (run.path / folder).rglob("*.safetensors"))
        for path in paths:
            expected, received = load_part(reference.path / path), load_part(run.path / path)
            assert expected.keys() == received.keys()
            for name, array in expected.items():
                np.testing.assert_array_equal(received[name], array, err_msg=f"{path} {name}")
    assert timeless_log(run) == timeless_log(reference)


def test_validations_and_the_end_have_the_running_mean_of_the_weights(varied: Recipe, tmp_path: Path, untraced: None):
    recipe = varied.overridden({"training.select": "last", "training.num_updates": 4})
    run = train(recipe, tmp_path / "run")
    checkpoint, best = run.path / "checkpoints" / "000004", run.path / "best" / "000004"
    means = load_part(checkpoint / "optimizer.safetensors")
    recognizer = load_recognizer(run)
    for variable in recognizer.model.trainable_variables:
        mean = means[f"mean/{variable.path}"].reshape(variable.shape)
        np.testing.assert_array_equal(np.asarray(variable.value), mean)
    last, mean = (load_part(folder / "heads" / "aa.safetensors")["bias"] for folder in (checkpoint, best))
    assert not np.array_equal(last, mean)
    score, _ = recognize(recognizer, "aa", load_references(recipe, "aa", "dev", recognizer), recipe.data)
    logged = json.loads(run.log_path.read_text().splitlines()[-1])
    assert logged["dev_cer"]["aa"] == pytest.approx(score.characters.rate)


class Killed(BaseException):
    """Ends training at once, as far as a process can do it to itself."""


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(
    varied: Recipe, reference: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untraced: None
):
    assert len(losses(reference)) == 6
    run = Run(tmp_path / "killed")

    def life(update: int, owner: object, name: str, after: bool = False) -> None:
        """Trains until a function is called at or after an update."""
        original, on_update = getattr(owner, name), RunObserver.on_update
        done = [0]

        def counting(self, number: int, *found) -> None:
            done[0] = number
            on_update(self, number, *found)

        def deadly(*arguments) -> object:
            if done[0] < update:
                return original(*arguments)
            if after:
                original(*arguments)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(RunObserver, "on_update", counting)
            patched.setattr(owner, name, deadly)
            with pytest.raises(Killed):
                train(varied, run.path)

    life(2, Run, "append_log", after=True)  # logged, but not saved
    assert [json.loads(line)["update"] for line in run.log_path.read_text().splitlines()] == [2]
    assert run.progress().update == 0
    life(4, Checkpoints, "save")
    assert run.progress().update == 2
    with run.log_path.open("a") as file:
        file.write('{"update": 4, "los')  # cut off in the middle of a line
    (run.path / "checkpoints" / "000004.tmp" / "heads").mkdir(parents=True)
    (run.path / "checkpoints" / "000004.tmp" / "encoder.safetensors").write_bytes(b"half")
    life(5, Validation, "__call__")
    assert run.progress().update == 4
    screen = RecordedScreen()
    train(varied, run.path, screen)
    assert "Resuming from update 4." in screen.lines
    assert_same_end(run, reference)
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["000006"]
    assert (run.path / "checkpoints" / "000006" / "weighting.safetensors").is_file()


def test_speech_that_is_read_in_training_gives_the_same_run_also_if_killed(
    varied: Recipe, reference: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untraced: None
):
    recipe, original = varied.overridden({"data.decode_once": False, "data.num_threads": 3}), Validation.__call__

    def deadly(self, update: int, end: int):
        if update == 4:
            raise Killed
        return original(self, update, end)

    with monkeypatch.context() as patched:
        patched.setattr(Validation, "__call__", deadly)
        with pytest.raises(Killed):
            train(recipe, tmp_path / "run")
    screen = RecordedScreen()
    run = train(recipe, tmp_path / "run", screen)
    assert "Resuming from update 2." in screen.lines
    assert_same_end(run, reference)
    assert any("its audio was not decoded before training, and is not compared" in line for line in screen.lines)
    stores = {path.name.partition("-")[0] for path in recipe.data.cache_dir.glob("*-train-*.pcm")}
    assert stores == set() or recipe.data.cache_dir == varied.data.cache_dir


def test_what_cannot_be_read_in_training_is_left_out_named_and_counted(
    tiny_recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture, untraced: None
):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    utterances = list(read_manifest(path))
    for one in utterances[:4]:
        one.audio.unlink()
    write_manifest(path, [replace(one, text="?!") if 4 <= i < 8 else one for i, one in enumerate(utterances)])
    recipe = tiny_recipe.overridden(
        {"data.decode_once": False, "training.num_updates": 3, "training.warmup_updates": 1, "data.batch_s": 20.0}
    )
    with pytest.raises(InputError, match=r"aa/train\.jsonl: 2 of \d+ utterances cannot be used"):
        train(recipe, tmp_path / "refused")
    caplog.clear()
    screen = RecordedScreen()
    run = train(recipe.overridden({"data.allow_skipped": 0.8}), tmp_path / "run", screen)
    assert len(losses(run)) == 3
    assert np.isfinite(losses(run)).all()
    assert "warning aa: left out while it was read: " in "\n".join(screen.lines)
    named = "\n".join(caplog.messages)
    assert re.search(rf"{path}:[1-4]: left out: missing: there is no audio file {utterances[0].audio.parent}", named)
    assert re.search(rf"{path}:[5-8]: left out: no text: ", named)


def test_another_seed_gives_another_curve(varied: Recipe, reference: Run, tmp_path: Path, untraced: None):
    other = train(varied.overridden({"seed": 1, "training.num_updates": 2}), tmp_path / "other")
    assert losses(other) != losses(reference)[:2]


# --- Bad speech


def test_one_bad_file_is_left_out_reported_and_counted(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    train_path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    bad_train, bad_dev = (next(iter(read_manifest(p))) for p in (train_path, train_path.with_name("dev.jsonl")))
    bad_train.audio.write_bytes(b"")
    bad_dev.audio.unlink()
    screen = RecordedScreen()
    run = train(tiny_recipe.overridden({"training.num_updates": 1}), tmp_path / "run", screen)
    assert any(line.startswith("warning") and "Warm-up takes 2 of 1 updates" in line for line in screen.lines)
    assert any(line.startswith("aa: 11 utterances") and line.endswith("left out: 1 empty") for line in screen.lines)
    assert any(line.startswith("warning") and f"{train_path}:1: empty" in line for line in screen.lines)
    assert any(line.startswith("warning") and f"{bad_dev.source}: left out" in line for line in screen.lines)
    (row,) = evaluate(run, ["dev"], ["aa"])
    assert row["num_utterances"] == 2


def test_a_target_that_no_dev_utterance_labels_is_refused_before_anything_is_written(
    tiny_recipe: Recipe, make_corpus: Callable, tmp_path: Path
):
    data_dir = make_corpus(labels={"mood": ("sad", "glad")})
    for path in data_dir.glob("*/dev.jsonl"):
        write_manifest(path, [replace(utterance, labels={"mood": None}) for utterance in read_manifest(path)])
    recipe = tiny_recipe.overridden({"data.dir": str(data_dir), "tasks": {"mood": {}}, "target": "mood"})
    with pytest.raises(InputError, match="No dev utterance has a label for the target 'mood'") as caught:
        train(recipe, tmp_path / "run")
    assert caught.value.received == "none in 6 utterances of aa, bb"
    assert not Run(tmp_path / "run").exists()


def test_dev_transcripts_without_any_text_are_refused(tiny_recipe: Recipe, tmp_path: Path):
    path = manifest_path(tiny_recipe.data.dir, "aa", "dev")
    lines = [json.loads(line) | {"text": "..."} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match=r"dev\.jsonl: no transcript has any text"):
        train(tiny_recipe, tmp_path / "run")


def test_a_run_resumes_though_the_recipe_lists_its_languages_and_augmentations_in_another_order(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None
):
    waveform = {name: {"kind": "codec", "codecs": [name], "probability": 0.7} for name in ("gsm", "mu_law")}
    recipe = tiny_recipe.overridden({"training.num_updates": 2, "augment.waveform": waveform})
    reference = train(recipe, tmp_path / "reference")
    run = Run(tmp_path / "run")
    run.start(recipe, reference.tokenizers())
    languages, waveform = (dict(reversed(own.items())) for own in (recipe.languages, recipe.augment.waveform))
    train(recipe.overridden({"languages": languages, "augment.waveform": waveform}), run.path)
    assert_same_end(run, reference)


def test_utterances_whose_loss_is_no_number_are_named(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untraced: None
):
    """By the lines of their manifests, of which the budget leaves only some."""
    recipe = tiny_recipe.overridden({"languages.aa.budget_s": 8, "data.batch_s": 5.0, "training.num_updates": 10})
    build_step, bad = train_module.build_step, []

    def build_failing_step(*arguments, **keywords):
        step, number = build_step(*arguments, **keywords), itertools.count()

        def failing(*begun):
            batch, found = begun[0], step(*begun)()
            if next(number) == 2:
                for row in range(0, len(found.losses), 2):
                    found.losses[row] = np.nan
                    bad.append((batch.language_ids[row], batch.waveforms[row, : batch.num_samples[row]]))
            return lambda: found

        return TrainStep(failing)

    monkeypatch.setattr(train_module, "build_step", build_failing_step)
    with pytest.raises(InputError, match="loss of update 3 is no longer a number") as caught:
        train(recipe, tmp_path / "run")
    named = re.findall(r"[^\s,]+\.jsonl:\d+", caught.value.received)
    assert len(named) == len(bad) >= 2
    splits = [open_split(recipe, language, "train") for language in recipe.languages]
    for source, (language, waveform) in zip(named, bad, strict=True):
        manifest, line = source.rsplit(":", 1)
        assert manifest == str(splits[language].manifest)
        np.testing.assert_array_equal(splits[language].store[int(line) - 1], waveform)


def test_a_manifest_that_lacks_a_language_is_found_before_anything_is_written(tiny_recipe: Recipe, tmp_path: Path):
    languages = {**tiny_recipe.languages, "cc": {}}
    with pytest.raises(InputError, match=r"There is no manifest .*cc/train\.jsonl"):
        train(tiny_recipe.overridden({"languages": languages}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_broken_training_texts_are_counted_by_reason(tiny_recipe: Recipe, tmp_path: Path):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    utterances = list(read_manifest(path))
    utterances[0].audio.write_bytes(b"")
    utterances[1].audio.write_bytes(b"no audio")
    utterances[2].audio.unlink()
    write_manifest(path, utterances)
    with pytest.raises(InputError, match=r"train\.jsonl: 3 of 12 utterances cannot be used") as caught:
        train(tiny_recipe, tmp_path / "run")
    for reason in ("1 empty", "1 unreadable", "1 missing"):
        assert reason in caught.value.received
    assert f"{path}:1" in caught.value.received
