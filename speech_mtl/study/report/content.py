"""A summary -> the blocks of its report, in the order in which they are read; and its files, which people send."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from speech_mtl.datatypes import PROTOCOLS
from speech_mtl.files import write_text
from speech_mtl.scoring.tables import escaped
from speech_mtl.study.report import words
from speech_mtl.study.report.blocks import Alignment, Block, Bullets, Commands, Facts, Paragraph, Plot, Report, Section
from speech_mtl.study.report.language_tables import (
    LONG_TABLE,
    forgetting_table,
    languages_table,
    transfer_table,
    worse_table,
)
from speech_mtl.study.report.markdown import render_block, render_markdown
from speech_mtl.study.report.page import render_page
from speech_mtl.study.report.plots import make_plots
from speech_mtl.study.report.predicted import amounts_to_show, errors_to_show, predicted
from speech_mtl.study.report.tables import arms_table, comparison_table, decoders_table, hours_table
from speech_mtl.study.report.task_tables import labels_table, tasks_table
from speech_mtl.study.statistics.rows import Origin
from speech_mtl.study.statistics.summary import LEARNT_BELOW, Summary, Tried, one_task_an_arm

MOST_ARMS_ACROSS = 5
"""With more, the short table has a line for each arm and no columns."""

LEARNING = ("learning-curves", "pretraining")
"""Plots of how the runs were trained."""

Plots = Mapping[str, Plot]


def write_report(summary: Summary, folder: Path) -> list[Path]:
    """Writes `report.html`, `report.md` and `plots/report-*.png` and `.svg`; returns their paths, the page first.

    The page stands alone and can be sent as it is; the Markdown shows the plots beside it. Everything is made before
    anything is written. The same summary gives the same bytes.
    """
    plots = make_plots(summary)
    report = make_report(summary, plots)
    page, text = (
        render_page(report),
        render_markdown(report, {name: quote(f"plots/report-{name}.png") for name in plots}),
    )
    for name, plot in plots.items():  # first, so that no page speaks of one that is not there
        plot.write(folder / "plots" / f"report-{name}")
    write_text(folder / "report.md", text)
    write_text(folder / "report.html", page)
    images = [f"plots/report-{name}.{kind}" for name in plots for kind in ("png", "svg")]
    return [folder / name for name in ("report.html", "report.md", *images)]


def short_text(summary: Summary) -> str:
    """What a terminal shows of a comparison: Markdown of the answer, the main table and the notes."""
    if summary.tasks:
        table = tasks_table(summary.all_tasks)
    elif summary.transfer or not summary.arms:  # a map whose first targets are not finished may have no pair yet
        table = transfer_table(summary.transfer)
    else:
        short = len({one.arm for one in summary.arms}) <= MOST_ARMS_ACROSS
        table = (comparison_table if short else arms_table)(summary.all_arms)
    pieces = [f"# {escaped(summary.origin.recipe)}: {escaped(summary.language)}", escaped(summary.origin.about)]
    pieces += [f"**{escaped(words.answer_by_decoder(summary))}**", render_block(table, {})]
    return "\n\n".join(filter(None, [*pieces, render_block(Bullets(summary.notes), {})]))


def make_report(summary: Summary, plots: Plots) -> Report:
    """Makes the content of a report; `plots` are those of `make_plots`."""
    of_target = bool(summary.arms) or not (summary.transfer or summary.tasks)
    beside_alone = not summary.tasks or any(one.reduction is not None for one in summary.arms)
    predictions = summary.predictions
    shown: dict[str, list[Block]] = {
        "Each task": _tasks(summary, plots) if summary.tasks else [],
        "Error against hours": _arms(summary, plots) if of_target else [],
        "How many hours other languages save": _hours(summary, plots) if of_target and beside_alone else [],
        "How much more speech?": [
            *_those(plots, "more-speech"),
            *predicted(predictions, amounts_to_show(predictions), errors_to_show(summary)),
        ],
        "What the decoders change": [decoders_table(summary.gains)] if summary.gains else [],
        "Which got worse": _worse(summary) if beside_alone else [],
        "Error of each language": (
            [*_those(plots, "languages"), languages_table(summary.languages)] if summary.languages else []
        ),
        "Which language helps which": _transfer(summary, plots) if summary.transfer else [],
        "What was forgotten": (
            [*_those(plots, "forgetting"), forgetting_table(summary.forgotten)] if summary.forgotten else []
        ),
        "Learning curves": _those(plots, *LEARNING),
        "Examples": _examples(summary) if summary.examples or not summary.tasks else [],
        "Notes": [Bullets(summary.notes)],
        "How it was made": _provenance(summary.origin),
    }
    return Report(
        title=f"Recipe {summary.origin.recipe}, {_what(summary)}",
        subtitle=_subtitle(summary),
        answer=words.answer_by_decoder(summary),
        about=summary.origin.about.strip() or "The recipe does not describe the speech.",
        sections=[Section(title, blocks) for title, blocks in shown.items() if blocks],
    )


def _those(plots: Plots, *names: str) -> list[Block]:
    return [plots[name] for name in names if name in plots]


def _of_each(summary: Summary, plots: Plots, name: str) -> list[Block]:
    """A plot by each decoder."""
    return _those(plots, *(words.plot_name(name, one, summary) for one in summary.by_decoder))


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
    if summary.origin.finished:
        parts.append(summary.origin.finished[:10])
    return " · ".join(parts)


def _tasks(summary: Summary, plots: Plots) -> list[Block]:
    tasks = list(dict.fromkeys(one.task for one in summary.tasks))
    together = [[task] for task in tasks] if one_task_an_arm(summary.tasks) else [tasks]
    tables = [tasks_table([one for one in summary.all_tasks if one.task in own]) for own in together]
    labels = [labels_table(summary.training.labels)] if summary.training.labels else []
    return [plots["tasks"], *tables, *labels, *_those(plots, "weights", "losses", "conflicts")]


def _arms(summary: Summary, plots: Plots) -> list[Block]:
    if not summary.arms:
        return [Paragraph("No arm was measured.")]
    return [*_of_each(summary, plots, "data-efficiency"), arms_table(summary.all_arms)]


def _hours(summary: Summary, plots: Plots) -> list[Block]:
    missing: list[Block] = [
        Paragraph(f"Not available{words.by_decoder(one)}: {words.what_is_missing(one)}.")
        for one in summary.by_decoder
        if not one.equivalent_hours
    ]
    if not summary.all_equivalent_hours:
        return missing
    not_learnt = [one for own in summary.by_decoder if own.equivalent_hours for one in own.not_learnt]
    table = hours_table(summary.all_equivalent_hours, not_learnt)
    return [*_of_each(summary, plots, "equivalent-hours"), table, *missing]


def _worse(summary: Summary) -> list[Block]:
    if worse := [one for own in summary.by_decoder for one in own.worse]:
        return [worse_table(worse)]
    return [Paragraph(_nothing_worse(summary))]


def _nothing_worse(summary: Summary) -> str:
    beside_alone = [one for one in summary.arms if one.p_value is not None]
    if not (beside_alone or summary.transfer):
        return "Not available: only alone was measured."
    if all(one.cer.value >= LEARNT_BELOW for one in summary.arms) and (summary.arms or summary.no_hours):
        return "Not available: no arm has learnt."
    without_reduction = [one for one in beside_alone if one.reduction is None and one.cer.value]
    if without_reduction:
        named = ", ".join(f"{one.arm} with {words.speech(one.budget_s)}" for one in without_reduction)
        return f"These have errors where alone has none, so that no reduction can be given: {named}."
    left_out = " What has not learnt, beside an alone that has not, is left out." if summary.not_learnt else ""
    return f"None: whatever was tried had no more errors than alone.{left_out}"


def _transfer(summary: Summary, plots: Plots) -> list[Block]:
    protocol = summary.origin.protocol
    protocols = [Paragraph(f"Protocol {protocol}: {PROTOCOLS[protocol]}.")] if protocol else []
    helpful = [
        Paragraph("Auxiliary languages that help, best first:"),
        Bullets(
            [
                _recommended(target, summary.transfer)
                for target in dict.fromkeys(one.language for one in summary.transfer)
            ]
        ),
    ]
    table = transfer_table(summary.transfer, folded=len(summary.transfer) > LONG_TABLE)
    return [plots["transfer"], table, *protocols, *helpful]


def _recommended(target: str, tried: Sequence[Tried]) -> str:
    """The languages that lower a target's error on their own. Together they may help more or less than that."""
    helpful = [one for one in tried if one.language == target and one.learnt and one.reduction.value > 0]
    helpful.sort(key=lambda one: -one.reduction.value)
    if not helpful:
        return f"{target}: none of those that were measured"
    sure = [one.arm.auxiliary for one in helpful if one.reduction.significant]
    told = "all significant" if len(sure) == len(helpful) else f"significant: {', '.join(sure) or 'none'}"
    return f"{target}: {', '.join(one.arm.auxiliary for one in helpful)} ({told})"


def _examples(summary: Summary) -> list[Block]:
    if not summary.examples:
        return [Paragraph("There are no recognised utterances to show.")]
    key = (
        "Upper line: the reference. Lower line: the hypothesis. Struck out: words of the reference that are wrong or "
        "missing in the hypothesis. Bold: words of the hypothesis that are not in the reference."
    )
    headings = [f"{o.title.capitalize()}: {o.arm}, {words.speech(o.budget_s)}, seed {o.seed}" for o in summary.examples]
    aligned = zip(headings, summary.examples, strict=True)
    return [Paragraph(key), *(Alignment(heading, summary.language, one.pairs) for heading, one in aligned)]


def _provenance(origin: Origin) -> list[Block]:
    trained_by = ", ".join(f"{number} by {commit}" for commit, number in origin.trained_by.items())
    facts = [
        ("Runs trained by commit", trained_by or "unknown"),
        ("Results gathered by commit", origin.commit or "unknown: not run from a repository"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in origin.versions.items()) or "unknown"),
        ("Hardware", origin.hardware or "unknown"),
        ("Finished", origin.finished or "unknown"),
        ("Training, all together", words.waiting(origin.wall_time_s)),
        *([("Protocol", f"{origin.protocol}: {PROTOCOLS[origin.protocol]}")] if origin.protocol else []),
    ]
    commands = Commands(origin.commands) if origin.commands else Paragraph("The commands are not known.")
    return [commands, Facts(facts)]
