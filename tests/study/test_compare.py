"""A comparison, stopped in the middle and started again; all tests use the same one."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import get_type_hints

import jiwer
import pytest
from recorded_screen import RecordedScreen

import speech_mtl.run.evaluate as evaluate_module
from speech_mtl.errors import InputError
from speech_mtl.files import read_json
from speech_mtl.run.evaluated import saved_evaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.loop import Training
from speech_mtl.run.provenance import commit
from speech_mtl.run.speech import open_split
from speech_mtl.run.training_speech import TrainingSpeech
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.compare import compare
from speech_mtl.study.gather import UNKNOWN
from speech_mtl.study.plan import plan_comparison
from speech_mtl.study.report.content import short_text
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.tables import comparison_table
from speech_mtl.study.results import load
from speech_mtl.study.statistics.hypotheses import Model, read_test_sets
from speech_mtl.study.statistics.rows import ResultRow


@dataclass
class Compared:
    """A comparison and what was done for it."""

    recipe: Recipe
    folder: Path
    rows: list[ResultRow] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    evaluated: list[str] = field(default_factory=list)
    stopped_at: tuple[list[str], list[str]] = ([], [])
    rows_when_stopped: list[ResultRow] = field(default_factory=list)
    audio_s: dict[str, float] = field(default_factory=dict)
    """Of the batches that each run was given."""

    def times(self) -> dict[Path, int]:
        """When each file of the runs was written."""
        return {path: path.stat().st_mtime_ns for path in (self.folder / "runs").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def memory() -> list[Compared]:
    """The one comparison of this file."""
    return []


@pytest.fixture
def compared(
    memory: list[Compared],
    tiny_recipe: Recipe,
    make_corpus: Callable,
    tmp_path_factory: pytest.TempPathFactory,
    untraced: None,
) -> Compared:
    if memory:
        return memory[0]
    folder = tmp_path_factory.mktemp("compared")
    recipe = tiny_recipe.overridden(
        {
            "data.dir": str(make_corpus(data_dir=folder / "data")),
            "data.cache_dir": str(folder / "cache"),
            "training": {"num_updates": 2, "evaluate_every": 2},
            "compare.budgets_min": [0.12, 0.06],
            "compare.arms": ["pretrain_finetune", "alone"],
            "compare.num_replications": 200,
            "about": "Tones.",
        }
    )
    done = Compared(recipe, folder / "out")
    with pytest.MonkeyPatch.context() as patched:
        finish, evaluate = Training.run, evaluate_module.evaluate
        batches = TrainingSpeech.batches

        def counted_finish(training, *arguments):
            if done.trained.count("alone-0.06min-seed0") == 1 and not done.stopped_at[0]:
                done.stopped_at = (list(done.trained), list(done.evaluated))
                raise KeyboardInterrupt
            name = training.checkpoints.run.path.name
            done.trained.append(name)
            patched.setattr(TrainingSpeech, "batches", lambda *own: counted_batches(name, *own))
            return finish(training, *arguments)

        def counted_batches(name, *arguments):
            for batch in batches(*arguments):
                done.audio_s[name] = done.audio_s.get(name, 0.0) + batch.num_samples.sum() / recipe.data.sample_rate_hz
                yield batch

        def counted_evaluate(run, *arguments, **keywords):
            done.evaluated.append(run.path.name)
            return evaluate(run, *arguments, **keywords)

        patched.setattr(Training, "run", counted_finish)
        patched.setattr(evaluate_module, "evaluate", counted_evaluate)
        with pytest.raises(KeyboardInterrupt):
            compare(recipe, done.folder)
        done.rows_when_stopped = read_json(done.folder / "comparison.json", list[ResultRow])
        before = done.times()
        done.rows = list(compare(recipe, done.folder).rows)
        for name in done.stopped_at[0]:  # what was finished is as it was, to the file
            kept = {path: time for path, time in before.items() if name in path.parts}
            assert kept
            assert kept.items() <= done.times().items()
        trained, evaluated, before = list(done.trained), list(done.evaluated), done.times()
        assert list(compare(recipe, done.folder).rows) == done.rows
        assert (done.trained, done.evaluated, done.times()) == (trained, evaluated, before)
    memory.append(done)
    return done


RUNS = ["pretrain-seed0", "pretrain_finetune-0.06min-seed0", "alone-0.06min-seed0"]


def test_finished_runs_are_neither_trained_nor_evaluated_again(compared: Compared):
    assert compared.stopped_at == (RUNS, RUNS[1:])
    assert Counter(compared.trained) == Counter([*RUNS, "pretrain_finetune-0.12min-seed0", "alone-0.12min-seed0"])
    assert Counter(compared.evaluated) == Counter(name for name in compared.trained if name != "pretrain-seed0")


def test_the_commits_of_the_runs_are_told_apart_from_that_of_the_results(compared: Compared):
    origin = json.loads((compared.folder / "provenance.json").read_text())
    assert origin["trained_by"] == {commit() or UNKNOWN: len(plan_comparison(compared.recipe, compared.folder).stages)}


def test_rows_are_written_as_soon_as_they_are_there(compared: Compared):
    assert compared.rows_when_stopped == compared.rows[:4]


def test_rows_have_all_fields_and_are_what_the_file_holds(compared: Compared):
    assert read_json(compared.folder / "comparison.json", list[ResultRow]) == compared.rows
    for row in compared.rows:
        assert row.keys() == get_type_hints(ResultRow).keys() - {"decoder", "untranscribed_s"}, (
            "one decoder, no pseudo-labels"
        )
        assert None not in row.values()
    assert [(row["arm"].name, round(row["budget_s"], 3), row["split"]) for row in compared.rows] == [
        (arm, budget_s, split)
        for budget_s in (3.6, 7.2)
        for arm in ("pretrain_finetune", "alone")
        for split in ("dev", "test")
    ]


def test_numbers_equal_a_recount_from_the_hypotheses(compared: Compared):
    for row in compared.rows:
        run = compared.folder / "runs" / f"{row['arm']}-{row['budget_s'] / 60:g}min-seed{row['seed']}"
        path = run / "hypotheses" / f"{row['language']}-{row['split']}.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        references, hypotheses = ([record[key] for record in records] for key in ("reference", "hypothesis"))
        assert row["cer"] == pytest.approx(jiwer.cer(references, hypotheses))
        assert row["wer"] == pytest.approx(jiwer.wer(references, hypotheses))
        assert row["num_utterances"] == len(records) == 3
        assert row["num_reference_words"] == sum(len(text.split()) for text in references)
        assert row["num_reference_characters"] == sum(map(len, references))


def test_updates_and_time_are_those_of_all_stages(compared: Compared):
    for row in compared.rows:
        names = [f"{row['arm']}-{row['budget_s'] / 60:g}min-seed0"]
        names += ["pretrain-seed0"] if row["arm"].name == "pretrain_finetune" else []
        progress = [Run(compared.folder / "runs" / name).progress() for name in names]
        assert row["num_updates"] == 2 * len(names)
        assert row["wall_time_s"] == round(sum(part.wall_time_s for part in progress), 1)


def test_audio_is_that_of_the_batches_of_all_stages(compared: Compared):
    for row in compared.rows:
        stages = row.get("stages", [])
        pretrained = ["pretrain-seed0"] * (row["arm"].name == "pretrain_finetune")
        assert [stage["run"] for stage in stages] == [*pretrained, f"{row['arm']}-{row['budget_s'] / 60:g}min-seed0"]
        assert [stage["num_updates"] for stage in stages] == [2] * len(stages)
        assert row.get("audio_s") == pytest.approx(sum(compared.audio_s[stage["run"]] for stage in stages), abs=0.11)


def test_curves_are_those_of_the_log_and_the_protocol_is_that_of_the_recipe(compared: Compared):
    curves = json.loads((compared.folder / "curves.json").read_text())["learning"]
    assert Counter(one["run"] for one in curves) == Counter(set(compared.trained))
    for one in curves:
        (validation,) = map(json.loads, (compared.folder / "runs" / one["run"] / "log.jsonl").read_text().splitlines())
        assert one["errors"] == [round(fmean(validation["dev_cer"].values()), 4)]
        assert (one["updates"], one["best"], one["stopped"]) == ([2], 2, False)
        assert (one["budget_s"] is None) == (one["run"] == "pretrain-seed0")
    assert json.loads((compared.folder / "provenance.json").read_text())["protocol"] == "equal_speech"
    assert "Learning curves" in (compared.folder / "report.md").read_text()


def test_budgets_are_nested_and_equal_across_arms(compared: Compared):
    chosen: dict[float, set[tuple[int, ...]]] = {}
    plan = plan_comparison(compared.recipe, compared.folder)
    for cell in plan.cells:
        positions = open_split(plan.stages[cell.stages[-1]].recipe, "aa", "train").positions
        chosen.setdefault(cell.budget_s, set()).add(tuple(positions.tolist()))
    (small,), (large,) = chosen[0.06 * 60], chosen[0.12 * 60]
    assert 0 < len(small) < len(large) < 12
    assert set(small) < set(large)


def test_the_terminal_shows_the_answer_the_table_and_the_notes(compared: Compared):
    summary = load(compared.folder).summary
    text = short_text(summary)
    assert text.startswith("# tiny: aa\n\nTones.\n\n**")
    assert render_block(comparison_table(summary.arms), {}) in text
    assert "took all their updates: their error might still have been falling" in text
    assert all(f"- {note}" in text.replace("\\", "") for note in summary.notes)


def test_a_run_is_evaluated_again_after_its_weights_or_its_test_set_have_changed(compared: Compared):
    run = Run(compared.folder / "runs" / "alone-0.06min-seed0")
    manifest, part = compared.recipe.data.dir / "aa" / "test.jsonl", next(run.best_folder().rglob("*.safetensors"))
    saved = saved_evaluation
    assert saved(run, ("dev", "test")) == json.loads((run.path / "evaluation.json").read_text())
    assert saved(run, ("dev",)) is None
    for path, changed in (
        (part, part.read_bytes() + b"x"),
        (manifest, manifest.read_bytes().replace(b"abcd", b"abca")),
    ):
        content, status = path.read_bytes(), path.stat()
        path.write_bytes(changed)
        os.utime(path, ns=(0, 0))
        assert saved(run, ("dev", "test")) is None, "whatever the file's date"
        path.write_bytes(content)
        assert saved(run, ("dev", "test")) is not None, "content counts, not dates"
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_runs_made_from_other_transcripts_are_neither_taken_for_the_new_ones_nor_lost(compared: Compared):
    manifest = compared.recipe.data.dir / "aa" / "train.jsonl"
    content, before, screen = manifest.read_bytes(), compared.times(), RecordedScreen()
    try:
        manifest.write_bytes(content.replace(b'"text": "', b'"text": "a'))
        with pytest.raises(InputError, match="was made from has changed since") as caught:
            compare(compared.recipe, compared.folder)
        assert re.search(r"train\.jsonl: text, id, speaker or labels of \d of \d used utt", caught.value.received)
        assert "--out" in caught.value.action
        assert "--accept-changes" in caught.value.action
        assert list(compare(compared.recipe, compared.folder, screen, accept_changes=True).rows) == compared.rows
    finally:
        manifest.write_bytes(content)
    assert any("accepted: " in line for line in screen.lines)
    assert compared.times() == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tiny_recipe: Recipe, tmp_path: Path):
    (tmp_path / "comparison.json").write_text("mine")
    with pytest.raises(InputError, match="is no output of `speech-mtl compare`, and not empty"):
        compare(tiny_recipe, tmp_path)
    assert (tmp_path / "comparison.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "speaker", "tasks": {"speaker": {}}}, "has no target language"),
        ({"compare.arms": ["alone", "together"]}, "there is no arm 'together'"),
        ({"compare.budgets_min": [0.05, 100]}, "A budget of 100 minutes is more than there is"),
        ({"compare.budgets_min": [0.001]}, "holds no utterance"),
        ({"compare.budgets_min": []}, r"compare\.budgets_min is not right"),
        ({"compare.budgets_min": [1, 1]}, r"compare\.budgets_min is not right"),
        ({"compare.arms": ["alone", "alone"]}, r"compare\.arms is not right"),
        ({"compare.seeds": []}, r"compare\.seeds is not right"),
        ({"languages": {"aa": {}}}, "has no auxiliary language"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_trained(
    tiny_recipe: Recipe, tmp_path: Path, change: dict, message: str
):
    with pytest.raises(InputError, match=message):
        compare(tiny_recipe.overridden(change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_test_set_is_refused_before_anything_is_trained(tiny_recipe: Recipe, tmp_path: Path):
    (tiny_recipe.data.dir / "aa" / "test.jsonl").write_text("")
    with pytest.raises(InputError, match=r"The manifest .*aa/test\.jsonl is empty"):
        compare(tiny_recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_report_lies_beside_the_rows(compared: Compared):
    names = {path.name for path in compared.folder.iterdir()}
    assert names >= {"comparison.json", "efficiency.json", "hypotheses.jsonl", "provenance.json"}
    assert names >= {"report.html", "report.md", "plots", "runs"}
    assert "failures.json" not in names
    arms = json.loads((compared.folder / "arms.json").read_text())
    assert [(row["arm"], row["budget_s"]) for row in arms] == [
        (arm, round(row["budget_s"], 6)) for row in compared.rows[::4] for arm in ("alone", "pretrain_finetune")
    ]
    worth = json.loads((compared.folder / "efficiency.json").read_text())
    assert bool(worth) != (
        "auxiliary languages save are not available: " in (compared.folder / "report.md").read_text()
    )


def test_hypotheses_are_those_of_the_runs(compared: Compared):
    (test_set,) = read_test_sets(compared.folder / "hypotheses.jsonl")
    assert (test_set.language, set(test_set.speakers)) == ("aa", {"s0", "s1"})
    assert len(test_set.hypotheses) == 4
    for row in compared.rows:
        if row["split"] == "test":
            hypotheses = test_set.hypotheses[Model(row["arm"], row["budget_s"], row["seed"])]
            assert row["cer"] == pytest.approx(jiwer.cer(test_set.references, hypotheses))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evaluation.json", b""),
        ("evaluation.json", b"[{"),
        ("evaluation.json", b'[{"cer": "much"}]'),
        ("hypotheses/aa-test.jsonl", b'{"id": 1}'),
        ("hypotheses/aa-test.jsonl", b"\xff"),
    ],
)
def test_a_damaged_evaluation_is_made_again(compared: Compared, name: str, content: bytes):
    path = compared.folder / "runs" / "alone-0.06min-seed0" / name
    whole = path.read_bytes()
    path.write_bytes(content)
    compare(compared.recipe, compared.folder)
    assert path.read_bytes() == whole


def test_a_damaged_log_is_named_once_and_stops_nothing(compared: Compared, capsys: pytest.CaptureFixture):
    path = compared.folder / "runs" / "alone-0.06min-seed0" / "log.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    try:
        rows = compare(compared.recipe, compared.folder, Screen()).rows
    finally:
        path.write_bytes(whole)
    unknown = [row | {"audio_s": None, "stages": None} for row in rows]
    assert unknown == [row | {"audio_s": None, "stages": None} for row in compared.rows]
    lost = [(row["arm"].name, round(row["budget_s"], 1)) for row in rows if row.get("audio_s") is None]
    assert lost == [("alone", 3.6)] * 2
    assert capsys.readouterr().err.count("log.jsonl") == 1


def test_a_damaged_record_of_commands_is_written_anew(compared: Compared, capsys: pytest.CaptureFixture):
    path = compared.folder / "provenance.json"
    path.write_text("{", encoding="utf-8")
    compare(compared.recipe, compared.folder, Screen())
    assert capsys.readouterr().err.count("provenance.json") == 1
    assert load(compared.folder).origin.commands


def test_a_failed_run_is_reported_and_stops_only_what_starts_from_it(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    recipe = tiny_recipe.overridden(
        {
            "training": {"num_updates": 2, "evaluate_every": 2},
            "compare.arms": ["pretrain_finetune", "alone"],
            "compare.num_replications": 200,
        }
    )
    finish = Training.run

    def fails_in_pretraining(training, *arguments):
        if training.checkpoints.run.path.name == "pretrain-seed0":
            raise InputError("The loss is no number", expected="one", received="nan", action="lower the rate")
        return finish(training, *arguments)

    monkeypatch.setattr(Training, "run", fails_in_pretraining)
    screen = RecordedScreen()
    with pytest.raises(InputError, match="2 of 3 runs failed") as caught:
        compare(recipe, tmp_path / "out", screen)
    assert "The loss is no number" in caught.value.received
    assert any("The report is" in line for line in screen.lines), "the command does not tell where it is"
    failures = json.loads((tmp_path / "out" / "failures.json").read_text())
    assert [failure["run"] for failure in failures] == ["pretrain-seed0", "pretrain_finetune-0.1min-seed0"]
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert {row["arm"] for row in rows} == {"alone"}
    assert (tmp_path / "out" / "report.html").is_file()

    monkeypatch.undo()
    assert {row["arm"].name for row in compare(recipe, tmp_path / "out").rows} == {"alone", "pretrain_finetune"}
    assert not (tmp_path / "out" / "failures.json").exists()


def test_a_fault_of_ours_is_raised_after_the_others_are_done(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, monkeypatch: pytest.MonkeyPatch
):
    recipe = tiny_recipe.overridden(
        {"training": {"num_updates": 2, "evaluate_every": 2}, "compare.num_replications": 200}
    )
    finish = Training.run

    def fails_alone(training, *arguments):
        name = training.checkpoints.run.path.name
        return 1 / 0 if name.startswith("alone") else finish(training, *arguments)

    monkeypatch.setattr(Training, "run", fails_alone)
    with pytest.raises(ZeroDivisionError):
        compare(recipe, tmp_path / "out")
    assert {row["arm"] for row in json.loads((tmp_path / "out" / "comparison.json").read_text())} == {"joint"}


def test_side_by_side_gives_what_one_after_another_gives(tiny_recipe: Recipe, tmp_path: Path):
    """In processes of their own, two at a time; the errors are those of runs in this process."""
    recipe = tiny_recipe.overridden(
        {"training": {"num_updates": 2, "evaluate_every": 2}, "compare.num_replications": 200}
    )
    rows = compare(recipe, tmp_path / "two", num_jobs=2).rows
    assert {path.name for path in (tmp_path / "two" / "runs").glob("*/output.log")} == {"output.log"}
    alone = compare(recipe.overridden({"compare.arms": ["alone"]}), tmp_path / "one").rows
    assert [row["cer"] for row in rows if row["arm"].name == "alone"] == pytest.approx([row["cer"] for row in alone])


def test_a_transfer_map_of_two_languages(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    recipe = tiny_recipe.overridden(
        {
            "training": {"num_updates": 2, "evaluate_every": 2},
            "compare.arms": ["pretrain_finetune"],
            "compare.num_replications": 200,
        }
    )
    rows = compare(recipe, tmp_path / "out", pairs=True).rows
    found = {(row["language"], row["arm"].name) for row in rows if row["split"] == "test"}
    assert found == {
        ("aa", "alone"),
        ("bb", "alone"),
        ("aa", "pretrain_finetune_only_bb"),
        ("bb", "pretrain_finetune_only_aa"),
    }
    page = (tmp_path / "out" / "report.md").read_text()
    assert "aa" in page
    assert "bb" in page
    assert (tmp_path / "out" / "plots" / "report-transfer.png").is_file()
