"""Searches loss weights of tasks on the dev set: a grid, or Bayesian optimisation by Optuna, one ordinary run a trial.

FOLDER/study.log                 Optuna's own record, from which an interrupted search is resumed
FOLDER/runs/trial-000/           the run of a trial
FOLDER/tune.json, tune.md        what was tried, and the best
FOLDER/plots/                    error by trial, and by weight
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any, TypedDict

from speech_mtl.errors import InputError, refuse_missing
from speech_mtl.files import json_text, write_text
from speech_mtl.folders import claim_folder, refuse_foreign_folder
from speech_mtl.run.changes import Now, refuse_changes
from speech_mtl.run.folder import Run
from speech_mtl.run.held_out import check_splits, earlier_runs, trained_on, trained_splits
from speech_mtl.run.speech import open_split
from speech_mtl.run.validation import error_name, error_text
from speech_mtl.scoring.tables import MISSING, escaped, markdown_table
from speech_mtl.screen import SILENT, Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.engines import ThisProcess, open_engine
from speech_mtl.study.run_stage import run_stage
from speech_mtl.study.scheduler import Job, Killed, keep_busy
from speech_mtl.study.search import begun_and_new_trials, check_space, open_study


class TrialRow(TypedDict):
    """A trial: all its loss weights, its dev error, and the time it took."""

    trial: int
    weights: dict[str, float]
    dev_error: float | None
    num_updates: int
    wall_time_s: float


class Tuned(TypedDict):
    """The content of `tune.json`. A trial without a dev error failed."""

    recipe: str
    about: str
    sampler: str
    trials: list[TrialRow]
    best: TrialRow | None


def tune(
    recipe: Recipe,
    folder: Path,
    screen: Screen = SILENT,
    num_jobs: int = 1,
    engine: str = "local",
    accept_changes: bool = False,
) -> Tuned:
    """Trains a run for each trial and records its dev error. An interrupted search is resumed.

    References: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", section 4 (the sampler of `bayes`);
    Akiba et al. 2019, "Optuna".

    Args:
        recipe: The settings; see `tune` there.
        folder: Output folder.
        screen: Where progress is shown.
        num_jobs: Trials side by side.
        engine: Where they run; see `study.engines`.
        accept_changes: Whether to keep trials whose speech has changed since.

    Raises:
        InputError: Optuna is missing, the search space makes no sense, the recipe has a strategy of its own, the folder
            holds another search or something else, speech has changed since, a trial was killed, or all failed.
    """
    refuse_missing("optuna", extra="tune", purpose="speech-mtl tune")
    check_space(recipe)
    refuse_foreign_folder(folder, "tune")
    _refuse_other_speech(recipe, folder, accept_changes, screen)
    claim_folder(folder, "tune")
    search = _Search(recipe, folder, screen, open_study(recipe, folder), accept_changes)
    with open_engine(engine, num_jobs) as opened:
        jobs = search.jobs(screen if isinstance(opened, ThisProcess) else None)
        keep_busy(opened, lambda: next(jobs, None), search.on_end)
    tuned = search.write()
    if search.killed:
        raise search.killed
    if tuned["best"] is None:
        raise InputError(
            "All trials failed",
            expected="a trial that is trained to its end",
            received="; ".join(dict.fromkeys(search.failures)),
            action="fix the cause, and search in another folder",
        )
    write_plots(search.study, folder / "plots", tuned)
    return tuned


def tuned_text(tuned: Tuned, recipe: Recipe) -> str:
    """The trials as Markdown, the best first."""
    names = list(tuned["trials"][0]["weights"]) if tuned["trials"] else []
    ranked = sorted(tuned["trials"], key=lambda row: float("inf") if row["dev_error"] is None else row["dev_error"])
    lines = [
        [
            str(row["trial"]),
            *(f"{row['weights'][name]:.3g}" for name in names),
            MISSING if row["dev_error"] is None else error_text(recipe, row["dev_error"]),
            str(row["num_updates"]),
        ]
        for row in ranked
    ]
    table = markdown_table(["Trial", *(f"weight of {name}" for name in names), error_name(recipe), "Updates"], lines, 1)
    about = f"{escaped(tuned['about'])}\n\n" if tuned["about"] else ""
    return f"{about}Trials, the best on the validation set first, 1 seed each:\n\n{table}"


def best_weighting(tuned: Tuned) -> str:
    """The best loss weights as a setting on the command line."""
    best = tuned["best"]
    weights = ", ".join(f"{name}: {weight:g}" for name, weight in best["weights"].items()) if best else ""
    return f"weighting={{kind: fixed, weights: {{{weights}}}}}"


@dataclass
class _Search:
    """A search while it is carried out."""

    recipe: Recipe
    folder: Path
    screen: Screen
    study: Any
    accept_changes: bool = False
    failures: list[str] = field(default_factory=list)
    killed: Killed | None = None

    def jobs(self, shown: Screen | None) -> Iterator[tuple[int, Job]]:
        """Trials until there are as many as asked for."""
        for number, searched in begun_and_new_trials(self.study, self.recipe):
            weights = self._weights(searched)
            self.screen.say(f"Trial {number}: " + ", ".join(f"{name} {weight:.3g}" for name, weight in weights.items()))
            recipe = self.recipe.overridden({"weighting": {"kind": "fixed", "weights": weights}})
            path = _run_path(self.folder, number)
            yield number, Job(run_stage, (recipe, path, False, Path.cwd(), shown, self.accept_changes))

    def _weights(self, searched: Mapping[str, float]) -> dict[str, float]:
        """All weights of a trial: those that the recipe gives, and those that are searched."""
        return {**(self.recipe.weighting.given() or {}), **searched}

    def on_end(self, number: int, error: BaseException | None) -> None:
        from optuna.trial import TrialState

        if error is None:
            found = Run(_run_path(self.folder, number)).progress().best_error
            self.study.tell(number, found)
            self.screen.say(f"Trial {number}: {error_name(self.recipe)}: {error_text(self.recipe, found)}")
        elif isinstance(error, InputError):
            if isinstance(error, Killed):  # its trial has not ended: the same command resumes it
                self.killed = error
            else:
                self.failures.append(error.problem)
                self.study.tell(number, state=TrialState.FAIL)
            self.screen.warn(f"trial {number} failed: {error.problem}")
        else:
            raise error
        self.write()

    def write(self) -> Tuned:
        """Writes what has been found so far."""
        rows = [self._row(trial) for trial in self.study.trials if trial.state.is_finished()]
        known = [row for row in rows if row["dev_error"] is not None]
        best = min(known, key=lambda row: row["dev_error"] or 0.0, default=None)
        tuned: Tuned = {
            "recipe": self.recipe.name,
            "about": self.recipe.about.strip(),
            "sampler": self.recipe.tune.sampler,
            "trials": rows,
            "best": best,
        }
        write_text(self.folder / "tune.json", json_text(tuned))
        write_text(self.folder / "tune.md", tuned_text(tuned, self.recipe) + "\n")
        return tuned

    def _row(self, trial) -> TrialRow:
        progress = Run(_run_path(self.folder, trial.number)).progress()
        weights = self._weights(trial.params)
        return {
            "trial": trial.number,
            "weights": {name: float(f"{weight:.5g}") for name, weight in weights.items()},
            "dev_error": None if trial.value is None else round(trial.value, 5),
            "num_updates": progress.update,
            "wall_time_s": round(progress.wall_time_s, 1),
        }


def _run_path(folder: Path, number: int) -> Path:
    return folder / "runs" / f"trial-{number:03d}"


def _refuse_other_speech(recipe: Recipe, folder: Path, accept_changes: bool, screen: Screen) -> None:
    """Dev and test speech must not be in training, and trials of other speech cannot be compared.

    Raises:
        InputError: They are, or there are some.
    """
    splits = [open_split(recipe, language, "train", screen.progress) for language in recipe.trained_languages]
    earlier = trained_on(earlier_runs(recipe), recipe.data.cache_dir)
    check_splits(recipe, [*trained_splits(splits), *earlier], screen)
    now = Now(screen.progress)
    for run in map(Run, sorted((folder / "runs").glob("trial-*"))):
        if run.exists():
            refuse_changes(run, now.changes_since(run, run.recipe()), accept_changes)


def write_plots(study, folder: Path, tuned: Tuned) -> None:
    """Optuna's plots of a search: the error by trial, and by each weight; with notes on the data."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as drawn

    from speech_mtl.study.report import style

    with style.drawing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its matplotlib plots experimental
        matplotlib.rcParams["savefig.bbox"] = "tight"
        for name, draw, title in (
            ("history", drawn.plot_optimization_history, "validation error of trial after trial"),
            ("weights", drawn.plot_slice, "validation error of trials by weight"),
        ):
            draw(study, target_name="validation error")
            figure = pyplot.gcf()
            for axes in figure.axes:
                axes.set_title("")
                if axes.get_xscale() == "log":  # Matplotlib's own labels there are formulae
                    style.set_ticks(axes.xaxis, style.log_ticks(*axes.get_xlim()))
            figure.suptitle(f"{tuned['recipe']}: {title}, 1 seed each")
            figure.text(0, -0.01, fill(tuned["about"], style.LONGEST_LINE), fontsize=8, verticalalignment="top")
            style.saved(name, title, "", figure).write(folder / name)
            pyplot.close("all")
