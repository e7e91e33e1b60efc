"""Rows of comparisons -> Markdown tables: arms, equivalent hours, tasks, forgetting."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from speech_mtl.datatypes import PROTOCOLS, Protocol
from speech_mtl.errors import InputError
from speech_mtl.scoring.tables import (
    MISSING,
    duration,
    escaped,
    markdown_table,
    percent,
    short_metric,
    shown_error,
    shown_interval,
)
from speech_mtl.study.statistics.rows import (
    REFERENCE_ARM,
    Arm,
    ArmRow,
    EfficiencyRow,
    Effort,
    EquivalentRow,
    ForgettingRow,
    GenerationRow,
    ResultRow,
    TaskErrorRow,
)

TASK_TABLE_GAIN = "fewer errors by %"
"""Head of the columns that compare with the reference arm."""


EFFORT = ["Updates", "Audio", "Runs not stopped early"]
"""Heads of the columns that `effort_texts` makes."""


def task_error_table(rows: Sequence[TaskErrorRow], *tasks: str) -> str:
    """Renders the tasks of a comparison: one line per budget and arm, one column per task with its 95 % interval.

    Accuracy and F1 are shown as such, errors as errors; in brackets the interval, then by how many percent the error is
    lower than the reference's, with its interval. Arms without any of the tasks are left out.

    Args:
        rows: Of all tasks.
        tasks: Which ones, in this order; all if none is named. `_` may stand for a space.

    Raises:
        InputError: There are no rows of a task.
    """
    known = {row["task"].replace(" ", "_"): row["task"] for row in rows}
    if unknown := [task for task in tasks if task not in known]:
        raise InputError(
            f"There are no results of {', '.join(unknown)}",
            expected="some of " + " ".join(known),
            received=" ".join(tasks),
            action="correct the names of tasks after the kind of the table",
        )
    wanted = [known[task] for task in tasks] or list(known.values())
    found = {(row["budget_s"], row["arm"], row["task"]): row for row in rows}
    metrics = {row["task"]: row["metric"] for row in rows}
    heads = ["Speech", "Arm", "Seeds"]
    for task in wanted:
        heads += [f"{task}: {short_metric(metrics[task])}", TASK_TABLE_GAIN]
    shows_effort = any("num_updates" in row for row in rows)
    heads += EFFORT if shows_effort else []
    lines = []
    for budget_s, arm in dict.fromkeys((row["budget_s"], row["arm"]) for row in rows):
        own = [found.get((budget_s, arm, task)) for task in wanted]
        if not any(own):
            continue
        line = [duration(budget_s), arm.name, str(max(row["num_seeds"] for row in own if row))]
        for row in own:
            line += [MISSING, MISSING] if row is None else [_task_figure(row), _gain(row)]
        lines.append(line + (effort_texts(next(row for row in own if row)) if shows_effort else []))
    return markdown_table(heads, lines, num_text_columns=2) + _caption(rows)


def _task_figure(row: TaskErrorRow) -> str:
    return f"{shown_error(row['metric'], row['error'])} {shown_interval(row['metric'], row['low'], row['high'])}"


def _gain(row: TaskErrorRow) -> str:
    if row["gain"] is None:
        return MISSING
    return f"{percent(row['gain'])} ({percent(row['gain_low'])} to {percent(row['gain_high'])})"


def comparison_table(rows: Sequence[ResultRow], language: str | None = None) -> str:
    """Renders a comparison: one line per budget of target speech, on the target language's test split.

    Each arm has its CER and WER, with several seeds their mean and in brackets the smallest and the largest. The arm
    `alone` comes first, the others in the order of their rows; these have the relative reduction of the mean CER
    against it, which is negative where they are worse.

    Args:
        rows: Rows of any languages and splits.
        language: The target language. None: the one language that the arm `alone` was tested on.

    Raises:
        InputError: The target language is not given and cannot be told from the rows, has no test rows, or has two
            rows of one budget, arm and seed.
    """
    cells = _comparison_cells(rows, language or _target_language(rows))
    arms = list(dict.fromkeys([REFERENCE_ARM, *(arm for _, arm in cells)]))
    heads = ["Target speech"]
    for arm in arms:
        heads += [f"{arm}: CER %", "WER %"] if arm == REFERENCE_ARM else [f"{arm}: CER %", "reduced by %", "WER %"]
    lines = []
    for budget_s in sorted({budget_s for budget_s, _ in cells}):
        alone_cer = _values(cells.get((budget_s, REFERENCE_ARM), ()), "cer")
        line = [duration(budget_s)]
        for arm in arms:
            cell = cells.get((budget_s, arm), ())
            cer = _values(cell, "cer")
            line.append(_spread(cer))
            if arm != REFERENCE_ARM:
                line.append(_reduction(alone_cer, cer))
            line.append(_spread(_values(cell, "wer")))
        lines.append(line)
    return markdown_table(heads, lines, num_text_columns=1)


def arm_table(rows: Sequence[ArmRow]) -> str:
    """Renders arms: one line per budget and arm, in the order of the rows, with 95 % intervals in brackets."""
    heads = [
        "Target speech",
        "Arm",
        "Seeds",
        "CER %",
        "reduced by %",
        "Parameters trained",
        "Parameters",
        "The target's own",
        "Training",
    ]
    shows_effort = any("num_updates" in row for row in rows)
    heads += EFFORT if shows_effort else []
    lines = []
    for row in rows:
        counts = [row["num_trained"], row["num_parameters"], row["num_own"]]
        reduced = MISSING
        if row["reduction"] is not None:
            ends = f"{percent(row['reduction_low'])} to {percent(row['reduction_high'])}"
            reduced = f"{percent(row['reduction'])} ({ends})"
        lines.append(
            [
                duration(row["budget_s"]),
                row["arm"].name,
                str(row["num_seeds"]),
                f"{percent(row['cer'])} ({percent(row['cer_low'])}–{percent(row['cer_high'])})",
                reduced,
                *(MISSING if count is None else f"{count:,}" for count in counts),
                duration(row["wall_time_s"]),
                *(effort_texts(row) if shows_effort else ()),
            ]
        )
    return markdown_table(heads, lines, num_text_columns=2) + _caption(rows)


def effort_texts(row: Effort) -> list[str]:
    """What an arm took, for people."""
    if "num_updates" not in row:
        return [MISSING] * len(EFFORT)
    shared, audio_s = row.get("shared_updates"), row.get("audio_s")
    return [
        f"{row['num_updates']:,.0f}" + (f" ({shared:,.0f} shared)" if shared else ""),
        MISSING if audio_s is None else duration(audio_s) if audio_s < 3600 else f"{audio_s / 3600:,.1f} h",
        f"{row.get('num_not_stopped')} of {row.get('num_runs')}",
    ]


def _caption(rows: Sequence[Effort]) -> str:
    """Below a table: how its rows came about, as far as they say so."""
    sentences = dict.fromkeys(protocol_text(row["protocol"]) for row in rows if "protocol" in row)
    return "\n\n" + escaped(" ".join(sentences)) if sentences else ""


def protocol_text(protocol: Protocol) -> str:
    """What arms have in common, in a sentence."""
    return f"Protocol {protocol}: {PROTOCOLS[protocol]}."


def efficiency_table(rows: Sequence[EfficiencyRow]) -> str:
    """Renders equivalent hours: one line per arm and budget, with the intervals of the hours and of their ratio F."""
    heads = ["Target speech", "Arm", "Worth, alone", "95 % interval", "F", "95 % interval"]
    lines = []
    for row in sorted(rows, key=lambda row: (row["budget_s"], row["arm"].name)):
        ends = [row["hours_alone"], row["low"], row["high"]]
        hours = [_bounded(end, duration(end["hours"] * 3600)) for end in ends]
        factors = [_bounded(end, f"{end['factor']:.2f}") for end in ends]
        line = [duration(row["budget_s"]), row["arm"].name]
        for measured, low, high in (hours, factors):
            line += [measured, f"{low} to {high}"]
        lines.append(line)
    return markdown_table(heads, lines, num_text_columns=2) + _caption(rows)


def _bounded(row: EquivalentRow, text: str) -> str:
    return {"<": "less than ", ">": "more than ", "=": ""}[row["relation"]] + text


def forgetting_table(rows: Sequence[ForgettingRow]) -> str:
    """Renders errors in old languages before and after the target was learnt: one line per row, in their order."""
    heads = ["Target speech", "Language", "Arm", "Seeds", "CER before %", "CER after %", "More errors, %"]
    lines = [
        [
            duration(row["budget_s"]),
            row["language"],
            row["arm"].name,
            str(row["num_seeds"]),
            percent(row["cer_before"]),
            percent(row["cer_after"]),
            _growth(row),
        ]
        for row in rows
    ]
    return markdown_table(heads, lines, num_text_columns=3)


def generation_table(rows: Sequence[GenerationRow]) -> str:
    """Renders what a line of runs recognises: a line for each run, a column for each language.

    In brackets by how many percent the errors have grown since the language was learnt, with the interval.
    """
    languages = list(dict.fromkeys(row["language"] for row in rows))
    cells = {(row["generation"], row["language"]): row for row in rows}
    lines = []
    for number in dict.fromkeys(row["generation"] for row in rows):
        first = next(row for row in rows if row["generation"] == number)
        found = [cells.get((number, language)) for language in languages]
        lines.append([first["run"], ", ".join(first["learnt"]), *map(_generation_cell, found)])
    return markdown_table(["Run", "Learnt", *(f"{name}: CER %" for name in languages)], lines, num_text_columns=2)


def _generation_cell(row: GenerationRow | None) -> str:
    if row is None:
        return MISSING
    return percent(row["cer"]) + ("" if row["growth"] is None else f" ({_growth(row)})")


def _growth(row: ForgettingRow | GenerationRow) -> str:
    if row["same"]:
        return "nothing forgotten"
    return f"{percent(row['growth'])}, {percent(row['growth_low'])} to {percent(row['growth_high'])}"


def _target_language(rows: Iterable[ResultRow]) -> str:
    found = sorted({row["language"] for row in rows if row["arm"] == REFERENCE_ARM and row["split"] == "test"})
    if len(found) != 1:
        raise InputError(
            "The target language of the comparison cannot be told from its rows",
            expected=f"test rows of one language in the arm {REFERENCE_ARM}",
            received=", ".join(found) or "none",
            action="name the target language",
        )
    return found[0]


def _comparison_cells(rows: Iterable[ResultRow], language: str) -> dict[tuple[float, Arm], list[ResultRow]]:
    """The target language's test rows by budget and arm: one row a seed."""
    cells: dict[tuple[float, Arm], list[ResultRow]] = {}
    for row in rows:
        if row["language"] != language or row["split"] != "test" or "task" in row:
            continue
        cell = cells.setdefault((row["budget_s"], row["arm"]), [])
        if any(other["seed"] == row["seed"] for other in cell):
            raise InputError(
                f"Two results of {language} for one budget, arm and seed",
                expected="one test row for each",
                received=f"budget_s {row['budget_s']}, arm {row['arm']}, seed {row['seed']} twice",
                action="put only one comparison of one recipe into a table",
            )
        cell.append(row)
    if not cells:
        raise InputError(
            f"The comparison has no results of {language}",
            expected=f"rows with the language {language} and the split test",
            received="none",
            action="name the target language of the comparison",
        )
    return cells


def _values(cell: Iterable[ResultRow], rate: str) -> list[float]:
    return [row[rate] for row in cell if row[rate] is not None]


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return percent(values[0] if values else None)
    return f"{percent(fmean(values))} ({percent(min(values))}–{percent(max(values))})"


def _reduction(alone: Sequence[float], other: Sequence[float]) -> str:
    if not alone or not other or fmean(alone) == 0:
        return MISSING
    return percent((fmean(alone) - fmean(other)) / fmean(alone))
