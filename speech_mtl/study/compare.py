"""Runs the cells of a comparison's plan, gathers their errors, and writes the report."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_lines
from speech_mtl.folders import claim_folder, refuse_foreign_folder
from speech_mtl.run.changes import Now
from speech_mtl.run.evaluated import SavedEvaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.plateau import plateau_text, stuck_languages
from speech_mtl.run.provenance import provenance
from speech_mtl.screen import SILENT, Screen
from speech_mtl.settings.decoding import decoding_note
from speech_mtl.settings.recipe import Recipe
from speech_mtl.study.engines import ThisProcess, open_engine, threads_per_job
from speech_mtl.study.gather import (
    cell_rows,
    decoders,
    gather_old_languages,
    gather_test_sets,
    gather_training,
    told,
    trained_by,
)
from speech_mtl.study.held_out import check_plan
from speech_mtl.study.plan import Plan, open_speech, plan_comparison
from speech_mtl.study.results import ROWS, Results, earlier_commands, save, write_or_remove, write_report
from speech_mtl.study.run_stage import is_done, run_stage
from speech_mtl.study.scheduler import Job, run_jobs
from speech_mtl.study.statistics.rows import Origin


def compare(
    recipe: Recipe,
    folder: Path,
    screen: Screen = SILENT,
    num_jobs: int = 1,
    engine: str = "local",
    accept_changes: bool = False,
    pairs: bool = False,
) -> Results:
    """Trains and tests every cell, and writes rows, equivalent hours and the report; see `study.results`.

    A finished run is neither trained nor evaluated again, and an interrupted comparison is resumed. A run that
    fails does not stop the others.

    Args:
        recipe: The settings; see `compare` there.
        folder: Output folder; the runs lie in its folder `runs`.
        screen: Where progress is shown.
        num_jobs: Runs side by side.
        engine: Where they run; see `study.engines`.
        accept_changes: Whether to keep runs whose speech or first weights have changed since.
        pairs: Make a transfer map: measure how much each language helps each other one.

    Raises:
        InputError: Bad settings or speech, dev or test speech in training, a folder that holds something else, or runs
            made from what has changed since; or some runs failed, after all others have been done and reported on.
    """
    plan = plan_comparison(recipe, folder, pairs)
    kind = "transfer" if pairs else "compare"
    return _Comparison(kind, recipe, folder, plan, screen, accept_changes).run(num_jobs, engine)


def _decoding(recipe: Recipe) -> Iterator[str]:
    """Notes on the decoders."""
    compared = recipe.compare
    yield decoding_note(recipe.decoding)
    for name, decoding in compared.decoders.items():
        note = decoding_note(decoding) or f"Decoding: kind={decoding.kind}"
        yield f"Decoder {name}: {note.removeprefix('Decoding: ')}."
    if any(one.uses_lm for one in compared.decoders.values()):
        texts = "".join(f", and {path.name}" for path in compared.lm_texts)
        yield (
            f"N-grams: of each run's own training transcripts of the target{texts}, without the sentences of "
            "validation and test sets; tuned on the validation set."
        )


@dataclass
class _Comparison:
    """A plan while it is carried out."""

    kind: str
    recipe: Recipe
    folder: Path
    plan: Plan
    screen: Screen
    accept_changes: bool = False
    ended: set[str] = field(default_factory=set)
    failures: dict[str, BaseException] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)

    def run(self, num_jobs: int, engine_name: str) -> Results:
        refuse_foreign_folder(self.folder, self.kind)
        for path in self.recipe.compare.lm_texts:
            next(read_lines(path, "correct compare.lm_texts"), None)  # not after hours of training
        check_plan(self.plan, open_speech(self.plan, self.screen.progress), self.screen)
        claim_folder(self.folder, self.kind)
        with open_engine(engine_name, num_jobs) as engine:
            here = isinstance(engine, ThisProcess)
            jobs = self._jobs(self.screen if here else None)
            if jobs:
                self.screen.say(
                    f"Each run has {threads_per_job(num_jobs)} of the processors: with another number (--jobs), the "
                    "same seed gives other losses and weights, as another seed would."
                )
            with self._bar(shown=not here) as tick:
                run_jobs(jobs, engine, self._on_start, self._on_end, tick)
        results = self._write()
        if results:
            page = write_report(results, self.folder)[0]
            if self.failures:  # otherwise the command tells where it is
                self.screen.say(f"The report is {page}")
        self._raise_failures()
        if results is None:
            raise RuntimeError("A comparison without failures must have results")
        return results

    def _jobs(self, screen: Screen | None) -> dict[str, Job]:
        """The jobs that remain. A stage comes after those that it starts from."""
        now, jobs = Now(self.screen.progress), dict[str, Job]()
        for name, stage in self.plan.stages.items():
            run = stage.recipe, self.plan.run_path(name), name in self.plan.tested
            targets = self.plan.targets(name)
            if is_done(*run, now, self.accept_changes, targets):
                self.ended.add(name)
                continue
            after = tuple(before for before in stage.after if before not in self.ended)
            jobs[name] = Job(run_stage, (*run, Path.cwd(), screen, self.accept_changes, targets), after)
        for note, number in Counter(now.notes).items():
            self.screen.warn(f"{number} of {len(self.plan.stages)} runs: {note}")
        if self.ended:
            self.screen.say(f"{len(self.ended)} of {len(self.plan.stages)} runs are finished already.")
        return jobs

    @contextlib.contextmanager
    def _bar(self, shown: bool) -> Iterator:
        """One bar over the updates of all runs, for runs that show none themselves."""
        if not shown:
            yield lambda: None
            return
        with self.screen.training("All runs", self.plan.num_updates(), 0) as show:
            yield lambda: show(sum(self._num_updates(name) for name in self.plan.stages))

    def _num_updates(self, name: str) -> int:
        """Updates that are done, or will never have to be."""
        if name in self.ended:
            return self.plan.stages[name].recipe.training.num_updates
        return Run(self.plan.run_path(name)).progress().update

    def _on_start(self, name: str) -> None:
        number = list(self.plan.stages).index(name) + 1
        cells = [str(cell) for cell in self.plan.cells if name in cell.stages]
        purpose = cells[0] if len(cells) == 1 else f"for {len(cells)} cells"
        self.screen.say(f"[{number}/{len(self.plan.stages)}] {name}: {purpose}")

    def _on_end(self, name: str, error: BaseException | None) -> None:
        self.ended.add(name)
        if error is not None:
            self.failures[name] = error
            self.screen.warn(f"{name} failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            return
        run = Run(self.plan.run_path(name))
        if stuck := stuck_languages(run):
            self.screen.warn(f"{name}: {plateau_text(stuck, run.recipe())}")
        if any(cell.stages[-1] == name for cell in self.plan.cells):
            self.screen.say(f"{name}: {self._test_error(name)}")
            self._write()

    def _test_error(self, name: str) -> str:
        run, targets = Run(self.plan.run_path(name)), self.plan.targets(name)
        return "on the test set, " + "; ".join(
            f"{row['language']}{f' by {shown}' if shown else ''}: character error rate {row['cer']:.1%}, "
            f"word error rate {row['wer']:.1%}"
            for decoder, shown in decoders(self.plan.stages[name].recipe).items()
            for row in SavedEvaluation(run, decoder).rows()
            if row["split"] == "test" and row["language"] in targets
        )

    def _write(self) -> Results | None:
        """Writes what the finished cells give, and which runs failed; None if no cell is finished."""
        self._write_failures()
        cells = [c for c in self.plan.cells if set(c.stages) <= self.ended and not set(c.stages) & set(self.failures)]
        distinct = {(c.stages[-1], c.arm, c.budget_s): c for c in cells}.values()  # targets may share a run
        rows = [row for cell in distinct for row in cell_rows(self.recipe.name, self.plan, cell, self._warn_once)]
        if not rows:
            return None
        names = dict.fromkeys(name for cell in cells for name in cell.stages)
        runs = [Run(self.plan.run_path(name)) for name in names]
        wall_time_s = sum(run.progress().wall_time_s for run in runs)
        earlier = told(partial(earlier_commands, self.folder), [], self._warn_once)
        how = provenance(wall_time_s, trained_by(runs, self._warn_once), earlier)
        origin = Origin(
            **asdict(how),
            recipe=self.recipe.name,
            about=" ".join(filter(None, [self.recipe.about.strip(), *_decoding(self.recipe)])),
            **self.recipe.compare.model_dump(include={"num_replications", "reference", "protocol"}),
        )
        results = Results(
            origin,
            rows,
            test_sets=gather_test_sets(self.plan, cells),
            old=gather_old_languages(self.plan, cells),
            training=gather_training(self.plan, cells, self._warn_once),
        )
        save(results, self.folder, rows=ROWS[0])
        return results

    def _warn_once(self, message: str) -> None:
        """Warns of what several cells have in common, as a damaged file of a run that they share."""
        if message not in self.warned:
            self.warned.add(message)
            self.screen.warn(message)

    def _write_failures(self) -> None:
        listed = [{"run": name, "message": str(error)} for name, error in self.failures.items()]
        write_or_remove(self.folder / "failures.json", json_text(listed) if listed else None)

    def _raise_failures(self) -> None:
        ours = [error for error in self.failures.values() if not isinstance(error, InputError | OSError)]
        if ours:
            raise ours[0]
        if self.failures:
            name, error = next(iter(self.failures.items()))
            raise InputError(
                f"{len(self.failures)} of {len(self.plan.stages)} runs failed",
                expected="all runs done",
                received=f"{name}: {error}",
                action=f"see {self.folder / 'failures.json'}, fix the cause, and run the same command again: what is "
                "finished is not repeated",
            )
