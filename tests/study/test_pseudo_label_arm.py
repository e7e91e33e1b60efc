"""The arm `pseudo_labels`: which stages it has, and a comparison with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from speech_mtl.datatypes import Hypothesis, Token
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.pseudo_labels import saved_taught
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.arms import ARMS, Stage
from speech_mtl.study.compare import compare
from speech_mtl.study.plan import plan_comparison
from speech_mtl.study.report.tables import arms_table, comparison_table


def stages(recipe: Recipe, **settings) -> list[Stage]:
    changes = {f"compare.pseudo_labels.{key}": value for key, value in settings.items()}
    return ARMS["pseudo_labels"](recipe.overridden(changes))


def test_the_student_starts_from_the_pretrained_encoder_and_learns_from_the_teacher(tiny_recipe: Recipe):
    first, teacher, student = stages(tiny_recipe, untranscribed_min=2.0, keep=0.5)
    own = ARMS["pretrain_finetune"](tiny_recipe)
    assert [one.recipe.of_one_run() for one in (first, teacher)] == [one.recipe.of_one_run() for one in own]
    assert (student.start, student.teacher) == (first.name, teacher.name)
    taught = student.recipe.languages["aa"].pseudo_labels
    assert taught is not None
    assert (taught.untranscribed_s, taught.keep, taught.rate_range) == (120.0, 0.5, (0.5, 2.0))
    plain = {"languages.aa.pseudo_labels": None}
    assert student.recipe.overridden(plain).of_one_run() == teacher.recipe.of_one_run(), "all else is alike"


def test_every_round_is_taught_by_the_one_before(tiny_recipe: Recipe):
    first, teacher, *students = stages(tiny_recipe, rounds=3)
    assert [one.teacher for one in students] == [teacher.name, students[0].name, students[1].name]
    assert [one.start for one in students] == [first.name] * 3


@pytest.mark.parametrize(
    ("settings", "num_stages", "starts_from"),
    [
        ({"start": "teacher"}, 3, 1),
        ({"start": "random"}, 3, None),
        ({"start": "random", "teacher": "alone"}, 2, None),
        ({"teacher": "alone"}, 3, 0),
        ({"teacher": "joint", "start": "teacher"}, 2, 0),
    ],
)
def test_teachers_and_starts(tiny_recipe: Recipe, settings: dict, num_stages: int, starts_from: int | None):
    found = stages(tiny_recipe, **settings)
    assert len(found) == num_stages
    assert found[-1].start == (None if starts_from is None else found[starts_from].name)
    assert found[-1].teacher == found[-2].name
    assert set(found[-1].after) <= {stage.name for stage in found[:-1]}


def test_a_teacher_that_is_none_is_refused(tiny_recipe: Recipe):
    with pytest.raises(InputError, match="there is no arm 'joynt'"):
        stages(tiny_recipe, teacher="joynt")
    with pytest.raises(InputError, match="cannot be compared so"):
        stages(tiny_recipe, teacher="pseudo_labels")


def test_the_plan_gives_each_student_its_teacher_and_waits_for_it(tiny_recipe: Recipe):
    changes = {
        "compare.arms": ["alone", "pretrain_finetune", "pseudo_labels"],
        "compare.budgets_min": [0.06, 0.12],
        "compare.pseudo_labels.rounds": 2,
        "compare.pretrain_seed": 0,
    }
    plan = plan_comparison(tiny_recipe.overridden(changes), Path("out"))
    assert len(plan.stages) == 1 + 2 * 4, "the teacher is the run of its own arm"
    for stage in plan.stages.values():
        if stage.teacher is not None:
            taught = stage.recipe.languages["aa"].pseudo_labels
            assert taught is not None
            assert taught.teacher == plan.run_path(stage.teacher)
            assert stage.teacher in plan.tested, "its confidences are calibrated"
    names = list(plan.stages)
    assert all(names.index(other) < names.index(name) for name in names for other in plan.stages[name].after)


def test_a_comparison_with_pseudo_labels(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    def always(_self, _examples, ids: list[str], language: str, *_) -> Iterator[Hypothesis]:
        """A network of so few updates recognises nothing."""
        for name in ids:
            yield Hypothesis(
                name, language, "abcd", -1.0, {}, tuple(Token(letter, 0.0, 0.1, -0.1) for letter in "abcd")
            )

    def teacher(run: Run, decoding: DecodingSettings | None, **_: object) -> Recognizer:
        taught_by.append(run.path.name)
        return load_recognizer(run, decoding)

    taught_by: list[str] = []
    monkeypatch.setattr("speech_mtl.run.pseudo_labels.load_recognizer", teacher)
    monkeypatch.setattr(Recognizer, "transcribe_examples", always)
    recipe = tiny_recipe.overridden(
        {
            "compare.arms": ["pseudo_labels"],
            "compare.budgets_min": [0.08],
            "compare.num_replications": 100,
            "compare.pseudo_labels": {"untranscribed_min": 0.06, "teacher": "alone", "start": "random"},
            "training": {"num_updates": 1, "warmup_updates": 1, "evaluate_every": 1},
        }
    )
    results = compare(recipe, tmp_path / "out")
    assert taught_by == ["alone-0.08min-seed0"]
    run = Run(tmp_path / "out" / "runs" / "pseudo_labels-0.08min-seed0")
    taught = saved_taught(run, "aa")
    assert taught is not None
    assert 0 < taught["untranscribed_s"] <= 3.6
    (row,) = [row for row in results.rows if row["split"] == "test"]
    assert (row["budget_s"], row.get("untranscribed_s")) == (pytest.approx(4.8), taught["untranscribed_s"])
    (arm,) = [one for one in results.summary.arms if one.arm.name == "pseudo_labels"]
    assert arm.effort.untranscribed_s == pytest.approx(taught["untranscribed_s"])
    for table in (arms_table, comparison_table):
        assert "untranscribed speech" in table([arm]).note
    assert "Untranscribed" in arms_table([arm]).heads
