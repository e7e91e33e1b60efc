"""A folder of results: what `compare` and `transfer` write, and the report that is made of it.

FOLDER/comparison.json (committed as results.json)   a list of rows, one for each model, language and split
FOLDER/hypotheses.jsonl                              what every model heard in the target's test set
FOLDER/provenance.json                               the recipe in a few words, and how the results came about
FOLDER/curves.json                                   what training said of tasks, and of networks
FOLDER/old_languages.jsonl                           what was heard in languages from before the target was learnt
FOLDER/arms.json                                     errors of every arm with intervals, parameters and time
FOLDER/efficiency.json                               equivalent hours
FOLDER/forgetting.json                               errors in those languages, before and after
FOLDER/tasks.json                                    errors of every task by arm, where there are several
FOLDER/report.html, report.md, plots/                for people
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.scoring.figures import figures_of
from speech_mtl.scoring.hypotheses import TestSet, read_test_sets, write_test_sets
from speech_mtl.scoring.results import (
    REFERENCE_ARM,
    ResultRow,
    auxiliary_of,
    split_variant,
)
from speech_mtl.scoring.summary import (
    ArmSize,
    Conflict,
    LabelCount,
    LateralUse,
    Provenance,
    Summary,
    TaskCurve,
)
from speech_mtl.scoring.tables import read_rows

ROWS = ("comparison.json", "results.json")
"""What the rows may be called: as `compare` writes them, and beside a recipe."""


OLD = "old_languages.jsonl"

CURVES = {"curves": TaskCurve, "conflicts": Conflict, "labels": LabelCount, "laterals": LateralUse, "sizes": ArmSize}
"""What `curves.json` holds."""


@dataclass(frozen=True)
class Results:
    """All that a report is made of.

    Attributes:
        recipe: Its name.
        about: What has to be said about the data.
        rows: Of all finished cells.
        test_sets: One for each target language.
        num_replications: Of the bootstrap.
        provenance: How they came about.
        reference: The arm that the table of tasks measures against.
        old: For each language from before the target was learnt, what was heard before and after.
        curves: Losses and weights of tasks.
        conflicts: Cosines of their gradients.
        labels: How many labels of them training had.
        laterals: What progressive networks listen to.
        sizes: How many parameters each arm has.
    """

    recipe: str
    about: str
    rows: Sequence[ResultRow]
    test_sets: Sequence[TestSet]
    num_replications: int
    provenance: Provenance
    reference: str = REFERENCE_ARM
    old: Sequence[TestSet] = field(default_factory=list)
    curves: Sequence[TaskCurve] = field(default_factory=list)
    conflicts: Sequence[Conflict] = field(default_factory=list)
    labels: Sequence[LabelCount] = field(default_factory=list)
    laterals: Sequence[LateralUse] = field(default_factory=list)
    sizes: Sequence[ArmSize] = field(default_factory=list)

    @property
    def has_tasks(self) -> bool:
        """Whether there is more to compare than one target's arms: several targets, variants, or other tasks."""
        if any(auxiliary_of(row["arm"]) for row in self.rows):
            return False  # a transfer map
        return len(self.test_sets) > 1 or any("task" in row or split_variant(row["arm"])[1] for row in self.rows)

    @cached_property
    def summary(self) -> Summary:
        """The figures, with their intervals; they take seconds."""
        from speech_mtl.scoring.analysis import summarize
        from speech_mtl.scoring.forgetting import what_was_forgotten
        from speech_mtl.scoring.tasks import summarize_targets, task_errors
        from speech_mtl.scoring.transfer import summarize_transfer

        measured = self.recipe, self.about, self.rows
        if any(auxiliary_of(row["arm"]) for row in self.rows):
            found = summarize_transfer(*measured, self.test_sets, self.num_replications)
        elif len(self.test_sets) > 1:
            found = summarize_targets(*measured, self.test_sets, self.num_replications)
        else:
            found = summarize(*measured, self.test_sets[0], self.num_replications)
        if self.has_tasks:
            errors = task_errors(self.test_sets, self.reference, self.num_replications)
            told = {"curves": list(self.curves), "conflicts": list(self.conflicts), "labels": list(self.labels)}
            found = replace(found, reference=self.reference, tasks=errors, **told)
        forgotten = what_was_forgotten(self.old, self.num_replications)
        structure = {"laterals": list(self.laterals), "sizes": list(self.sizes)}
        return replace(found, provenance=self.provenance, forgotten=forgotten, **structure)


def save(results: Results, folder: Path, rows: str = ROWS[1]) -> None:
    """Writes what a report is made of.

    Args:
        results: All of it.
        folder: Where to.
        rows: What the file of rows is called.
    """
    write_text(folder / rows, json_text(list(results.rows)))
    write_test_sets(folder / "hypotheses.jsonl", results.test_sets)
    if results.old:
        write_test_sets(folder / OLD, results.old)
    origin = {"recipe": results.recipe, "about": results.about, "num_replications": results.num_replications}
    if results.has_tasks:
        origin["reference"] = results.reference
    if results.has_tasks or results.laterals or results.sizes:
        told = {name: list(map(asdict, getattr(results, name))) for name in CURVES}
        write_text(folder / "curves.json", json.dumps(told, ensure_ascii=False) + "\n")
    write_text(folder / "provenance.json", json_text(origin | asdict(results.provenance)))


def load(folder: Path) -> Results:
    """Reads what `save` and `compare` wrote.

    Raises:
        InputError: A file is missing or was not written to its end.
    """
    found = [folder / name for name in ROWS if (folder / name).is_file()]
    if not found:
        raise InputError(
            f"There are no results in {folder}",
            expected="a folder with " + " or ".join(ROWS),
            received="no such file" if folder.is_dir() else "no such folder",
            action="give the output folder of `speech-mtl compare`, or of a recipe with results",
        )
    rows = read_rows(found[0], ResultRow)
    origin = _read_origin(folder / "provenance.json")
    about = {key: origin.pop(key) for key in ("recipe", "about", "num_replications", "reference")}
    test_sets, told = read_test_sets(folder / "hypotheses.jsonl"), _read_curves(folder / "curves.json")
    old = read_test_sets(folder / OLD) if (folder / OLD).is_file() else []
    return Results(**about, **told, rows=rows, test_sets=test_sets, old=old, provenance=Provenance(**origin))


def earlier_commands(folder: Path) -> list[str]:
    """The commands that worked on the results of a folder before; none if there are no results yet."""
    path = folder / "provenance.json"
    return _read_origin(path)["commands"] if path.is_file() else []


def write_report(results: Results, folder: Path) -> list[Path]:
    """Writes the report, its plots and the figures behind it; returns their paths, those for people first."""
    from speech_mtl.reporting.report import write_report as write_page

    summary = results.summary
    figures = figures_of(summary)
    for name, text in figures.items():
        write_text(folder / name, text)
    return [*write_page(summary, folder), *(folder / name for name in figures)]


def refuse_drift(results: Results, folder: Path) -> None:
    """Compares the figures in a folder with what the results beside them give.

    Raises:
        InputError: One is missing or differs.
    """
    for name, text in figures_of(results.summary).items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        raise InputError(
            f"{path} differs from the results that lie beside it",
            expected="figures as `speech-mtl report` computes them",
            received="another text" if path.is_file() else "no such file",
            action=f"speech-mtl report {folder}",
        )


def _read_curves(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {name: [record(**one) for one in told.get(name, [])] for name, record in CURVES.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from None


def _read_origin(path: Path) -> dict:
    fields = {"recipe", "about", "num_replications", *Provenance.__slots__}
    try:
        origin = {"reference": REFERENCE_ARM, "trained_by": {}, **json.loads(path.read_text(encoding="utf-8"))}
        missing = fields - origin.keys()
        if missing:
            raise ValueError("without " + ", ".join(sorted(missing)))
    except (OSError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from None
    return {field: origin[field] for field in (*fields, "reference")}


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be read",
        expected="a JSON object that `speech-mtl compare` wrote, whole",
        received=str(error),
        action="remove it and run the comparison again: finished runs are not repeated, and it is made anew",
    )
