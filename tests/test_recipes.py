"""Every recipe, found by itself: it loads, it trains on tiny speech, and its script refuses what it does not know."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import speech_mtl
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.train import train
from speech_mtl.settings.recipe_file import load_recipe
from speech_mtl.study.compare import compare
from speech_mtl.study.plan import plan_comparison

PROJECT = Path(speech_mtl.__file__).parents[1]
RECIPES = sorted(path.parent for path in PROJECT.glob("recipes/*/recipe.yaml"))
SEARCHES = sorted(PROJECT.glob("recipes/*/tune-*/tune.json"))
SCRIPTS = sorted(PROJECT.glob("recipes/**/*.sh"))

LABELS = {"classes": ("one", "other"), "number": (1.0, 2.0), "tags": ({"loud": 1}, {"loud": 0})}
"""For tiny speech: of every second utterance the one, of the others the other."""

for_every_recipe = pytest.mark.parametrize("folder", RECIPES, ids=lambda folder: folder.name)
for_every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: "-".join(path.parts[-2:]))
for_every_run_script = pytest.mark.parametrize(
    "script", [path for path in SCRIPTS if path.name == "run.sh"], ids=lambda path: path.parent.name
)


def test_there_are_recipes():
    assert RECIPES


@for_every_recipe
def test_a_recipe_loads_and_is_named_like_its_folder(folder: Path):
    recipe = load_recipe(folder)
    assert recipe.name == folder.name
    assert recipe.target in (None, *recipe.languages)
    assert (folder / "README.md").is_file()


@for_every_recipe
def test_a_recipe_can_be_compared(folder: Path):
    recipe = load_recipe(folder)
    asked = recipe.compare
    if asked.variants or len(recipe.languages) > 1:
        variants = [recipe.overridden(changes) for changes in asked.variants.values()] or [recipe]
        num_arms = sum(len(one.compare.arms) * (1 if one.target else len(one.languages)) for one in variants)
        num_cells = len(asked.budgets_min) * len(asked.seeds) * num_arms
        assert len(plan_comparison(recipe, Path("out")).cells) == num_cells


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.parent.name)
def test_a_variant_has_the_weights_that_a_search_found(path: Path):
    tuned = json.loads(path.read_text(encoding="utf-8"))
    variant = load_recipe(path.parents[1]).compare.variants[tuned["sampler"]]
    assert variant == {"weighting": {"kind": "fixed", "weights": tuned["best"]["weights"]}}


@for_every_recipe
def test_a_recipe_trains_on_tiny_speech(folder: Path, make_corpus: Callable, tmp_path: Path):
    full = load_recipe(folder)
    languages = list(full.languages)
    syllabic = [name for name, one in full.languages.items() if one.tokenizer.kind == "syllable_parts"]
    labels = {task.label or name: LABELS[task.kind] for name, task in full.labelled.items()}  # pyright: ignore[reportAttributeAccessIssue]
    tiny = [
        f"data.dir={make_corpus(languages, 6, 2, 2, labels=labels)}",
        f"data.cache_dir={tmp_path / 'cache'}",
        "data.batch_s=8",
        f"encoder.kind={full.encoder.kind}",
        "encoder.num_layers=1",
        "encoder.dim=16",
        "encoder.channels=4",
        "training.num_updates=2",
        "training.evaluate_every=1",
        "compare.budgets_min=[0.05]",
        "compare.arms=[alone]",
        "compare.variants={}",
        *(f"languages.{language}.budget_s=null" for language in languages),
        *(f"languages.{language}.tokenizer.kind=character" for language in syllabic),  # tones have Latin letters
        "compare.reference=alone",
    ]
    recipe = load_recipe(folder, tiny)
    rows = evaluate(train(recipe, tmp_path / "run"), ["test"])
    assert [row["language"] for row in rows] == languages
    assert all(row["num_utterances"] == 2 for row in rows)
    if folder == RECIPES[0]:
        assert len(compare(recipe, tmp_path / "compare").rows) == 2


@for_every_script
def test_a_script_is_sound(script: Path):
    subprocess.run(["bash", "-n", script], check=True)


def refused(script: Path, *arguments: str) -> str:
    ended = subprocess.run([script, *arguments], capture_output=True, text=True, check=False, cwd="/")
    assert (ended.returncode, ended.stdout) == (2, "")
    return ended.stderr


@for_every_run_script
def test_a_script_without_a_language_says_how_it_is_used(script: Path):
    message = refused(script)
    assert message.startswith(f"usage: recipes/{script.parent.name}/run.sh LANGUAGE")
    named = re.search(r"languages: (.*)\)", message)
    assert named is not None
    assert set(named[1].split()) == set(load_recipe(script.parent).languages)


@for_every_run_script
def test_a_script_refuses_an_unknown_language_before_it_does_anything(script: Path):
    known = next(iter(load_recipe(script.parent).languages))
    assert "has no language 'xx'. Expected: one of" in refused(script, known, "xx")


@for_every_run_script
def test_a_script_trains_and_evaluates_each_language_and_can_be_repeated(script: Path, tmp_path: Path):
    """With stand-ins for the commands that take long, in a copy of the folder."""
    programs = tmp_path / "copy" / ".venv" / "bin"
    programs.mkdir(parents=True)
    said = tmp_path / "said"
    (programs / "python").write_text(f'#!/bin/sh\necho "python $*" >> {said}\n')
    (programs / "speech-mtl").write_text(
        f'#!/bin/sh\necho "speech-mtl $*" >> {said}\n'
        "if [ $1 = evaluate ]; then touch $2/evaluation.md; else mkdir -p $5; fi\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    folder = tmp_path / "copy" / "recipes" / script.parent.name
    folder.mkdir(parents=True)
    for path in (*script.parent.glob("*.sh"), script.parents[1] / "train_languages.sh"):
        target = folder / path.name if path.parent == script.parent else folder.parent / path.name
        target.write_bytes(path.read_bytes())
        target.chmod(0o755)
    name, languages = script.parent.name, list(load_recipe(script.parent).languages)
    for first in (True, False):
        said.write_text("")
        environment = {"PATH": "/usr/bin:/bin", "CORPORA": "/corpora"}
        subprocess.run([folder / "run.sh", "all"], check=True, capture_output=True, env=environment)
        lines = said.read_text().splitlines()
        runs = {language: f"runs/{name}/{language}" for language in languages}
        trained = [f"speech-mtl train recipes/{name} target={language} --out {run}" for language, run in runs.items()]
        assert lines[0].startswith("python -m data_scripts.")
        assert sorted(line for line in lines if " train " in line) == sorted(trained)
        evaluated = sorted(line for line in lines if " evaluate " in line)
        expected = sorted(f"speech-mtl evaluate {run} --language {language}" for language, run in runs.items())
        assert evaluated == (expected if first else [])


def test_plots_are_kept_once_and_only_where_a_readme_shows_them():
    pages = [PROJECT / "README.md", *PROJECT.glob("docs/*.md"), *PROJECT.glob("recipes/*/README.md")]
    links = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    }
    assert not [link for link in links if not link.exists()]
    listed = subprocess.run(["git", "ls-files", "recipes"], cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not in a git repository")
    kept = {(PROJECT / name).resolve() for name in listed.stdout.splitlines()}
    plots = {path for path in kept if path.suffix in (".png", ".svg")}
    assert plots == {link for link in links if link.suffix in (".png", ".svg") and PROJECT / "recipes" in link.parents}
    assert not [path for path in kept if path.name in ("report.html", "report.md") or path.suffix == ".jsonl"]
