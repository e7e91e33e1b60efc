"""A summary -> the blocks of its report, in the order in which they are read."""

from collections.abc import Mapping, Sequence

from speech_mtl.datatypes import PROTOCOLS
from speech_mtl.scoring.tables import MISSING, percent, short_metric, shown_error, shown_interval
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import (
    Alignment,
    Block,
    Bullets,
    Cell,
    Commands,
    Facts,
    Paragraph,
    Plot,
    Report,
    Section,
    Table,
)
from speech_mtl.study.report.predicted import more_speech
from speech_mtl.study.report.tables import EFFORT, TASK_TABLE_GAIN, effort_texts, protocol_text
from speech_mtl.study.statistics.rows import REFERENCE_ARM, Effort
from speech_mtl.study.statistics.significance import two_sided
from speech_mtl.study.statistics.summary import (
    LEARNT_BELOW,
    ArmSize,
    ArmSummary,
    LabelCount,
    Recommendation,
    Summary,
    TaskError,
    one_task_an_arm,
)

LEARNING = ("learning-curves", "pretraining", "after-pretraining")
"""Plots of how the runs were trained."""

LONG_TABLE = 12
"""Rows above which a table that repeats a plot is folded."""


def make_report(summary: Summary, plots: Mapping[str, Plot]) -> Report:
    """All that a report says; `plots` are those of `make_plots`."""
    sections = []
    if summary.tasks:
        sections.append(Section("Each task", _tasks(summary, plots)))
    beside_alone = not summary.tasks or any(one.reduction is not None for one in summary.arms)
    if summary.arms or not (summary.transfer or summary.tasks):
        sections.append(Section("Error against hours", _error_against_hours(summary, plots)))
        if beside_alone:
            sections.append(Section("How many hours other languages save", _equivalent_hours(summary, plots)))
    if summary.predictions:
        sections.append(Section("How much more speech?", more_speech(summary, plots)))
    if beside_alone:
        sections.append(Section("Which got worse", _worse(summary)))
    sections.append(Section("Error of each language", _languages(summary, plots)))
    if summary.transfer:
        sections.append(Section("Which language helps which", _transfer(summary, plots)))
    if summary.forgotten:
        sections.append(Section("What was forgotten", _forgotten(summary, plots)))
    if curves := [plots[name] for name in LEARNING if name in plots]:
        sections.append(Section("Learning curves", curves))
    if summary.examples or not summary.tasks:
        sections.append(Section("Examples", _examples(summary)))
    sections += [
        Section("Notes", [Bullets(summary.notes)] if summary.notes else [Paragraph("There is nothing to note.")]),
        Section("How it was made", _provenance(summary)),
    ]
    return Report(
        title=f"Recipe {summary.recipe}, {_what(summary)}",
        subtitle=_subtitle(summary),
        answer=words.answer(summary),
        about=summary.about.strip() or "The recipe does not say what speech this is.",
        sections=sections,
    )


def _what(summary: Summary) -> str:
    if summary.arms or not (summary.transfer or summary.tasks):
        return f"target {summary.language}"
    if summary.transfer:
        return "transfer map"
    return f"targets {summary.language}" if one_task_an_arm(summary.tasks) else "all languages"


def _subtitle(summary: Summary) -> str:
    parts = ["Speech recognition with and without auxiliary languages"]
    seeds = {seed for one in [*summary.arms, *summary.tasks] for seed in one.seeds}
    if seeds:
        parts.append("1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds")
    if summary.provenance:
        parts.append(summary.provenance.finished[:10])
    return " · ".join(parts)


def _tasks(summary: Summary, plots: Mapping[str, Plot]) -> list[Block]:
    tasks = list(dict.fromkeys(one.task for one in summary.tasks))
    together = [[task] for task in tasks] if one_task_an_arm(summary.tasks) else [tasks]
    tables = [_task_table([one for one in summary.tasks if one.task in own], summary) for own in together]
    labels = [_labels(summary)] if summary.labels else []
    shown = [plots[name] for name in ("weights", "losses", "conflicts") if name in plots]
    return [plots["tasks"], *tables, *_protocol(summary), *labels, *shown]


def _task_table(errors: Sequence[TaskError], summary: Summary) -> Table:
    metrics = {one.task: one.metric for one in errors}
    found = {(one.budget_s, one.arm, one.task): one for one in errors}
    heads = ["Speech", "Arm"]
    for task, metric in metrics.items():
        heads += [f"{task}: {short_metric(metric)}", TASK_TABLE_GAIN]
    heads += EFFORT if summary.efforts else []
    rows = []
    for budget_s, arm in dict.fromkeys((one.budget_s, one.arm) for one in errors):
        cells = [_speech_cell(budget_s), Cell(arm.name)]
        for task in metrics:
            cells += _task_cells(found.get((budget_s, arm, task)))
        rows.append([*cells, *(_effort(summary.efforts.get((arm, budget_s))) if summary.efforts else ())])
    note = (
        f"Test split; in brackets the {words.INTERVAL}. Fewer errors: than {summary.reference}, paired. Errors are "
        f"characters, classes, tags or deviations.{_how_trained(summary)}"
    )
    which = "each task" if len(metrics) > 1 else next(iter(metrics))
    return Table(f"Errors of {which} by arm", heads, rows, num_text_columns=2, note=note)


def _labels(summary: Summary) -> Table:
    tasks = list(dict.fromkeys(one.task for one in summary.labels))
    found = {(one.arm, one.task): one for one in summary.labels}
    arms = dict.fromkeys(one.arm for one in summary.labels)
    rows = [[Cell(arm.name), *(_label_cell(found.get((arm, task))) for task in tasks)] for arm in arms]
    note = "Training utterances whose transcript or label is known, and all that training used; first seed."
    return Table("Labels that training had", ["Arm", *tasks], rows, num_text_columns=1, note=note)


def _label_cell(one: LabelCount | None) -> Cell:
    return Cell(f"{one.labelled:,}", one.labelled, f"of {one.utterances:,}") if one else Cell(MISSING)


def _task_cells(one: TaskError | None) -> list[Cell]:
    if one is None:
        return [Cell(MISSING), Cell(MISSING)]
    interval = shown_interval(one.metric, one.error.low, one.error.high)
    shown = Cell(shown_error(one.metric, one.error.value), one.error.value, interval)
    if one.gain is None:
        return [shown, Cell(MISSING)]
    certain = one.gain.low > 0 or one.gain.high < 0
    return [shown, Cell(percent(one.gain.value), one.gain.value, words.interval(one.gain, " to "), strong=certain)]


def _error_against_hours(summary: Summary, plots: Mapping[str, Plot]) -> list[Block]:
    if not summary.arms:
        return [Paragraph("No arm was measured.")]
    heads = ["Target speech", "Arm", "Seeds", "CER %", "WER %", "CER reduced by %"]
    heads += ["p, bootstrap", "p, MAPSSWE", *(EFFORT if summary.efforts else EFFORT[:1]), "Training"]
    rows = [_comparison_row(one, summary) for one in summary.arms]
    sizes = {one.arm: one for one in summary.sizes}
    if _sizes_differ(summary):
        heads += ["Parameters trained", "Parameters", "The target's own"]
        rows = [[*row, *_sizes(sizes.get(one.arm))] for row, one in zip(rows, summary.arms, strict=True)]
    title = "Error rates of every arm at every amount of target speech"
    table = Table(title, heads, rows, num_text_columns=2, note=_how_compared(summary))
    return [plots["data-efficiency"], table, *_protocol(summary)]


def _sizes_differ(summary: Summary) -> bool:
    return len({(one.trained, one.total, one.own) for one in summary.sizes}) > 1


def _sizes(one: ArmSize | None) -> list[Cell]:
    if one is None:
        return [Cell(MISSING)] * 3
    return [Cell(f"{count:,}", count) for count in (one.trained, one.total, one.own)]


def _how_compared(summary: Summary) -> str:
    units = f"{summary.num_resampled:,} {summary.resampled}{'' if summary.num_resampled == 1 else 's'}"
    counts = {f"{one.num_parameters:,}" for one in summary.arms}
    size = f" Trainable parameters: {counts.pop()} in every arm." if len(counts) == 1 else ""
    if _sizes_differ(summary):
        size += (
            " Parameters: of the last run at the largest amount of target speech those that it changes, all, and those"
            " that only the target has: its output layer, adapters, layers of its own."
        )
    return (
        "On the test split. CER and WER: character and word error rate, mean over seeds. In brackets:"
        f" {words.INTERVAL}, from drawing the {units} of the test split anew {summary.num_replications:,} times. Bold:"
        f" lowest CER at that amount. p: chance of so large a difference from {REFERENCE_ARM} if there were none,"
        " two-sided, by the paired bootstrap, and by the matched-pairs test on words (MAPSSWE), there the largest of"
        f" the seeds, unless some have more errors than alone and some fewer. Updates"
        f" and training time: all stages, mean over seeds.{size}{_how_trained(summary)}"
    )


def _how_trained(summary: Summary) -> str:
    """What has to be known of the columns `EFFORT`."""
    if not summary.efforts:
        return ""
    return (
        " Shared: updates in runs that other rows come from, too. Audio: training speech that all stages processed, as"
        " often as they did. Runs not stopped early took all their updates: their error might still have been falling."
    )


def _protocol(summary: Summary) -> list[Block]:
    return [Paragraph(protocol_text(summary.protocol))] if summary.protocol else []


def _comparison_row(one: ArmSummary, summary: Summary) -> list[Cell]:
    rivals = [other.cer.value for other in summary.arms if other.budget_s == one.budget_s]
    strong = len(rivals) > 1 and one.cer.value == min(rivals)
    updates = Cell(f"{one.num_updates:,.0f}", one.num_updates)
    return [
        _speech_cell(one.budget_s),
        Cell(one.arm.name),
        Cell(", ".join(map(str, one.seeds)) if len(one.seeds) <= 5 else f"{len(one.seeds)} seeds", len(one.seeds)),
        Cell(percent(one.cer.value), one.cer.value, words.interval(one.cer), strong),
        Cell(percent(one.wer.value), one.wer.value, words.interval(one.wer)),
        *_against_alone(one, summary.arms),
        *(_effort(summary.efforts.get((one.arm, one.budget_s))) if summary.efforts else [updates]),
        Cell(words.waiting(one.wall_time_s), one.wall_time_s),
    ]


def _effort(one: Effort | None) -> list[Cell]:
    one = one or {}
    values = one.get("num_updates"), one.get("audio_s"), one.get("num_not_stopped")
    return [Cell(text, value) for text, value in zip(effort_texts(one), values, strict=True)]


def _against_alone(one: ArmSummary, arms: Sequence[ArmSummary]) -> list[Cell]:
    if one.arm == REFERENCE_ARM:
        return [Cell("reference"), Cell(MISSING), Cell(MISSING)]
    if not any(other.arm == REFERENCE_ARM and other.budget_s == one.budget_s for other in arms):
        return [Cell("alone not measured"), Cell(MISSING), Cell(MISSING)]
    reduction, p = one.reduction, one.p_value
    return [
        Cell(percent(reduction.value), reduction.value, words.interval(reduction, " to "))
        if reduction
        else Cell("not given"),
        Cell("not given") if p is None else Cell(words.chance(p), p),
        _mapsswe_cell(one.mapsswe_z),
    ]


def _mapsswe_cell(by_seed: Sequence[float]) -> Cell:
    if not by_seed:
        return Cell("not given")
    if min(by_seed) < 0 < max(by_seed):
        return Cell("seeds disagree", 1.0)
    largest = max(map(two_sided, by_seed))
    return Cell(words.chance(largest), largest)


def _speech_cell(budget_s: float) -> Cell:
    return Cell(words.speech(budget_s), budget_s)


def _equivalent_hours(summary: Summary, plots: Mapping[str, Plot]) -> list[Block]:
    if not summary.equivalent_hours:
        return [Paragraph(f"Cannot be said: {words.what_is_missing(summary)}.")]
    heads = ["Target speech", "Arm", "In short", "Hours alone with the same CER", "F"]
    rows = [
        [
            _speech_cell(one.budget_s),
            Cell(one.arm.name),
            Cell(words.saving(one)),
            Cell(words.alone_text(one.hours), one.hours.hours, words.alone_interval(one)),
            Cell(words.factor_text(one, one.hours), one.factor(one.hours), words.factor_interval(one)),
        ]
        for one in summary.equivalent_hours
    ]
    shown = {(one.arm, one.budget_s) for one in summary.equivalent_hours}
    rows += [
        [_speech_cell(one.budget_s), Cell(one.arm.name), Cell("has not learnt"), Cell(MISSING), Cell(MISSING)]
        for one in summary.not_learnt
        if one.arm != REFERENCE_ARM and (one.arm, one.budget_s) not in shown
    ]
    rows.sort(key=lambda row: row[0].value or 0.0)
    note = (
        "F: hours alone per hour with auxiliary languages. Hours between measured amounts are read off the curve of"
        " alone. A bound, < or >, stands where the curve would have to be prolonged. Not certain: the"
        f" {words.INTERVAL} holds F = 1."
    )
    return [
        plots["equivalent-hours"],
        Table("Hours alone that do what an arm does", heads, rows, num_text_columns=3, note=note),
    ]


def _worse(summary: Summary) -> list[Block]:
    if summary.worse:
        heads = ["Target speech", "Language", "Arm", "Certain", "CER reduced by %"]
        rows = [
            [
                _speech_cell(one.budget_s),
                Cell(one.language),
                Cell(one.arm.name),
                Cell("yes" if one.certain else "no"),
                Cell(percent(one.reduction.value), one.reduction.value, words.interval(one.reduction, " to ")),
            ]
            for one in summary.worse
        ]
        note = "More errors than alone: negative transfer. Certain: the whole interval is below zero."
        return [Table("Arms with more errors than alone", heads, rows, num_text_columns=4, note=note)]
    if not (any(one.p_value is not None for one in summary.arms) or summary.transfer):
        return [Paragraph("Cannot be said: nothing was measured beside alone.")]
    if all(one.cer.value >= LEARNT_BELOW for one in summary.arms) and (summary.arms or summary.no_hours):
        return [Paragraph("Cannot be said: no arm has learnt.")]
    beside_none = [one for one in summary.arms if one.p_value is not None and one.reduction is None and one.cer.value]
    if beside_none:
        named = ", ".join(f"{one.arm} with {words.speech(one.budget_s)}" for one in beside_none)
        return [Paragraph(f"These have errors where alone has none, so that there is no share of its errors: {named}.")]
    left_out = " What has not learnt, beside an alone that has not, is left out." if summary.not_learnt else ""
    return [Paragraph(f"None: whatever was tried had no more errors than alone.{left_out}")]


def _languages(summary: Summary, plots: Mapping[str, Plot]) -> list[Block]:
    if not summary.languages:
        return [Paragraph("There are no test errors by language.")]
    heads = ["Target speech", "Language", "Arm", "CER %"]
    rows = []
    for one in summary.languages:
        ends = "" if one.lowest == one.highest else f"({percent(one.lowest)}–{percent(one.highest)})"
        cells = _speech_cell(one.budget_s), Cell(one.language), Cell(one.arm.name)
        rows.append([*cells, Cell(percent(one.cer), one.cer, ends)])
    spread = any(one.lowest != one.highest for one in summary.languages)
    note = "In brackets: smallest and largest of the seeds." if spread else ""
    folded = len(rows) > LONG_TABLE
    table = Table("Test error of each language", heads, rows, num_text_columns=3, note=note, folded=folded)
    return [plots["languages"], table] if "languages" in plots else [table]


def _forgotten(summary: Summary, plots: Mapping[str, Plot]) -> list[Block]:
    heads = ["Target speech", "Language", "Arm", "CER before %", "CER after %", "More errors, %"]
    rows = [
        [
            _speech_cell(one.budget_s),
            Cell(one.language),
            Cell(one.arm.name),
            Cell(percent(one.before), one.before),
            Cell(percent(one.after), one.after),
            Cell("none: all the same", 0.0)
            if one.same
            else Cell(percent(one.growth.value), one.growth.value, words.interval(one.growth, " to ")),
        ]
        for one in sorted(summary.forgotten, key=lambda one: (one.budget_s, one.language))
    ]
    note = (
        "Test errors in languages that were there before the target was learnt, by the output layers they had then:"
        f" mean over seeds. In brackets: {words.INTERVAL}. All the same: every utterance was recognised as before."
    )
    table = Table("Errors in old languages before and after", heads, rows, num_text_columns=3, note=note)
    return [plots["forgetting"], table] if "forgetting" in plots else [table]


def _transfer(summary: Summary, plots: Mapping[str, Plot]) -> list[Block]:
    heads = ["Target", "Auxiliary", "CER reduced by %"]
    rows = [
        [
            Cell(one.target),
            Cell(one.auxiliary),
            Cell(percent(one.reduction.value), one.reduction.value, words.interval(one.reduction, " to ")),
        ]
        for one in summary.transfer
    ]
    blocks: list[Block] = [
        plots["transfer"],
        Table("How much each auxiliary language helps each target", heads, rows, 2, folded=len(rows) > LONG_TABLE),
        *_protocol(summary),
    ]
    if summary.recommendations:
        blocks += [
            Paragraph("Auxiliary languages that help, best first:"),
            Bullets([_recommended(one) for one in summary.recommendations]),
        ]
    return blocks


def _recommended(one: Recommendation) -> str:
    if not one.auxiliaries:
        return f"{one.target}: none of those that were measured"
    sure = "all certain" if set(one.certain) == set(one.auxiliaries) else f"certain: {', '.join(one.certain) or 'none'}"
    return f"{one.target}: {', '.join(one.auxiliaries)} ({sure})"


def _examples(summary: Summary) -> list[Block]:
    if not summary.examples:
        return [Paragraph("There are no recognised utterances to show.")]
    blocks: list[Block] = [
        Paragraph(
            "Upper line: what was said. Lower line: what was recognised. Struck out: said and not recognised so. Bold: "
            "recognised and not said."
        )
    ]
    for one in summary.examples:
        heading = f"{one.title.capitalize()}: {one.arm}, {words.speech(one.budget_s)}, seed {one.seed}"
        blocks.append(Alignment(heading, summary.language, one))
    return blocks


def _provenance(summary: Summary) -> list[Block]:
    if (provenance := summary.provenance) is None:
        return [Paragraph("Unknown: commands, versions and machine were not recorded.")]
    trained_by = ", ".join(f"{number} by {commit}" for commit, number in provenance.trained_by.items())
    facts = [
        ("Runs trained by commit", trained_by or "unknown"),
        ("Results gathered by commit", provenance.commit or "unknown: not run from a repository"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in provenance.versions.items()) or "unknown"),
        ("Hardware", provenance.hardware or "unknown"),
        ("Finished", provenance.finished or "unknown"),
        ("Training, all together", words.waiting(provenance.wall_time_s)),
        *([("Protocol", f"{summary.protocol}: {PROTOCOLS[summary.protocol]}")] if summary.protocol else []),
    ]
    commands = Commands(provenance.commands) if provenance.commands else Paragraph("The commands are not known.")
    return [commands, Facts(facts)]
