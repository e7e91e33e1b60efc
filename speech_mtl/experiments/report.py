"""A folder of results: what `compare` and `transfer` write, and the report that is made of it.

FOLDER/comparison.json (committed as results.json)   a list of rows, one for each model, language and split
FOLDER/hypotheses.jsonl                              what every model heard in the target's test set
FOLDER/provenance.json                               the recipe in a few words, and how the results came about
FOLDER/efficiency.json                               equivalent hours
FOLDER/report.html, report.md, plots/                for people
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.scoring.hypotheses import TestSet, read_test_sets, write_test_sets
from speech_mtl.scoring.results import EfficiencyRow, EquivalentRow, ResultRow, auxiliary_of
from speech_mtl.scoring.summary import EquivalentHours, Hours, Provenance, Summary
from speech_mtl.scoring.tables import read_rows

ROWS = ("comparison.json", "results.json")
"""What the rows may be called: as `compare` writes them, and beside a recipe."""


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
    """

    recipe: str
    about: str
    rows: Sequence[ResultRow]
    test_sets: Sequence[TestSet]
    num_replications: int
    provenance: Provenance

    def summary(self) -> Summary:
        """The figures, with their intervals."""
        from speech_mtl.scoring.analysis import summarize
        from speech_mtl.scoring.transfer import summarize_transfer

        if any(auxiliary_of(row["arm"]) for row in self.rows):
            found = summarize_transfer(self.recipe, self.about, self.rows, self.test_sets, self.num_replications)
        else:
            found = summarize(self.recipe, self.about, self.rows, self.test_sets[0], self.num_replications)
        return replace(found, provenance=self.provenance)


def save(results: Results, folder: Path, rows: str = ROWS[1]) -> None:
    """Writes what a report is made of.

    Args:
        results: All of it.
        folder: Where to.
        rows: What the file of rows is called.
    """
    write_text(folder / rows, json_text(list(results.rows)))
    write_test_sets(folder / "hypotheses.jsonl", results.test_sets)
    origin = {"recipe": results.recipe, "about": results.about, "num_replications": results.num_replications}
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
    about = {key: origin.pop(key) for key in ("recipe", "about", "num_replications")}
    return Results(
        **about, rows=rows, test_sets=read_test_sets(folder / "hypotheses.jsonl"), provenance=Provenance(**origin)
    )


def earlier_commands(folder: Path) -> list[str]:
    """The commands that worked on the results of a folder before; none if there are no results yet."""
    path = folder / "provenance.json"
    return _read_origin(path)["commands"] if path.is_file() else []


def write_report(results: Results, folder: Path) -> list[Path]:
    """Writes `efficiency.json`, the report and its plots; returns their paths, those for people first."""
    from speech_mtl.reporting.report import write_report as write_page

    summary = results.summary()
    efficiency = folder / "efficiency.json"
    write_text(efficiency, efficiency_text(summary))
    return [*write_page(summary, folder), efficiency]


def refuse_drift(results: Results, folder: Path) -> None:
    """Compares `efficiency.json` with what the results beside it give.

    Raises:
        InputError: It is missing or differs.
    """
    path = folder / "efficiency.json"
    if path.is_file() and path.read_text(encoding="utf-8") == efficiency_text(results.summary()):
        return
    raise InputError(
        f"{path} differs from the results that lie beside it",
        expected="equivalent hours as `speech-mtl report` computes them",
        received="another text" if path.is_file() else "no such file",
        action=f"speech-mtl report {folder}",
    )


def efficiency_rows(summary: Summary) -> list[EfficiencyRow]:
    """Equivalent hours, rounded, so that they stay the same on every machine."""

    def row(found: EquivalentHours, hours: Hours) -> EquivalentRow:
        return {
            "relation": hours.relation,
            "hours": round(hours.hours, 4),
            "factor": round(found.factor(hours), 3),
        }

    return [
        {
            "recipe": summary.recipe,
            "language": summary.language,
            "arm": found.arm,
            "budget_s": found.budget_s,
            "hours_alone": row(found, found.hours),
            "low": row(found, found.low),
            "high": row(found, found.high),
        }
        for found in summary.equivalent_hours
    ]


def efficiency_text(summary: Summary) -> str:
    """The content of `efficiency.json`."""
    return json_text(efficiency_rows(summary))


def _read_origin(path: Path) -> dict:
    fields = {"recipe", "about", "num_replications", *Provenance.__slots__}
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))
        missing = fields - origin.keys()
        if missing:
            raise ValueError("without " + ", ".join(sorted(missing)))
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read",
            expected="a JSON object that `speech-mtl compare` wrote, whole",
            received=str(error),
            action="remove it and run the comparison again: finished runs are not repeated, and it is made anew",
        ) from None
    return {field: origin[field] for field in fields}
