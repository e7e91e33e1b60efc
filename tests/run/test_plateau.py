"""Networks that put out almost only blanks, as at the beginning of training: said in training, after it, in tests."""

from pathlib import Path

import numpy as np
import pytest

import speech_mtl.run.train as training
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.folder import Run
from speech_mtl.run.plateau import is_on_plateau, plateau_text, stuck_languages, tell_untrained
from speech_mtl.scoring.error_rate import score
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.compare import compare


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch, untraced: None) -> None:
    """Networks whose output layers are certain of the blank."""
    build = training.build_model

    def built(*arguments, **named):
        model = build(*arguments, **named)
        for name, part in model.parts().items():
            for key, variable in part.items():
                if name.startswith("heads/") and key.endswith("bias"):
                    variable.assign(30.0 * (np.arange(variable.shape[0]) == 0))
        return model

    monkeypatch.setattr(training, "build_model", built)


@pytest.mark.parametrize(
    ("hypotheses", "expected"),
    [
        (["", ""], True),
        (["a", ""], True),  # 1 of 40 characters
        (["abcdefghij" * 2, ""], False),
        (["abc", ""], True),  # 3 of 20 letters
        (["abcde", "mnopq"], False),  # 10 of 20
        (["z" * 20, "z" * 20], True),
        (["ajajajajajajajajajaj", "klklklklklklklklklkl"], True),  # a fifth of the characters are right
    ],
)
def test_hardly_any_character_is_right_or_hardly_any_but_the_most_frequent_comes_out(
    hypotheses: list[str], expected: bool
):
    references = ["abcdefghij" * 2, "klmnopqrst" * 2]
    assert is_on_plateau(score(references, hypotheses), references, hypotheses) is expected


def test_utterances_without_a_transcript_have_no_letters():
    assert not is_on_plateau(score(["abcd"], ["abcd"]), [None, "abcd"], ["dddddd", "abcd"])


def test_the_remedy_names_settings_and_their_values(tiny_recipe: Recipe):
    recipe = tiny_recipe.overridden(
        {"training.num_updates": 3000, "training.warmup_updates": 600, "training.learning_rate": 5e-3}
    )
    text = plateau_text(["aa", "bb"], recipe)
    assert text.startswith("aa, bb: almost only blanks or a few frequent letters come out")
    for setting in ("training.num_updates=6000, now 3000", "training.warmup_updates=1200, now 600"):
        assert setting in text
    assert "training.learning_rate=0.002, now 0.005" in text
    assert "finetune" not in text
    assert "zero_branches" not in text
    other = recipe.overridden({"encoder.zero_branches": False, "training.learning_rate": 2e-3})
    assert "encoder.zero_branches=true" in plateau_text(["aa"], other)
    assert "learning_rate" not in plateau_text(["aa"], other)
    assert "encoder.upsampling=2, now 1" in text
    assert "upsampling" not in plateau_text(["aa"], recipe.overridden({"encoder.upsampling": 2}))


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_the_remedy_of_a_run_that_starts_from_another(tiny_recipe: Recipe, rate: float):
    changes = {"training.num_updates": 3000, "training.learning_rate": rate, "encoder.zero_branches": False}
    text = plateau_text(["aa"], tiny_recipe.overridden({"init_from": "runs/before", **changes}))
    assert "training.num_updates=6000, now 3000" in text, "train and finetune both take it"
    assert "In a comparison, finetune.* has these settings" in text
    assert "learning_rate" not in text, "it is higher where the encoder is frozen"
    assert "zero_branches" not in text, "these branches are trained already"


def test_training_says_so_once_when_warm_up_is_over(
    blank: None, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture
):
    changes = {"training": {"num_updates": 4, "warmup_updates": 2, "evaluate_every": 1, "learning_rate": 1e-5}}
    run = training.train(tiny_recipe.overridden(changes), tmp_path / "run", Screen())
    lines = [line for line in capsys.readouterr().err.splitlines() if "letters come out" in line]
    assert [line[:27] for line in lines] == ["warning update 2: aa: almos"]
    assert stuck_languages(run) == ["aa"]
    evaluate(run, ["dev", "test"], screen=Screen())
    said = capsys.readouterr().err
    assert (
        "warning aa (dev), aa (test), bb (dev), bb (test): almost only blanks or a few frequent letters come out"
        in said
    )
    assert said.count("letters come out") == 1
    tell_untrained(run, Screen())
    assert capsys.readouterr().err.startswith(f"warning {run.path}: aa: almost only blanks")
    run.log_path.write_text("damaged")
    tell_untrained(run, Screen())
    assert capsys.readouterr().err == "", "a log is not needed to use a run"


def test_a_control_that_cannot_learn_is_no_plateau(
    blank: None, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture
):
    changes = {"languages.aa.replace": "noise", "training.num_updates": 2, "training.learning_rate": 1e-5}
    run = training.train(tiny_recipe.overridden(changes), tmp_path / "run", Screen())
    assert "letters come out" not in capsys.readouterr().err
    assert stuck_languages(run) == []


def test_a_comparison_names_runs_that_stay_there(
    blank: None, tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture
):
    changes = {"training": {"num_updates": 1, "warmup_updates": 0, "learning_rate": 1e-5}, "target": "aa"}
    study = {"arms": ["alone"], "budgets_min": [0.1], "seeds": [0], "protocol": "equal_updates"}
    compare(tiny_recipe.overridden({**changes, "compare": study}), tmp_path / "study", Screen(), engine="local")
    told = [line for line in capsys.readouterr().err.splitlines() if "letters come out" in line]
    assert any(line.startswith("warning alone-0.1min-seed0: aa: ") for line in told)


def test_the_last_validation_counts(tmp_path: Path):
    run = Run(tmp_path)
    assert stuck_languages(run) == []
    for line, expected in (('{"update": 1, "on_plateau": ["aa"]}', ["aa"]), ('{"update": 2}', [])):
        with run.log_path.open("a") as file:
            file.write(line + "\n")
        assert stuck_languages(run) == expected
