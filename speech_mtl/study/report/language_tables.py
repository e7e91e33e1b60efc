"""Records of several languages -> tables: what each target gains, who helps whom, and what was forgotten."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from speech_mtl.scoring.tables import percent
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Cell, Table
from speech_mtl.study.report.tables import (
    NOTHING,
    Columns,
    change,
    factor_cell,
    known,
    lines,
    make_table,
    rate_cell,
    seeds_cell,
    speech_cell,
)
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import ArmSummary, EquivalentHours, Forgotten, Generation, Tried


class Comparison(NamedTuple):
    """What several comparisons are compared by; `name`: of its folder."""

    name: str
    arms: Sequence[ArmSummary]
    hours: Sequence[EquivalentHours]


class _Gain(NamedTuple):
    comparison: str
    alone: ArmSummary | None
    arm: ArmSummary
    hours: EquivalentHours | None


def targets_table(comparisons: Iterable[Comparison]) -> Table:
    """What auxiliary languages save in several comparisons: a line for each amount, comparison and arm but alone."""
    gains = []
    for name, arms, hours in comparisons:
        alone = {(one.budget_s, one.decoder): one for one in arms if one.arm == REFERENCE_ARM}
        equivalent = {(one.budget_s, one.decoder, one.arm): one for one in hours}
        gains += [
            _Gain(
                name, alone.get((one.budget_s, one.decoder)), one, equivalent.get((one.budget_s, one.decoder, one.arm))
            )
            for one in arms
            if one.arm != REFERENCE_ARM
        ]
    decoders: Columns[_Gain] = (
        {"Decoder": lambda one: Cell(one.arm.decoder)} if any(one.arm.decoder for one in gains) else {}
    )
    columns: Columns[_Gain] = {
        "Target speech": lambda one: speech_cell(one.arm.budget_s),
        "Comparison": lambda one: Cell(one.comparison),
        **decoders,
        "Arm": lambda one: Cell(one.arm.arm.name),
        f"CER %, {REFERENCE_ARM}": lambda one: rate_cell(one.alone.cer) if one.alone else NOTHING,
        "CER %": lambda one: rate_cell(one.arm.cer),
        "reduced by %": lambda one: change(
            one.arm.reduction, strong=one.arm.reduction is not None and one.arm.reduction.significant
        ),
        "F": lambda one: factor_cell(one.hours) if one.hours else NOTHING,
    }
    note = (
        f"Test split, mean over seeds. In brackets: {words.INTERVAL}. {REFERENCE_ARM}: the monolingual baseline, with"
        " the same speech. Bold: significant. F: minutes alone with the same error per minute of target speech."
    )
    rows = lines(columns, sorted(gains, key=lambda one: one.arm.budget_s))
    return make_table("What auxiliary languages save for each target", columns, rows, 3 + len(decoders), note)


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
        "Target speech": lambda one: speech_cell(one.budget_s),
        "Language": lambda one: Cell(one.language),
        "Arm": lambda one: Cell(one.arm.name),
        "Seeds": lambda one: seeds_cell(one.seeds),
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


def generations_table(rows: Sequence[Generation]) -> Table:
    """Errors of a lineage: a line for each run, a column for each language."""
    runs: dict[int, dict[str, Generation]] = {}
    for row in rows:
        runs.setdefault(row.generation, {})[row.language] = row

    def cell(one: Generation | None) -> Cell:
        if one is None:
            return NOTHING
        growth = "" if one.growth is None else f"({percent(one.growth.value)}, {words.interval(one.growth, ' to ')[1:]}"
        return Cell(percent(one.cer), one.cer, "(nothing forgotten)" if growth and one.same else growth)

    languages = list(dict.fromkeys(row.language for row in rows))
    cells = []
    for run in runs.values():
        first = next(iter(run.values()))
        cells.append([Cell(first.run), Cell(", ".join(first.learnt)), *(cell(run.get(name)) for name in languages)])
    heads = ["Run", "Learnt", *(f"{name}: CER %" for name in languages)]
    note = f"In brackets: by how many percent the errors have grown since the language was learnt; {words.INTERVAL}."
    return make_table("Errors of a line of runs", heads, cells, 2, note)
