"""A folder of results of `compare` and `transfer`, and its report.

FOLDER/comparison.json (committed as results.json)   a list of rows, one for each model, language and split
FOLDER/hypotheses.jsonl                              hypotheses of every model in the target's test set
FOLDER/provenance.json                               the recipe in a few words, and how the results came about
FOLDER/curves.json                                   validation errors by update; training records of tasks, networks
FOLDER/old_languages.jsonl                           hypotheses in languages from before the target was learnt
FOLDER/arms.json                                     errors of every arm with intervals, parameters and time
FOLDER/efficiency.json                               equivalent hours
FOLDER/forgetting.json                               errors in those languages, before and after
FOLDER/decoders.json                                 errors by decoder, where there are several
FOLDER/tasks.json                                    errors of every task by arm, where there are several
FOLDER/report.html, report.md, plots/                for people

Beside a recipe, hypotheses are compressed: `hypotheses.jsonl.gz`, `old_languages.jsonl.gz`.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, write_text
from speech_mtl.run.provenance import portable
from speech_mtl.scoring.error_rate import errors_by_utterance, lengths_by_utterance
from speech_mtl.settings.recipe_file import RECIPE
from speech_mtl.study.arms import ARMS
from speech_mtl.study.statistics.hypotheses import AGAIN, Model, TestSet, before, read_test_sets, write_test_sets
from speech_mtl.study.statistics.rows import REFERENCE_ARM, AnyResultRow, Origin, ResultRow
from speech_mtl.study.statistics.summary import Summary
from speech_mtl.study.statistics.training import Training

ROWS = ("comparison.json", "results.json")
"""File names of rows: as `compare` writes them, and beside a recipe."""

NUMBERS = ("efficiency.json", "arms.json", "tasks.json", "decoders.json", "forgetting.json")
"""File names of the numbers beside a report; all but the first may be absent."""

HYPOTHESES, OLD, CURVES, ORIGIN = "hypotheses.jsonl", "old_languages.jsonl", "curves.json", "provenance.json"


@dataclass(frozen=True)
class Results:
    """All data of a report.

    Attributes:
        rows: Of all finished cells.
        test_sets: One for each target language.
        old: For each language from before the target was learnt, the hypotheses before and after.
    """

    origin: Origin
    rows: Sequence[ResultRow]
    test_sets: Sequence[TestSet]
    old: Sequence[TestSet] = field(default_factory=list)
    training: Training = field(default_factory=Training)

    @cached_property
    def summary(self) -> Summary:
        """The numbers, with their intervals; they take seconds."""
        from speech_mtl.study.statistics.analysis import summarize

        return summarize(self.origin, self.rows, self.test_sets, self.training, self.old)


def json_files(summary: Summary) -> dict[str, str]:
    """The files of numbers that stand beside a report, by name: rounded, so that all machines give the same."""
    hours, arms, tasks = summary.all_equivalent_hours, summary.all_arms, summary.all_tasks
    pairs = zip(NUMBERS, (hours, arms, tasks, summary.gains, summary.forgotten), strict=True)
    return {name: _rounded(own) for name, own in pairs if own or name == NUMBERS[0]}


def _rounded(records: Sequence[object]) -> str:
    """Records as a file of numbers holds them."""
    return json_text(json.loads(json_text(records), parse_float=lambda number: round(float(number), 6)))


def refuse_foreign_target(folder: Path) -> None:
    """Checks that results and a report may be written to a folder: a recipe's, one with results, or a new one.

    Raises:
        InputError: It holds something else.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if names and not {RECIPE, ROWS[1]} & set(names):
        raise InputError(
            f"{folder} is no folder for a report, and not empty",
            expected=f"a new or empty folder, or one with a {RECIPE} or {ROWS[1]}",
            received=", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
            action="choose another folder with --to: nothing in this one was touched",
        )


def save(results: Results, folder: Path, rows: str = ROWS[1]) -> None:
    """Writes the data of a report, and removes what these results have not; `rows`: the file name, one of `ROWS`."""
    write_text(folder / rows, json_text(list(results.rows)))
    for name, test_sets in ((HYPOTHESES, results.test_sets), (OLD, results.old)):
        plain, compressed = folder / name, folder / f"{name}.gz"
        path, other = (compressed, plain) if rows == ROWS[1] else (plain, compressed)
        if test_sets:
            write_test_sets(path, test_sets)
        else:
            path.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
    curves = json_text(results.training, indent=None) if results.training != Training() else None
    write_or_remove(folder / CURVES, curves)
    write_text(folder / ORIGIN, json_text(results.origin))


def write_or_remove(path: Path, text: str | None) -> None:
    """Writes a file, or where there is nothing to write, removes that of earlier results."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_text(path, text)


def load(folder: Path) -> Results:
    """Reads what `save` and `compare` wrote.

    Raises:
        InputError: A file is missing, was not written to its end, holds something else, or does not fit the others.
    """
    found = [folder / name for name in ROWS if (folder / name).is_file()]
    if not found:
        raise InputError(
            f"There are no results in {folder}",
            expected="a folder with " + " or ".join(ROWS),
            received="no such file" if folder.is_dir() else "no such folder",
            action="give the output folder of `speech-mtl compare`, or of a recipe with results",
        )
    rows = read_json(found[0], list[AnyResultRow], AGAIN)
    path, old_path = _plain_or_compressed(folder / HYPOTHESES), _plain_or_compressed(folder / OLD)
    test_sets = read_test_sets(path)
    old = read_test_sets(old_path) if old_path.is_file() else []
    training = read_json(folder / CURVES, Training, AGAIN) if (folder / CURVES).is_file() else Training()
    _check_rows(found[0], rows, test_sets)
    _check_hypotheses(found[0], path, rows, test_sets)
    _check_old_languages(old_path, old)
    _check_curves(folder / CURVES, training)
    return Results(_read_origin(folder / ORIGIN), rows, test_sets, old, training)


def _plain_or_compressed(path: Path) -> Path:
    compressed = path.with_name(f"{path.name}.gz")
    return compressed if compressed.is_file() else path


def earlier_commands(folder: Path) -> list[str]:
    """The commands that worked on the results of a folder before; none if there are no results yet."""
    return _read_origin(folder / ORIGIN).commands if (folder / ORIGIN).is_file() else []


def write_report(results: Results, folder: Path) -> list[Path]:
    """Writes the report, its plots and the numbers behind it; returns their paths, those for people first."""
    from speech_mtl.study.report.content import write_report as write_page

    summary = results.summary
    numbers = json_files(summary)
    for name in NUMBERS:
        write_or_remove(folder / name, numbers.get(name))
    return [*write_page(summary, folder), *(folder / name for name in numbers)]


def _read_origin(path: Path) -> Origin:
    origin = read_json(path, Origin, AGAIN)
    return replace(origin, commands=list(map(portable, origin.commands)))


def _check_rows(path: Path, rows: Sequence[ResultRow], test_sets: Sequence[TestSet]) -> None:
    """Refuses rows of unknown arms, and rows that come twice.

    A language that is one of several targets has a row of every target's run that recognises it.
    """
    for number, row in enumerate(rows):
        if row["arm"].method not in ARMS:
            raise _unfit(
                f"{path}: row {number + 1} is of an arm that is not known here",
                "a method out of " + ", ".join(sorted(ARMS)),
                f"{row['arm'].method}; names with more in them are of an earlier version",
            )
    keys = ("arm", "budget_s", "seed", "language", "split", "task", "decoder")
    for key, number in Counter(tuple(row.get(name) for name in keys) for row in rows).items():
        if number > 1 and len(test_sets) == 1:
            raise _unfit(f"{path}: a row comes twice", "one for each " + ", ".join(keys), ", ".join(map(str, key)))


def _check_hypotheses(rows_path: Path, path: Path, rows: Sequence[ResultRow], test_sets: Sequence[TestSet]) -> None:
    """Refuses hypotheses of models without a row, rows without hypotheses as far as there must be some, and rows whose
    errors are others than those of the hypotheses, where all utterances are there.

    Of several targets, a model may have rows of several runs, of which one is the source of the hypotheses.
    """
    measured: dict[str, dict[Model, list[tuple[int, Mapping[str, Any]]]]] = {one.language: {} for one in test_sets}
    for number, row in enumerate(rows, 1):
        model = Model(row["arm"], row["budget_s"], row["seed"], decoder=row.get("decoder", ""))
        if row["split"] != "test" or "task" in row:
            continue
        if row["language"] in measured:
            measured[row["language"]].setdefault(model, []).append((number, row))
        elif model.arm.base == REFERENCE_ARM:  # it is tested on its target and nothing else
            raise _unfit(f"{path}: a test set is missing", f"that of {row['language']}", ", ".join(measured))
    for test_set in test_sets:
        language, own, hypotheses = test_set.language, measured[test_set.language], test_set.hypotheses
        if surplus := set(hypotheses) - set(own):
            raise _unfit(f"{path}: hypotheses in {language} have no row of results", _named(own), _named(surplus))
        if len(test_sets) == 1 and (missing := set(own) - set(hypotheses)):
            raise _unfit(
                f"{path}: models with results lack hypotheses in {language}", _named(missing), _named(hypotheses)
            )
        for model, found in own.items():
            if len(found) == 1 and model in hypotheses and not test_set.num_left_out:
                _check_errors(rows_path, *found[0], test_set, hypotheses[model])


def _check_errors(path: Path, number: int, row: Mapping[str, Any], test_set: TestSet, hypotheses: list[str]) -> None:
    errors = errors_by_utterance(test_set.references, hypotheses, test_set.spaced)
    lengths = lengths_by_utterance(test_set.references, test_set.spaced)
    (words, characters), (num_words, num_characters) = (list(map(sum, pair)) for pair in (errors, lengths))
    counted = {
        "num_utterances": len(test_set.ids),
        "num_reference_words": num_words,
        "num_reference_characters": num_characters,
        "wer": words / num_words if num_words else None,
        "cer": characters / num_characters if num_characters else None,
    }
    for name, value in counted.items():
        if row[name] != value and not (row[name] and value and math.isclose(row[name], value, rel_tol=1e-6)):
            raise _unfit(f"{path}: row {number}: {name} is not that of the hypotheses", f"{value}", f"{row[name]}")


def _check_old_languages(path: Path, test_sets: Sequence[TestSet]) -> None:
    for test_set in test_sets:
        models = set(test_set.hypotheses)
        after = {model for model in models if not model.before}
        if not after or models != after | set(map(before, after)):
            raise _unfit(
                f"{path}: {test_set.language} is not there before and after",
                "every model with the network that it started from",
                _named(models),
            )


def _check_curves(path: Path, told: Training) -> None:
    for curve in told.curves:
        lengths = {len(curve.updates), len(curve.losses), len(curve.weights)}
        if len(lengths) > 1 or 0 in lengths:
            raise _unfit(
                f"{path}: the curve of {curve.task} in {curve.arm} is not whole",
                "a loss and a weight for each update",
                f"{len(curve.updates)} updates, {len(curve.losses)} losses, {len(curve.weights)} weights",
            )
    for one in told.learning:
        if len(one.updates) != len(one.errors) or one.best not in one.updates:
            raise _unfit(
                f"{path}: the curve of {one.run} is not whole",
                f"an error for each update, and one for update {one.best}",
                f"{len(one.updates)} updates, {len(one.errors)} errors",
            )


def _named(models: Iterable[Model]) -> str:
    names = sorted(map(str, models))
    return "; ".join(names[:5]) + (f"; and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"


def _unfit(problem: str, expected: str, received: str) -> InputError:
    return InputError(problem, expected=expected, received=received, action=AGAIN)
