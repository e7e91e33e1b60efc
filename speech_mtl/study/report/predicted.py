"""Extrapolated learning curves: a section of the report, and the output of `speech-mtl predict`."""

from collections.abc import Sequence

from speech_mtl.scoring.tables import MISSING, percent
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Block, Bullets, Cell, Paragraph, Table
from speech_mtl.study.statistics.prediction import REACH, error_with, hours_for
from speech_mtl.study.statistics.summary import Hours, NeededHours, Prediction, Summary

ROUND_ERRORS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)


def amounts_to_show(predictions: Sequence[Prediction]) -> list[float]:
    """Seconds: twice and four times the largest budget."""
    largest_s = max((one.budgets_s[-1] for one in predictions if one.seconds), default=0.0)
    return [2 * largest_s, REACH * largest_s] if largest_s else []


def errors_to_show(summary: Summary) -> list[float]:
    """The next two round errors below the smallest that was measured."""
    smallest = min((one.cer.value for one in summary.arms), default=0.0)
    return [error for error in ROUND_ERRORS if error < smallest][:2]


def predicted(predictions: Sequence[Prediction], amounts_s: Sequence[float], errors: Sequence[float]) -> list[Block]:
    """A table of the errors with amounts of speech, and of the speech that errors need; what was refused, and why."""
    given = [one for one in predictions if one.seconds]
    refused = [f"{one.arm}: nothing is predicted, since {one.why_not}." for one in predictions if not one.seconds]
    refused += [
        f"{shown_target(error)} is below the floor of {one.arm}, {percent(one.floor.value)} %"
        f" {words.interval(one.floor)}: as the curve goes, no amount of speech is enough."
        for one in given
        for error in errors
        if one.floor and error < one.floor.low
    ]
    reasons: list[Block] = [Bullets(refused)] if refused else []
    if not given:
        return reasons
    heads = ["Arm", "Measured with", *(f"CER % with {words.speech(amount)}" for amount in amounts_s)]
    for error in errors:
        heads += [f"Speech for {shown_target(error)}", "More than measured"]
    rows = [
        [
            Cell(one.arm.name),
            Cell(" to ".join(words.speech(one.budgets_s[end]) for end in (0, -1)), one.budgets_s[-1]),
            *(_error_cell(one, amount) for amount in amounts_s),
            *(cell for error in errors for cell in _speech_cells(one, error)),
        ]
        for one in given
    ]
    note = (
        "By a power law with a floor, through all amounts with which an arm has learnt. In brackets: the"
        f" {words.INTERVAL} of what would be measured with as many seeds, over curves with and without a floor. Beyond"
        f" {REACH} times the largest amount, and below a {REACH}th of the smallest, nothing is predicted: what was"
        " measured does not show where a floor begins."
    )
    return [Table("Errors with more speech, and the speech for lower errors", heads, rows, 1, note=note), *reasons]


def needed_least(predictions: Sequence[Prediction], error: float) -> Paragraph:
    """A sentence: which arm needs the least speech for an error."""
    given = {one.arm: hours_for(one, error) for one in predictions if one.seconds}
    arm, least = min(
        given.items(), key=lambda item: (("<", "=", ">").index(item[1].hours.relation), item[1].hours.hours)
    )
    amount = f"{words.alone_text(least.hours, spelled=True)} {words.alone_interval(least)}".rstrip()
    if least.hours.relation == ">":
        who = "every arm" if len(given) > 1 else arm
        return Paragraph(
            f"For {shown_target(error)}, {who} needs {amount} of speech, beyond which nothing is predicted."
        )
    among = f", the least of {len(given)} arms" if len(given) > 1 else ""
    return Paragraph(f"For {shown_target(error)}, {arm} needs {amount} of speech{among}.")


def shown_target(error: float) -> str:
    """An error as it was asked for."""
    return f"{100 * error:.4g} %"


def _error_cell(one: Prediction, amount_s: float) -> Cell:
    found = error_with(one, amount_s)
    if found is None:
        return Cell(f"beyond {REACH} times")
    return Cell(percent(found.value), found.value, words.interval(found))


def _speech_cells(one: Prediction, error: float) -> list[Cell]:
    if one.floor and error < one.floor.low:
        return [Cell("below the floor"), Cell(MISSING)]
    needed = hours_for(one, error)
    measured = one.budgets_s[-1] / 3600

    def beyond(hours: Hours) -> Hours:
        return Hours("=" if hours.relation == "<" else hours.relation, max(0.0, hours.hours - measured))

    more = NeededHours(beyond(needed.hours), beyond(needed.low), beyond(needed.high))
    return [_hours_cell(needed), _hours_cell(more) if more.high.hours else Cell("none", 0.0)]


def _hours_cell(needed: NeededHours) -> Cell:
    text = words.alone_text(needed.hours, spelled=needed.hours.relation != "=")
    return Cell(text, needed.hours.hours, words.alone_interval(needed))
