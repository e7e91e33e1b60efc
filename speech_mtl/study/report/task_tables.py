"""Tables of tasks besides transcripts: their errors, and what is labelled."""

from collections.abc import Sequence

from speech_mtl.errors import InputError
from speech_mtl.scoring.tables import short_metric, shown_error, shown_interval
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Cell, Table
from speech_mtl.study.report.tables import (
    EFFORT,
    NOTHING,
    change,
    crossed,
    how_trained,
    lines,
    make_table,
    shared,
    within_decoders,
)
from speech_mtl.study.statistics.summary import TaskError
from speech_mtl.study.statistics.training import LabelCount


def tasks_table(errors: Sequence[TaskError], *tasks: str) -> Table:
    """Errors of tasks: a line per budget and arm, for each task its metric and the reduction relative to the reference.

    Args:
        errors: Of all tasks.
        tasks: Which ones, in this order; all if none is named. `_` may stand for a space.

    Raises:
        InputError: There are no results of a task.
    """
    known = {one.task.replace(" ", "_"): one.task for one in errors}
    if unknown := [task for task in tasks if task.replace(" ", "_") not in known]:
        raise InputError(
            f"There are no results of {', '.join(unknown)}",
            expected="some of " + " ".join(known),
            received=" ".join(tasks),
            action="correct the names of tasks after the kind of the table",
        )
    wanted = [known[task.replace(" ", "_")] for task in tasks] or list(known.values())
    metrics = {one.task: one.metric for one in errors}
    first = shared("Speech", "Decoder", "Arm", of=errors)
    first_and_seeds = {**first, **shared("Seeds")}
    heads, rows = list(first_and_seeds), []
    for task in wanted:
        heads += [f"{task}: {short_metric(metrics[task])}", "fewer errors by %"]
    for own in crossed(errors, lambda one: (one.budget_s, one.decoder, one.arm), lambda one: one.task, wanted):
        one = [one for one in own if one][:1]
        cells = [cell for task in own for cell in _task_cells(task)]
        rows.append([*lines(first_and_seeds, one)[0], *cells, *lines(EFFORT, one)[0]])
    reference = ", ".join(dict.fromkeys(one.reference for one in errors))
    note = (
        f"Test split, mean over seeds. In brackets: {words.INTERVAL}. Fewer errors: than {reference}, paired; bold:"
        " significant. Errors are characters, classes, tags or deviations."
        f"{within_decoders(errors)}{how_trained(one.effort for one in errors)}"
    )
    which = "each task" if len(wanted) > 1 else wanted[0]
    return make_table(f"Errors of {which} by arm", [*heads, *EFFORT], rows, len(first), note)


def _task_cells(one: TaskError | None) -> list[Cell]:
    if one is None:
        return [NOTHING, NOTHING]
    interval = shown_interval(one.metric, one.error.low, one.error.high)
    gain = change(one.gain, strong=one.gain is not None and one.gain.significant)
    return [Cell(shown_error(one.metric, one.error.value), one.error.value, interval), gain]


def labels_table(labels: Sequence[LabelCount]) -> Table:
    """How many labels training had: a line an arm, a column a task."""
    tasks = dict.fromkeys(one.task for one in labels)
    rows = [
        [
            Cell(next(filter(None, own)).arm.name),
            *(Cell(f"{one.labelled:,}", one.labelled, f"of {one.utterances:,}") if one else NOTHING for one in own),
        ]
        for own in crossed(labels, lambda one: one.arm, lambda one: one.task, tasks)
    ]
    note = "Training utterances whose transcript or label is known, and all that training used; first seed."
    return make_table("Labels that training had", ["Arm", *tasks], rows, 1, note)
