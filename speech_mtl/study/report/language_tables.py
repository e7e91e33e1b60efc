"""Records of several languages -> tables: their errors, who helps whom, and what was forgotten."""

from collections.abc import Sequence

from speech_mtl.scoring.tables import percent
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Cell, Table
from speech_mtl.study.report.tables import NOTHING, Columns, change, crossed, known, lines, make_table, shared
from speech_mtl.study.statistics.forgetting import Generation
from speech_mtl.study.statistics.summary import Forgotten, LanguageError, Tried

LONG_TABLE = 12
"""Rows above which a table that repeats a plot is folded."""


def languages_table(errors: Sequence[LanguageError]) -> Table:
    """Test errors of all languages."""

    def cer(one: LanguageError) -> Cell:
        ends = "" if one.lowest == one.highest else f"({percent(one.lowest)}–{percent(one.highest)})"
        return Cell(percent(one.cer), one.cer, ends)

    columns: Columns[LanguageError] = {**shared("Target speech", "Language", "Arm"), "CER %": cer}
    spread = any(one.lowest != one.highest for one in errors)
    note = "In brackets: smallest and largest of the seeds." if spread else ""
    rows = lines(columns, errors)
    return make_table("Test error of each language", columns, rows, 3, note, folded=len(rows) > LONG_TABLE)


def worse_table(worse: Sequence[Tried]) -> Table:
    """Negative transfer."""
    first = shared("Target speech", "Decoder", "Language", "Arm", of=worse)
    columns: Columns[Tried] = {
        **first,
        "Significant": lambda one: Cell("yes" if one.reduction.significant else "no"),
        "CER reduced by %": lambda one: change(one.reduction),
    }
    note = "More errors than alone: negative transfer. Significant: the whole interval is below zero."
    return make_table("Arms with more errors than alone", columns, lines(columns, worse), len(first) + 1, note)


def transfer_table(tried: Sequence[Tried], folded: bool = False) -> Table:
    """The transfer map: a line a pair."""
    columns: Columns[Tried] = {
        "Target": lambda one: Cell(one.language),
        "Auxiliary": lambda one: Cell(one.arm.auxiliary),
        "CER reduced by %": lambda one: change(one.reduction),
    }
    return make_table(
        "How much each auxiliary language helps each target", columns, lines(columns, tried), 2, folded=folded
    )


def forgetting_table(forgotten: Sequence[Forgotten]) -> Table:
    """Errors in old languages before and after the target was learnt."""
    columns: Columns[Forgotten] = {
        **shared("Target speech", "Language", "Arm", "Seeds"),
        "CER before %": lambda one: known(one.before, percent),
        "CER after %": lambda one: known(one.after, percent),
        "More errors, %": lambda one: Cell("none: all the same", 0.0) if one.same else change(one.growth),
    }
    note = (
        "Test errors in languages that were there before the target was learnt, by the output layers they had then:"
        f" mean over seeds. In brackets: {words.INTERVAL}. All the same: every utterance was recognised as before."
    )
    rows = lines(columns, sorted(forgotten, key=lambda one: (one.budget_s, one.language)))
    return make_table("Errors in old languages before and after", columns, rows, 3, note)


def _signed(fraction: float) -> str:
    """0.1234 -> `+12.3 %`."""
    return f"{'+' * (fraction > 0)}{percent(fraction)} %"


def generations_table(rows: Sequence[Generation]) -> Table:
    """Errors of a lineage: a line for each run, a column for each language."""

    def cell(one: Generation | None) -> Cell:
        if one is None:
            return NOTHING
        growth = "" if one.growth is None else f"({_signed(one.growth.value)}, {words.interval(one.growth, ' to ')[1:]}"
        return Cell(percent(one.cer), one.cer, "(nothing forgotten)" if growth and one.same else growth)

    languages = dict.fromkeys(row.language for row in rows)
    cells = []
    for run in crossed(rows, lambda one: one.generation, lambda one: one.language, languages):
        first = next(filter(None, run))
        cells.append([Cell(first.run), Cell(", ".join(first.learnt)), *map(cell, run)])
    heads = ["Run", "Learnt", *(f"{name}: CER %" for name in languages)]
    note = (
        f"Character error rate on the {rows[0].split} set. In brackets: by how many percent it has grown since the "
        f"language was learnt; {words.INTERVAL}."
    )
    return make_table("Errors of a line of runs", heads, cells, 2, note)
