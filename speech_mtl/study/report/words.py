"""Numbers in plain text, and the sentence that answers the question."""

from collections.abc import Iterable, Sequence

from speech_mtl.scoring.tables import CER, HOUR_S, MINUTES_BELOW_S, percent, speech
from speech_mtl.study.statistics.rows import REFERENCE_ARM
from speech_mtl.study.statistics.summary import (
    LEARNT_BELOW,
    MEAN,
    REMEDY,
    ArmSummary,
    EquivalentHours,
    Estimate,
    Hours,
    NeededHours,
    Summary,
    TaskError,
    Tried,
    one_task_an_arm,
)

INTERVAL = "95\u00a0% interval"


def interval(estimate: Estimate, joiner: str = "–") -> str:
    """The interval in percent, in brackets. Where ends may be negative, `joiner` is better a word."""
    return f"({percent(estimate.low)}{joiner}{percent(estimate.high)})"


def chance(p: float) -> str:
    """A p value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def rounded(value: float) -> str:
    """Two digits, more where they stand before the point or tell a number from 1: `0.96`, `1.02`, `1.9`, `104`."""
    if 1e-9 < abs(value - 1) < 0.05:
        return f"{value:.2f}"
    return f"{value:.0f}" if value >= 9.95 else f"{value:#.2g}" if value >= 0.1 else f"{value:.1g}"


def untranscribed(amounts_s: Iterable[float | None]) -> str:
    """A sentence on the column of untranscribed speech; nothing where there is none."""
    told = " Target speech is transcribed; untranscribed speech of the target comes besides, and does not count in F."
    return told if any(amounts_s) else ""


def with_untranscribed(arms: Iterable[ArmSummary]) -> str:
    """A sentence for each arm that used untranscribed speech besides: how much."""
    found: dict[str, set[float]] = {}
    for one in arms:
        if one.effort.untranscribed_s:
            found.setdefault(one.arm.name, set()).add(one.effort.untranscribed_s)
    told = {name: " to ".join(dict.fromkeys(map(speech, (min(own), max(own))))) for name, own in found.items()}
    return "".join(f" {name}: besides {amount} of untranscribed speech." for name, amount in told.items())


def waiting(seconds: float) -> str:
    """How long something took."""
    if seconds < 60:
        return f"{rounded(seconds)} s"
    return f"{rounded(seconds / 60)} min" if seconds < MINUTES_BELOW_S else f"{rounded(seconds / HOUR_S)} h"


def alone_text(hours: Hours, spelled: bool = False) -> str:
    """Hours alone with their unit: `19 min`, `> 80 min`, `more than 80 minutes`.

    A bound is a budget that was measured and so is not rounded.
    """
    seconds = hours.hours * HOUR_S
    if hours.relation == "=":
        in_hours = seconds >= MINUTES_BELOW_S
        unit = ("hours" if in_hours else "minutes") if spelled else ("h" if in_hours else "min")
        return f"{rounded(seconds / (HOUR_S if in_hours else 60))} {unit}"
    sign = {"<": "less than", ">": "more than"}[hours.relation] if spelled else hours.relation
    return f"{sign} {speech(seconds, spelled)}"


def alone_interval(equivalent: EquivalentHours | NeededHours) -> str:
    """The interval of the hours, in brackets; empty where nothing more is known than the bound itself."""
    if _only_a_bound(equivalent):
        return ""
    ends = [alone_text(end) for end in (equivalent.low, equivalent.high)]
    (low, low_unit), (high, high_unit) = (end.rsplit(" ", 1) for end in ends)
    if low_unit != high_unit:
        return f"({ends[0]} to {ends[1]})"
    return f"({low}–{high} {low_unit})" if _exact(equivalent) else f"({low} to {high} {low_unit})"


def factor_text(equivalent: EquivalentHours, hours: Hours) -> str:
    """F: `1.9`, `> 8.0`."""
    number = rounded(equivalent.factor(hours))
    return number if hours.relation == "=" else f"{hours.relation} {number}"


def factor_interval(equivalent: EquivalentHours) -> str:
    """The interval of F, in brackets; empty where nothing more is known than the bound itself."""
    if _only_a_bound(equivalent):
        return ""
    low, high = (factor_text(equivalent, end) for end in (equivalent.low, equivalent.high))
    return f"({low}–{high})" if _exact(equivalent) else f"({low} to {high})"


def _only_a_bound(equivalent: EquivalentHours | NeededHours) -> bool:
    return equivalent.hours.relation != "=" and equivalent.low == equivalent.high


def _exact(equivalent: EquivalentHours | NeededHours) -> bool:
    return equivalent.low.relation == equivalent.high.relation == "="


def saving(equivalent: EquivalentHours) -> str:
    """Whether speech is saved: `saves`, `costs`, `no difference`, or `not significant` where the interval holds F = 1.

    F is 1 where it is shown as 1.00.
    """
    low, high = equivalent.factor(equivalent.low), equivalent.factor(equivalent.high)
    near = 0.005
    least, most = equivalent.low.relation, equivalent.high.relation
    if (least == "=" and low >= 1 + near) or (least == ">" and low > 1 - near):
        return "saves"
    if (most == "=" and high <= 1 - near) or (most == "<" and high < 1 + near):
        return "costs"
    return "no difference" if _exact(equivalent) and 1 - near < low <= high < 1 + near else "not significant"


def answer(summary: Summary) -> str:
    """One or two sentences: equivalent hours of the smallest and largest budget of the arm that is best at the first.

    Of several tasks, which arm reduces errors most relative to the reference. Without equivalent hours, the largest
    effect in the transfer map; without that, the reason why there is no answer.
    """
    if summary.tasks:
        return _tasks_answer(summary)
    if not summary.equivalent_hours:
        if summary.transfer and not summary.no_hours:
            return _transfer_answer(summary.transfer)
        return f"The hours that auxiliary languages save are not available: {what_is_missing(summary)}."
    offered = [equivalent for equivalent in summary.equivalent_hours if not equivalent.arm.is_control]
    if not offered:
        return "Only controls were measured: the effect of auxiliary languages is not available."
    smallest = min(equivalent.budget_s for equivalent in offered)
    there = [equivalent for equivalent in offered if equivalent.budget_s == smallest]
    errors = {(arm.arm, arm.budget_s): arm.cer.value for arm in summary.arms}
    best = min(there, key=lambda one: (_rank(one.hours), errors.get((one.arm, one.budget_s), 0.0)))
    among = f", the best of {len(there)} ways tried at this amount" if len(there) > 1 else ""
    sentence = f"With auxiliary languages ({best.arm}{among}), {_equivalence(best)}."
    largest = max((e for e in offered if e.arm == best.arm), key=lambda one: one.budget_s)
    return sentence if largest is best else f"{sentence} Trained the same way, {_equivalence(largest)}."


def answer_by_decoder(summary: Summary) -> str:
    """The answer; of several decoders that of each."""
    if not summary.others:
        return answer(summary)
    return " ".join(f"Decoder {one.decoder}: {answer(one)}" for one in summary.by_decoder)


def by_decoder(summary: Summary) -> str:
    """The decoder, where there are several, behind a space."""
    return f" by the decoder {summary.decoder}" if summary.decoder else ""


def plot_name(name: str, one: Summary, first: Summary) -> str:
    """Name of a plot by a decoder; that by the first one has no other name than where there is one only."""
    return name if one is first else f"{name}-{one.decoder}"


def _rank(hours: Hours) -> tuple[int, float]:
    return (">", "=", "<").index(hours.relation), -hours.hours


def _equivalence(equivalent: EquivalentHours) -> str:
    relation = equivalent.hours.relation
    alone = f"{alone_text(equivalent.hours, spelled=True)} {alone_interval(equivalent)}".rstrip()
    limit = {"=": "", ">": ", the most that was measured", "<": ", the least that was measured"}[relation]
    factor = f"{factor_text(equivalent, equivalent.hours)} {factor_interval(equivalent)}".rstrip()
    verdict = {
        "saves": "",
        "costs": "; here they do harm",
        "no difference": "; no difference",
        "not significant": "; not significant, the interval contains F = 1",
    }[saving(equivalent)]
    amount = speech(equivalent.budget_s, spelled=True)
    are = "is" if amount.startswith("1 ") else "are"
    return f"{amount} {are} equivalent to {alone} of alone{limit}: F {'= ' if relation == '=' else ''}{factor}{verdict}"


def what_is_missing(summary: Summary) -> str:
    """Why there are no equivalent hours."""
    if summary.no_hours:
        return summary.no_hours
    arms = {one.arm for one in summary.arms}
    if not arms:
        return "no arm was measured"
    if REFERENCE_ARM not in arms:
        return f"{REFERENCE_ARM} was not measured"
    if arms == {REFERENCE_ARM}:
        return f"only {REFERENCE_ARM} was measured"
    return "the measurements do not allow it" + ("; the notes give reasons" if summary.notes else "")


def _tasks_answer(summary: Summary) -> str:
    """Which arm is best for the first of: each target, the mean of all languages, the target language."""
    tasks = list(dict.fromkeys(one.task for one in summary.tasks))
    if not one_task_an_arm(summary.tasks):
        tasks = [MEAN if MEAN in tasks else tasks[0]]
    measured = {task: [one for one in summary.tasks if one.task == task] for task in tasks}
    answers = [
        _task_answer(task, own, summary.origin.reference) for task, own in measured.items() if any(o.gain for o in own)
    ]
    if not answers:
        return f"How tasks compare can be seen below; nothing was measured beside {summary.origin.reference}."
    return " ".join(answers)


def _task_answer(task: str, errors: Sequence[TaskError], reference: str) -> str:
    where = f"the {task}" if task == MEAN else task
    if all(one.metric == CER and one.error.value >= LEARNT_BELOW for one in errors):
        return f"On {where}, no arm has learnt: every error is {100 * LEARNT_BELOW:g} % or more. {REMEDY}."
    beside = [(one, one.gain) for one in errors if one.gain]
    largest, gain = max(beside, key=lambda pair: pair[1].value)
    better = [gain for _, gain in beside if gain.low > 0]
    worse = [gain for _, gain in beside if gain.high < 0]
    amount = f" with {speech(largest.budget_s, spelled=True)}" if largest.budget_s else ""
    change = f"{percent(gain.value)} % {interval(gain, ' to ')} fewer errors than {reference}"
    best = f"{largest.arm}{amount} has the largest gain: {change}" if gain.value > 0 else _no_gain(beside, reference)
    return (
        f"On {where}, {best}. Significantly better: {len(better)} of {len(beside)} that were measured beside it; "
        f"significantly worse: {len(worse)}."
    )


def _no_gain(beside: Sequence[tuple[TaskError, Estimate]], reference: str) -> str:
    if any(gain.value for _, gain in beside):
        return f"no arm has fewer errors than {reference}"
    return f"there is no difference from {reference}"


def _transfer_answer(transfer: Sequence[Tried]) -> str:
    best = max(transfer, key=lambda entry: entry.reduction.value)
    change = f"{percent(best.reduction.value)} % {interval(best.reduction, ' to ')}"
    gain = (
        f"{best.language} gains most from {best.arm.auxiliary}, which lowers its character error rate by {change}."
        if best.reduction.value > 0
        else "None of the auxiliary languages lowers the error of any target."
    )
    helpful = sum(entry.reduction.low > 0 for entry in transfer)
    harmful = sum(entry.reduction.high < 0 for entry in transfer)
    pairs = "1 pair" if len(transfer) == 1 else f"{len(transfer)} pairs"
    return f"{gain} Significant gains: {helpful} of {pairs} of languages; significant losses: {harmful}."
