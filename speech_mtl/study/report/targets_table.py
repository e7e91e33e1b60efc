"""Several comparisons -> one table: what auxiliary languages save for each target."""

from collections.abc import Sequence
from typing import NamedTuple

from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Cell, Table
from speech_mtl.study.report.tables import NOTHING, change, factor_cell, lines, make_table, rate_cell, shared
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import ArmSummary, EquivalentHours


class Comparison(NamedTuple):
    """One of several comparisons; `name`: of its folder."""

    name: str
    arms: Sequence[ArmSummary]
    hours: Sequence[EquivalentHours]


def targets_table(comparisons: Sequence[Comparison]) -> Table:
    """A line for each amount of speech, comparison and arm but alone."""
    first = shared("Target speech", "Decoder", "Arm", of=[one for _, arms, _ in comparisons for one in arms])
    rows = []
    for name, arms, hours in comparisons:
        alone = {(one.budget_s, one.decoder): rate_cell(one.cer) for one in arms if one.arm == REFERENCE_ARM}
        factors = {(one.budget_s, one.decoder, one.arm): factor_cell(one) for one in hours}
        for one in arms:
            if one.arm == REFERENCE_ARM:
                continue
            row = [Cell(name), *lines(first, [one])[0]]
            row += [alone.get((one.budget_s, one.decoder), NOTHING), rate_cell(one.cer)]
            row.append(change(one.reduction, strong=one.reduction is not None and one.reduction.significant))
            rows.append([*row, factors.get((one.budget_s, one.decoder, one.arm), NOTHING)])
    rows.sort(key=lambda row: row[1].value)
    heads = ["Comparison", *first, f"CER %, {REFERENCE_ARM}", "CER %", "reduced by %", "F"]
    note = (
        f"Test split, mean over seeds. In brackets: {words.INTERVAL}. {REFERENCE_ARM}: the monolingual baseline, with"
        " the same speech. Bold: significant. F: minutes alone with the same error per minute of target speech."
    )
    return make_table("What auxiliary languages save for each target", heads, rows, 1 + len(first), note)
