"""A comparison whose runs are also decoded with a language model of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

import speech_mtl.run.lm as lm_module
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.errors import InputError
from speech_mtl.run.evaluated import SavedEvaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.speech import open_split
from speech_mtl.run.stored_lm import load_lm, read_record
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.compare import compare
from speech_mtl.study.results import load

CELLS = [("alone", 0.06), ("alone", 0.12)]


@pytest.fixture
def recipe(tiny_recipe: Recipe, make_corpus: Callable, tmp_path: Path) -> Recipe:
    """The texts of the dev and test sets are in its text file, too."""
    data = make_corpus(data_dir=tmp_path / "data")
    held_out = [str(u.text) for split in ("dev", "test") for u in read_manifest(manifest_path(data, "aa", split))]
    (tmp_path / "more.txt").write_text("\n".join(["abba", "dada", "cab", *held_out]) + "\n", encoding="utf-8")
    return tiny_recipe.overridden(
        {
            "data.dir": str(data),
            "training": {"num_updates": 2, "evaluate_every": 2},
            "compare.budgets_min": [budget_min for _, budget_min in CELLS],
            "compare.arms": ["alone"],
            "compare.num_replications": 200,
            "compare.lm_texts": [str(tmp_path / "more.txt")],
            "compare.decoders": {"beam": {"kind": "beam", "width": 4, "lm": "words"}},
        }
    )


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.is_file()}


def test_each_cell_has_a_language_model_of_its_own_and_both_decoders(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untraced: None
):
    folder, tuned = tmp_path / "out", []
    tune = lm_module.tune_lm

    def stopped(run, *arguments):
        tuned.append(run.path.name)
        if len(tuned) == 2:
            raise KeyboardInterrupt
        return tune(run, *arguments)

    monkeypatch.setattr(lm_module, "tune_lm", stopped)
    monkeypatch.setattr("speech_mtl.study.compare.write_report", lambda _, folder: [folder])  # it takes seconds
    with pytest.raises(KeyboardInterrupt):
        compare(recipe, folder)
    first = {path: time for path, time in times(folder).items() if "alone-0.06min-seed0" in path.parts}
    results = compare(recipe, folder)
    names = ["alone-0.06min-seed0", "alone-0.12min-seed0"]
    assert tuned == [names[0], names[1], names[1]], "what was tuned is not tuned again"
    assert first.items() <= times(folder).items()

    data, held_out = recipe.data.dir, set()
    for split in ("dev", "test"):
        held_out |= {u.text for u in read_manifest(manifest_path(data, "aa", split))}
    sizes = []
    for name in names:
        run = Run(folder / "runs" / name)
        opened = open_split(run.recipe(), "aa", "train")
        own = {str(u.text) for u in opened.utterances()} - held_out
        model = load_lm(run, "aa", run.tokenizers()["aa"])
        assert model.words is not None
        wanted = {word for text in [*own, "abba", "dada", "cab"] for word in text.split()}
        assert set(model.words.symbols) == wanted, "the transcripts of the cell's budget and the text, no others"
        assert {row["lm"] for row in read_record(run, "aa")["tuning"]} == {"words"}
        found = [one["hypothesis"] for one in SavedEvaluation(run, "beam").hypotheses("aa", "test")]
        assert {word for text in found for word in text.split()} <= wanted
        sizes.append(sum(source["used"] for source in read_record(run, "aa")["texts"]))
    assert sizes[0] < sizes[1]

    found = [(row["budget_s"] / 60, row.get("decoder"), row["split"]) for row in results.rows]
    kinds = [("greedy", "dev"), ("greedy", "test"), ("beam", "test")]
    assert found == [(pytest.approx(budget_min), *kind) for _, budget_min in CELLS for kind in kinds]
    assert [one.decoder for one in load(folder).summary.by_decoder] == ["greedy", "beam"]
    assert "N-grams: of each run's own training transcripts of the target, and more.txt" in results.origin.about

    before = times(folder)
    assert list(compare(recipe, folder).rows) == list(results.rows)
    assert times(folder) == before, "nothing is made again"

    (tmp_path / "more.txt").write_text("abba\nbad\n", encoding="utf-8")
    compare(recipe, folder)
    assert tuned[3:] == names, "another text makes another language model"
    now = times(folder).items()
    changed = {path.relative_to(folder / "runs").parts[1] for path, time in now if before.get(path) != time}
    assert changed == {"lm", "decoders"}


def test_a_missing_text_is_refused_before_anything_is_trained(recipe: Recipe, tmp_path: Path):
    (tmp_path / "more.txt").unlink()
    with pytest.raises(InputError, match=r"more\.txt") as caught:
        compare(recipe, tmp_path / "out")
    assert "compare.lm_texts" in caught.value.action
    assert not (tmp_path / "out").exists()


def test_a_decoder_must_not_have_the_name_of_the_usual_one(recipe: Recipe):
    with pytest.raises(InputError, match=r"compare.decoders must not have the name 'greedy'"):
        recipe.overridden({"compare.decoders": {"greedy": {"kind": "beam"}}})
