"""With and without auxiliary languages: every budget x arm x seed, on the same test set, as one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from speech_mtl.config import Recipe
from speech_mtl.corpora import open_split
from speech_mtl.errors import InputError
from speech_mtl.experiments.arms import Stage, find_arm, target_of
from speech_mtl.experiments.evaluate import evaluate, saved_evaluation
from speech_mtl.experiments.train import train
from speech_mtl.scoring.results import ResultRow
from speech_mtl.scoring.tables import comparison_table, write_results
from speech_mtl.screen import Screen


@dataclass(frozen=True)
class Cell:
    """One row of the table: an arm at a budget with a seed."""

    arm: str
    budget_s: float
    seed: int
    stages: list[Stage]


def plan(recipe: Recipe, folder: Path) -> list[Cell]:
    """The cells of a comparison, in the order in which they are run: the smallest budget first.

    Raises:
        InputError: The recipe lacks a target or auxiliary languages, names an arm that does not exist, leaves nothing
            to run, or has something run twice.
    """
    for key in ("budgets_min", "arms", "seeds"):
        _refuse_none_or_twice(f"compare.{key}", getattr(recipe.compare, key))
    cells = []
    for budget_min in sorted(recipe.compare.budgets_min):
        for seed in recipe.compare.seeds:
            budgeted = _with_budget(recipe, budget_min * 60, seed)
            for name in recipe.compare.arms:
                stages = find_arm(name)(budgeted, folder / "runs")
                cells.append(Cell(name, budget_min * 60, seed, stages))
    return cells


def compare(recipe: Recipe, folder: Path, screen: Screen | None = None) -> list[ResultRow]:
    """Trains and tests every cell, and writes `comparison.json` and `comparison.md` after each.

    A finished run is neither trained nor evaluated again, and a stopped comparison goes on where it was.

    Args:
        recipe: The settings; see `compare` there.
        folder: Output folder; the runs lie in its folder `runs`.
        screen: Where progress is shown.

    Raises:
        InputError: Bad settings or speech.
    """
    screen = screen or Screen(quiet=True)
    cells = plan(recipe, folder)
    _check_speech(recipe, screen)
    rows: list[ResultRow] = []
    for number, cell in enumerate(cells, 1):
        screen.say(f"[{number}/{len(cells)}] {cell.arm}, {cell.budget_s / 60:g} minutes, seed {cell.seed}")
        rows += _run_cell(recipe, cell, folder, screen)
        write_results(folder, "comparison", rows, comparison_text(recipe, rows))
    return rows


def _refuse_none_or_twice(key: str, values: Sequence) -> None:
    if len(set(values)) == len(values) > 0:
        return
    raise InputError(
        f"{key} is not right",
        expected="at least one value, and none twice",
        received=str(list(values)),
        action=f"change {key}",
    )


def comparison_text(recipe: Recipe, rows: list[ResultRow]) -> str:
    """The table, with what has to be said about the data."""
    about = f"{recipe.about.strip()}\n\n" if recipe.about else ""
    return f"# {recipe.name}: {recipe.target}\n\n{about}{comparison_table(rows, recipe.target)}"


def _with_budget(recipe: Recipe, budget_s: float, seed: int) -> Recipe:
    target = target_of(recipe)
    languages = recipe.languages | {target: recipe.languages[target].model_copy(update={"budget_s": budget_s})}
    return recipe.overridden({"languages": languages, "seed": seed})


def _check_speech(recipe: Recipe, screen: Screen) -> None:
    """Finds what is wrong with the data now, and not after hours of training."""
    largest = _with_budget(recipe, max(recipe.compare.budgets_min) * 60, recipe.seed)
    for language in recipe.languages:
        for split in ("train", "dev", "test"):
            open_split(largest, language, split, screen.progress)


def _run_cell(recipe: Recipe, cell: Cell, folder: Path, screen: Screen) -> Iterator[ResultRow]:
    runs = []
    for stage in cell.stages:
        keras.backend.clear_session(free_memory=True)
        runs.append(train(stage.recipe, folder / "runs" / stage.name, screen))
    run, progress = runs[-1], [run.progress() for run in runs]
    splits = ("dev", "test")
    for row in saved_evaluation(run, splits) or evaluate(run, splits, screen=screen):
        if row["language"] == recipe.target and row["split"] == "test":
            screen.say(f"test error: {row['cer']:.1%} of characters, {row['wer']:.1%} of words")
        yield {
            "recipe": recipe.name,
            "arm": cell.arm,
            "budget_s": cell.budget_s,
            "seed": cell.seed,
            "language": row["language"],
            "split": row["split"],
            "wer": row["wer"],
            "cer": row["cer"],
            "num_utterances": row["num_utterances"],
            "num_reference_words": row["num_reference_words"],
            "num_reference_characters": row["num_reference_characters"],
            "num_updates": sum(part.update for part in progress),
            "num_parameters": run.num_parameters(),
            "wall_time_s": round(sum(part.wall_time_s for part in progress), 1),
        }
