"""What a run leaves on disk: saved and loaded by name, whole wherever the process is killed, refused if damaged."""

import errno
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from made_up_targets import objective_of, transcripts
from usual import usual

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.errors import InputError
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run import checkpoint
from speech_mtl.run import folder as runs
from speech_mtl.run.build import build_model, build_optimizer, build_targets
from speech_mtl.run.checkpoint import Checkpoints, load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.weights import COPY_AGAIN, load_part, save_part
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import WeightingSettings
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatOptimizer
from speech_mtl.training.progress import Progress
from speech_mtl.training.state import TrainState
from speech_mtl.training.weighting import Equal

TOKENIZERS = {"aa": CharacterTokenizer.from_texts(["abc"], "aa"), "bb": CharacterTokenizer.from_texts(["xy"], "bb")}
EQUAL = Equal(Objective(("aa", "bb"), (transcripts(),)))


@pytest.fixture
def model(tiny_recipe: Recipe) -> MultilingualModel:
    return build_model(tiny_recipe, build_targets(tiny_recipe, TOKENIZERS, {}))


@pytest.fixture
def optimizer(model: MultilingualModel, tiny_recipe: Recipe) -> FlatOptimizer:
    return build_optimizer(model, tiny_recipe.training)


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    run.start(tiny_recipe, TOKENIZERS)
    return run


def fill(model: MultilingualModel, optimizer: FlatOptimizer, value: float) -> None:
    """Sets every number that a checkpoint holds."""
    for variable in [*model.trainable_variables, *optimizer.variables]:
        variable.assign(np.full(variable.shape, value, "float32"))
    model.random.state.assign(np.array([int(value), 7]))


def values(model: MultilingualModel, optimizer: FlatOptimizer) -> set[float]:
    """All different numbers in weights and optimiser, and the random state."""
    arrays = [np.asarray(v) for v in [*model.trainable_variables, *optimizer.variables]]
    return {float(x) for array in arrays for x in np.unique(array)} | {float(np.asarray(model.random.state)[0])}


# --- Killed at any operation on the disk

_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "open"}
_armed: list[int] = []
"""Operations that are still allowed; empty: all are."""


class Killed(BaseException):
    """The process is gone: nothing it would do on the disk afterwards happens."""


def _audit(event: str, arguments: tuple) -> None:
    if not _armed or event not in _EVENTS:
        return
    if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        return
    if _armed[0] == 0:
        raise Killed(event)
    _armed[0] -= 1


sys.addaudithook(_audit)  # cannot be taken off again; it does nothing unless armed


@contextmanager
def killed_after(operations: int) -> Iterator[list[bool]]:
    """Kills its block at an operation that changes the disk; gives a list that holds True if that came to pass."""
    happened: list[bool] = []
    _armed.append(operations)
    try:
        yield happened
    except Killed:
        happened.append(True)
    finally:
        _armed.clear()


@pytest.mark.parametrize("second", [4, 2], ids=["next", "same again"])
def test_a_checkpoint_is_whole_wherever_writing_it_is_killed(
    model: MultilingualModel, optimizer: FlatOptimizer, tiny_recipe: Recipe, tmp_path: Path, second: int
):
    """A second one with the same number is written by a run that resumes from the start."""
    for operations in itertools.count():
        run = Run(tmp_path / str(operations))
        run.start(tiny_recipe, {})
        fill(model, optimizer, 2)
        Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=2))
        fill(model, optimizer, 4)
        with killed_after(operations) as killed:
            Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=second, looks_without_gain=1))
        fill(model, optimizer, 0)
        progress = Checkpoints(run).load(TrainState(model, optimizer, EQUAL))
        written = 4.0 if progress.looks_without_gain else 2.0
        nothing_left = second == 2 and not run.has_checkpoint()  # then training starts anew
        assert values(model, optimizer) == {0.0} if nothing_left else {written}
        Checkpoints(run).save(
            TrainState(model, optimizer, EQUAL), Progress(update=6)
        )  # what lies about is no hindrance
        assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["000006"]
        if not killed:
            assert written == 4.0
            assert operations > 10
            break


def test_the_best_weights_are_whole_wherever_writing_them_is_killed(
    model: MultilingualModel, optimizer: FlatOptimizer, tiny_recipe: Recipe, tmp_path: Path
):
    for operations in itertools.count():
        run = Run(tmp_path / str(operations))
        run.start(tiny_recipe, {})
        fill(model, optimizer, 2)
        Checkpoints(run).save_best(model, 2)
        fill(model, optimizer, 4)
        with killed_after(operations) as killed:
            Checkpoints(run).save_best(model, 4)
        fill(model, optimizer, 0)
        Checkpoints(run).load_best(model)
        (value,) = {float(x) for v in model.trainable_variables for x in np.unique(np.asarray(v))}
        assert value == (4.0 if run.best_folder().name == "000004" else 2.0)
        if not killed:
            assert value == 4.0
            assert operations > 10
            break


# --- Saved and loaded


def test_a_checkpoint_holds_everything_to_the_last_bit(model: MultilingualModel, optimizer: FlatOptimizer, run: Run):
    generator = np.random.default_rng(0)
    everything = [*model.trainable_variables, *optimizer.variables]
    for variable in everything:
        variable.assign(generator.standard_normal(variable.shape).astype("float32"))
    model.random.state.assign(np.array([3, 11]))
    before = [np.array(variable) for variable in everything]
    progress = Progress(6, 0.25, 4, 1, 12.5, 0.5)
    Checkpoints(run).save_best(model, 4)
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), progress)
    fill(model, optimizer, 0)
    assert Checkpoints(run).load(TrainState(model, optimizer, EQUAL)) == progress == run.progress()
    for variable, array in zip(everything, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), array)
    assert np.array(model.random.state).tolist() == [3, 11]


def test_nothing_that_is_trained_is_left_out(model: MultilingualModel, run: Run):
    Checkpoints(run).save_best(model, 1)
    saved = {path.name: load_part(path) for path in run.best_folder().rglob("*.safetensors")}
    assert saved.keys() == {"encoder.safetensors", "aa.safetensors", "bb.safetensors"}
    sizes = [array.size for part in saved.values() for array in part.values()]
    assert sum(sizes) == sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def test_what_another_process_has_just_replaced_is_read_again(
    model: MultilingualModel, optimizer: FlatOptimizer, run: Run, monkeypatch: pytest.MonkeyPatch
):
    fill(model, optimizer, 2)
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=2))
    Checkpoints(run).save_best(model, 2)
    read, load = runs.read_record, checkpoint.load_weights

    def read_late(path: Path, *arguments) -> Progress:
        if path.parent.name == "000002":
            Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=4))
        return read(path, *arguments)

    def load_late(folder: Path, parts: dict) -> None:
        if folder.name == "000002":
            fill(model, optimizer, 4)
            Checkpoints(run).save_best(model, 4)
            fill(model, optimizer, 0)
        load(folder, parts)

    monkeypatch.setattr(runs, "read_record", read_late)
    monkeypatch.setattr(checkpoint, "load_weights", load_late)
    assert run.progress() == Progress(update=4)
    Checkpoints(run).load_best(model)
    assert {float(x) for v in model.trainable_variables for x in np.unique(np.asarray(v))} == {4.0}


# --- Damaged


def test_damaged_progress_is_an_input_error(model: MultilingualModel, optimizer: FlatOptimizer, run: Run):
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=2))
    path = run.path / "checkpoints" / "000002" / "progress.json"
    whole = json.loads(path.read_text())
    damaged = [{"update": -3}, {"update": 1e3}, {"update": True}, {"wall_time_s": float("nan")}, {"end": 1.5}]
    contents = [json.dumps({**whole, **change}).encode() for change in damaged]
    for content in (b"", b"{", b"[]", b'{"updates": 3}', b"\xff\xfe", *contents, None):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        for read in (run.progress, lambda: Checkpoints(run).load(TrainState(model, optimizer, EQUAL))):
            with pytest.raises(InputError, match=r"progress\.json") as caught:
                read()
            assert COPY_AGAIN in caught.value.action


@pytest.mark.parametrize("part", ["encoder.safetensors", "heads/bb.safetensors"])
def test_damaged_weights_are_an_input_error(model: MultilingualModel, run: Run, part: str):
    Checkpoints(run).save_best(model, 2)
    path = run.best_folder() / part
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\xff" * 99, None):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(InputError, match=f"{part} cannot be read"):
            Checkpoints(run).load_best(model)


def test_a_run_resumes_that_was_killed_while_it_wrote_the_same_best_weights_again(
    model: MultilingualModel, optimizer: FlatOptimizer, run: Run
):
    Checkpoints(run).save_best(model, 2)
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=2, best_update=2))
    (run.path / "best" / "000002").rename(run.path / "best" / "former.tmp")
    assert run.progress().update == Checkpoints(run).load(TrainState(model, optimizer, EQUAL)).update == 2


def test_a_run_without_settings_best_weights_or_checkpoints_is_not_begun_anew(
    model: MultilingualModel, optimizer: FlatOptimizer, run: Run, tiny_recipe: Recipe
):
    Checkpoints(run).save_best(model, 2)
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=4, best_update=2))
    (run.path / "best" / "²").mkdir()  # a digit for Python, and no number
    assert run.progress().update == 4
    run.settings_path.unlink()
    with pytest.raises(InputError, match="holds weights, and no settings"):
        run.exists()
    shutil.rmtree(run.path / "checkpoints")
    with pytest.raises(InputError, match="lacks what its training left"):
        Checkpoints(run).load(TrainState(model, optimizer, EQUAL))
    run.write_settings(tiny_recipe)
    Checkpoints(run).load_best(model)  # enough for recognising
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=4, best_update=2))
    shutil.rmtree(run.path / "best")
    with pytest.raises(InputError, match="lacks what its training left") as caught:
        Checkpoints(run).load(TrainState(model, optimizer, EQUAL))
    assert "best/000002" in caught.value.expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_an_input_error(model: MultilingualModel, run: Run, value: float):
    Checkpoints(run).save_best(model, 2)
    path = run.best_folder() / "heads" / "bb.safetensors"
    arrays = load_part(path)
    arrays["bias"][1] = value
    save_part(path, arrays)
    with pytest.raises(InputError, match=r"bb\.safetensors are not numbers: bias") as caught:
        Checkpoints(run).load_best(model)
    assert caught.value.received.startswith(f"1 of {arrays['bias'].size} ")


def test_a_checkpoint_of_another_shape_is_an_input_error(
    model: MultilingualModel, optimizer: FlatOptimizer, run: Run, tiny_recipe: Recipe
):
    objective = objective_of(model)
    for kind in ("uncertainty", "random", "ctc_dro"):
        weighting = usual(WeightingSettings.kinds()[kind], objective)
        Checkpoints(run).save(TrainState(model, optimizer, weighting), Progress(update=2))
        folder = run.path / "checkpoints" / "000002"
        files = ["random"] + ["weighting"] * bool(weighting.state())
        for name in files:
            path = folder / f"{name}.safetensors"
            whole = load_part(path)
            for damaged in ({}, {key: np.zeros(17, array.dtype) for key, array in whole.items()}):
                save_part(path, damaged)
                with pytest.raises(InputError, match=f"{name}.safetensors does not fit"):
                    Checkpoints(run).load(TrainState(model, optimizer, weighting))
            save_part(path, whole)
        state = optimizer.named_state()
        largest = max(state, key=lambda name: state[name].size)
        save_part(folder / "optimizer.safetensors", {**state, largest: state[largest][:-1]})
        with pytest.raises(InputError, match=r"optimizer\.safetensors does not fit") as caught:
            Checkpoints(run).load(TrainState(model, optimizer, weighting))
        assert largest in caught.value.problem, kind


@pytest.mark.parametrize(
    "kind", sorted(kind for kind, own in WeightingSettings.kinds().items() if own.member().remembered)
)
def test_the_state_of_a_weighting_is_restored_on_resume(
    kind: str, model: MultilingualModel, optimizer: FlatOptimizer, run: Run
):
    objective = objective_of(model)
    before, resumed = (usual(WeightingSettings.kinds()[kind], objective) for _ in range(2))
    before.set_state({name: np.nan_to_num(array) + 3 for name, array in before.state().items()})
    Checkpoints(run).save(TrainState(model, optimizer, before), Progress(update=2))
    Checkpoints(run).load(TrainState(model, optimizer, resumed))
    for name, array in before.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array, err_msg=name)


def test_a_full_disk_is_what_the_system_says(model: MultilingualModel, run: Run, tmp_path: Path):
    """`safetensors` makes an error of its own of it."""
    command = "import numpy, pathlib; from speech_mtl.run.weights import save_part"
    command += f"; path = pathlib.Path({str(tmp_path)!r}, 'w')"
    command += "; save_part(path, {'a': numpy.zeros(100_000)})"
    # -B: no byte code, which Python would write cut short and read later
    limited = ["bash", "-c", 'ulimit -f 12; exec "$0" -B -c "$1"', sys.executable, command]
    ended = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1].startswith(f"OSError: [Errno {errno.EFBIG}] ")
    assert str(tmp_path / "w") in ended.stderr.splitlines()[-1]
    assert not list(tmp_path.glob(".*.tmp"))


def test_an_optimizer_of_another_network_is_an_input_error(
    model: MultilingualModel, optimizer: FlatOptimizer, run: Run
):
    Checkpoints(run).save(TrainState(model, optimizer, EQUAL), Progress(update=2))
    path = run.path / "checkpoints" / "000002" / "optimizer.safetensors"
    state = optimizer.named_state()
    missing = sorted(state)[0]
    save_part(path, {name: value for name, value in state.items() if name != missing})
    with pytest.raises(InputError, match=r"optimizer\.safetensors does not fit") as caught:
        Checkpoints(run).load(TrainState(model, optimizer, EQUAL))
    assert missing in caught.value.problem


def test_a_run_without_weights_says_so(run: Run):
    with pytest.raises(InputError, match="has no trained weights yet"):
        load_recognizer(run)
    assert run.progress() == Progress()
    assert not run.has_checkpoint()


def test_settings_are_read_once_for_a_recogniser(trained: Run, monkeypatch: pytest.MonkeyPatch):
    read, load = [], runs.load_recipe
    monkeypatch.setattr(runs, "load_recipe", lambda path, **how: read.append(path) or load(path, **how))
    load_recognizer(Run(trained.path))
    assert len(read) == 1
