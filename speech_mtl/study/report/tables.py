"""Records of comparisons -> tables. Reports, READMEs and the terminal show the same ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from speech_mtl.datatypes import PROTOCOLS
from speech_mtl.scoring.tables import MISSING, percent
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Cell, Table
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import (
    ArmSummary,
    DecoderGain,
    EquivalentHours,
    Estimate,
    NotLearnt,
    two_sided,
)
from speech_mtl.study.statistics.training import Effort

NOTHING = Cell(MISSING)
_WHOLE = "{:,}".format
T = TypeVar("T")
Columns = Mapping[str, Callable[[T], Cell]]
"""Explanations of columns, by their heads."""

_SHARED: Columns = {
    **dict.fromkeys(("Target speech", "Speech"), lambda one: Cell(words.speech(one.budget_s), one.budget_s)),
    "Language": lambda one: Cell(one.language),
    "Decoder": lambda one: Cell(one.decoder),
    "Arm": lambda one: Cell(one.arm.name),
    "Seeds": lambda one: Cell(
        ", ".join(map(str, one.seeds)) if len(one.seeds) <= 5 else f"{len(one.seeds)} seeds", len(one.seeds)
    ),
}


def shared(*heads: str, of: Iterable = ()) -> Columns:
    """Columns that several tables have; that of decoders only if any of the records `of` a table names one."""
    return {head: _SHARED[head] for head in heads if head != "Decoder" or any(one.decoder for one in of)}


def make_table(
    title: str,
    heads: Iterable[str],
    rows: Sequence[Sequence[Cell]],
    num_text_columns: int,
    note: str = "",
    folded: bool = False,
) -> Table:
    """A table of which columns of numbers without any value are left out."""
    heads = list(heads)
    kept = [i for i in range(len(heads)) if i < num_text_columns or any(row[i] != NOTHING for row in rows)]
    shown = [[row[i] for i in kept] for row in rows]
    return Table(title, [heads[i] for i in kept], shown, num_text_columns, note, folded)


def lines(columns: Columns[T], records: Iterable[T]) -> list[list[Cell]]:
    """A line of cells for each record."""
    return [[cell(record) for cell in columns.values()] for record in records]


def crossed(
    records: Iterable[T], row_of: Callable[[T], Any], column_of: Callable[[T], Any], columns: Iterable
) -> Iterator[list[T | None]]:
    """For each row its record in each column, or None; rows without any are left out."""
    rows: dict[Any, dict[Any, T]] = {}
    for one in records:
        rows.setdefault(row_of(one), {})[column_of(one)] = one
    columns = list(columns)
    return (found for own in rows.values() if any(found := [own.get(column) for column in columns]))


def known(value: float | None, shown: Callable[[float], str]) -> Cell:
    """A number, if there is one."""
    return NOTHING if value is None else Cell(shown(value), value)


def arms_table(arms: Sequence[ArmSummary]) -> Table:
    """Errors of every arm at every budget, tests against alone, and what they took."""
    rivals: dict[tuple[float, str], list[ArmSummary]] = {}
    for one in arms:
        rivals.setdefault((one.budget_s, one.decoder), []).append(one)

    def cer(one: ArmSummary) -> Cell:
        errors = [other.cer.value for other in rivals[one.budget_s, one.decoder]]
        return rate_cell(one.cer, strong=len(errors) > 1 and one.cer.value == min(errors))

    def reduced(one: ArmSummary) -> Cell:
        if one.arm == REFERENCE_ARM:
            return Cell("reference")
        if all(other.arm != REFERENCE_ARM for other in rivals[one.budget_s, one.decoder]):
            return Cell(f"{REFERENCE_ARM} not measured")
        return change(one.reduction) if one.reduction else Cell("not given")

    first = shared("Target speech", "Decoder", "Arm", of=arms)
    columns: Columns[ArmSummary] = {
        **first,
        "Untranscribed": lambda one: known(one.effort.untranscribed_s, words.speech),
        **shared("Seeds"),
        "CER %": cer,
        "WER %": lambda one: rate_cell(one.wer),
        "CER reduced by %": reduced,
        "p, bootstrap": lambda one: known(one.p_value, words.chance),
        "p, MAPSSWE": lambda one: _mapsswe(one.mapsswe_z),
        **EFFORT,
        "Parameters trained": lambda one: known(one.size and one.size.trained, _WHOLE),
        "Parameters": lambda one: known(one.size and one.size.total, _WHOLE),
        "The target's own": lambda one: known(one.size and one.size.own, _WHOLE),
    }
    note = (
        f"Test split, mean over seeds. CER and WER: character and word error rate. In brackets: {words.INTERVAL}. Bold:"
        f" lowest CER at that amount. {REFERENCE_ARM}: the monolingual baseline. p: chance of so large a difference"
        " from it if there were none, two-sided, by the paired bootstrap, and by the matched-pairs test on words"
        " (MAPSSWE), there the largest of the seeds, unless some have more errors than alone and some fewer."
        f"{words.untranscribed(one.effort.untranscribed_s for one in arms)}{within_decoders(arms)}"
        f"{how_trained(one.effort for one in arms)}"
    )
    if any(one.size for one in arms):
        note += (
            " Parameters: of the last run at the largest amount of target speech those that it changes, all, and those"
            " that only the target has: its output layer, adapters, layers of its own."
        )
    title = "Error rates of every arm at every amount of target speech"
    rows = lines(columns, sorted(arms, key=lambda one: one.budget_s))
    return make_table(title, columns, rows, len(first), note)


def comparison_table(arms: Sequence[ArmSummary]) -> Table:
    """The same in short: a line for each budget and decoder, for each arm its CER and by how much it is lower than
    alone's."""
    ordered = sorted(arms, key=lambda one: one.budget_s)
    names = dict.fromkeys(one.arm for one in sorted(arms, key=lambda one: one.arm != REFERENCE_ARM))
    first = shared("Target speech", "Decoder", of=arms)
    heads, rows = list(first), []
    for arm in names:
        heads += [f"{arm}: CER %", "reduced by %"]
    for own in crossed(ordered, lambda one: (one.budget_s, one.decoder), lambda one: one.arm, names):
        cells = [[rate_cell(one.cer), change(one.reduction)] if one else [NOTHING] * 2 for one in own]
        rows.append([*lines(first, filter(None, own))[0], *(cell for pair in cells for cell in pair)])
    numbers = [len(one.seeds) for one in arms]
    seeds = " to ".join(map(str, sorted({min(numbers), max(numbers)})))
    note = (
        f"Character error rate on the test split, mean over seeds ({seeds} of them). In brackets: {words.INTERVAL}."
        f" {REFERENCE_ARM}: the monolingual baseline.{words.with_untranscribed(arms)}{within_decoders(arms)}"
        f"{_protocols(one.effort for one in arms)}{_all_updates(arms)}"
    )
    return make_table("Character error rates by amount of target speech", heads, rows, len(first), note)


def _all_updates(arms: Iterable[ArmSummary]) -> str:
    """Names the arms that early stopping did not end."""
    named = dict.fromkeys(str(one.arm) for one in arms if one.effort and one.effort.num_not_stopped)
    if not named:
        return ""
    return f" Runs of {', '.join(named)} took all their updates: their error might still have been falling."


def hours_table(found: Sequence[EquivalentHours], not_learnt: Sequence[NotLearnt] = ()) -> Table:
    """Hours alone that reach the error of an arm, and their ratio F."""
    first = shared("Target speech", "Decoder", "Arm", of=found)
    columns: Columns[EquivalentHours] = {
        **first,
        "In short": lambda one: Cell(words.saving(one)),
        "Untranscribed": lambda one: known(one.untranscribed_s, words.speech),
        "Hours alone with the same CER": lambda one: Cell(
            words.alone_text(one.hours), one.hours.hours, words.alone_interval(one)
        ),
        "F": factor_cell,
    }
    note = (
        f"F: hours alone per hour with auxiliary languages. In brackets: {words.INTERVAL}. Hours between measured"
        " amounts are read off the curve of alone. A bound, < or >, stands where the curve would have to be prolonged."
        f" Not significant: the interval holds F = 1.{within_decoders(found)}"
        f"{words.untranscribed(one.untranscribed_s for one in found)}"
    )
    shown = {(one.arm, one.budget_s, one.decoder) for one in found}
    rows = lines(columns, found) + [
        [*lines(first, [one])[0], Cell("has not learnt"), *[NOTHING] * 3]
        for one in not_learnt
        if one.arm != REFERENCE_ARM and (one.arm, one.budget_s, one.decoder) not in shown
    ]
    rows.sort(key=lambda row: row[0].value or 0.0)
    return make_table("Hours alone that do what an arm does", columns, rows, len(first) + 1, note)


def decoders_table(gains: Sequence[DecoderGain]) -> Table:
    """Errors of the same models with the first decoder and with others."""
    reference = gains[0].reference if gains else ""
    columns: Columns[DecoderGain] = {
        **shared("Target speech", "Language", "Arm", "Decoder", "Seeds", of=gains),
        f"CER %, {reference}": lambda one: known(one.before, percent),
        "CER %": lambda one: known(one.after, percent),
        "reduced by %": lambda one: change(one.reduction, strong=one.reduction.significant),
    }
    note = (
        f"The same models with the decoder {reference} and with another: test errors, mean over seeds. In brackets:"
        f" {words.INTERVAL}. Bold: significant."
    )
    rows = lines(columns, sorted(gains, key=lambda one: one.budget_s))
    return make_table(f"What another decoder than {reference} changes", columns, rows, 4, note)


def within_decoders(records: Iterable) -> str:
    return " All comparisons are within a decoder." if any(one.decoder for one in records) else ""


def rate_cell(estimate: Estimate, strong: bool = False) -> Cell:
    """An error rate in percent, with its interval."""
    return Cell(percent(estimate.value), estimate.value, words.interval(estimate), strong)


def factor_cell(one: EquivalentHours) -> Cell:
    """F, with its interval."""
    return Cell(words.factor_text(one, one.hours), one.factor(one.hours), words.factor_interval(one))


def change(estimate: Estimate | None, strong: bool = False) -> Cell:
    """A difference in percent, with its interval."""
    if estimate is None:
        return NOTHING
    return Cell(percent(estimate.value), estimate.value, words.interval(estimate, " to "), strong)


def _mapsswe(by_seed: Sequence[float]) -> Cell:
    if not by_seed:
        return NOTHING
    if min(by_seed) < 0 < max(by_seed):
        return Cell("seeds disagree", 1.0)
    largest = max(map(two_sided, by_seed))
    return Cell(words.chance(largest), largest)


def _updates(effort: Effort) -> Cell:
    shared = f" ({effort.shared_updates:,.0f} shared)" if effort.shared_updates else ""
    return Cell(f"{effort.num_updates:,.0f}{shared}", effort.num_updates)


def _not_stopped(effort: Effort) -> Cell:
    if effort.num_runs is None:
        return NOTHING
    return Cell(f"{effort.num_not_stopped} of {effort.num_runs}", effort.num_not_stopped)


EFFORT: Columns = {
    "Updates": lambda one: _updates(one.effort) if one.effort else NOTHING,
    "Audio": lambda one: known(one.effort and one.effort.audio_s, words.waiting),
    "Runs not stopped early": lambda one: _not_stopped(one.effort) if one.effort else NOTHING,
    "Training": lambda one: known(one.effort and one.effort.wall_time_s, words.waiting),
}


def how_trained(efforts: Iterable[Effort | None]) -> str:
    """Notes on the columns `EFFORT`."""
    efforts = [one for one in efforts if one]
    told = " Updates and training time: all stages, mean over seeds." if efforts else ""
    if any(one.num_runs is not None for one in efforts):
        told += (
            " Shared: updates in runs that other rows come from, too. Audio: training speech that all stages processed,"
            " as often as they did. Runs not stopped early took all their updates: their error might still have been"
            " falling."
        )
    return told + _protocols(efforts)


def _protocols(efforts: Iterable[Effort | None]) -> str:
    """The protocols of the arms, in a sentence."""
    known = dict.fromkeys(one.protocol for one in efforts if one and one.protocol)
    return "".join(f" Protocol {protocol}: {PROTOCOLS[protocol]}." for protocol in known)
