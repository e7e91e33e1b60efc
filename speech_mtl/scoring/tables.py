"""Result rows -> Markdown tables."""

import re
from collections.abc import Callable, Iterable, Sequence

from speech_mtl.errors import printable
from speech_mtl.scoring.rows import EvaluationRow, TaskRow

MISSING = "–"
"""Content of a cell without a value."""


def evaluation_table(rows: Sequence[EvaluationRow]) -> str:
    """Renders an evaluation: one line per row, in their order, and what the numbers mean."""
    heads = ["Language", "Split", "Utterances", "Speakers", "WER %", "S/D/I", "CER %", "S/D/I"]
    lines = []
    for row in rows:
        words = row["word_substitutions"], row["word_deletions"], row["word_insertions"]
        characters = row["character_substitutions"], row["character_deletions"], row["character_insertions"]
        own = row.get("intervals", {"num_speakers": 0, "drawn": "utterance", "wer": None, "cer": None})
        sizes = str(row["num_utterances"]), str(own["num_speakers"] or MISSING)
        by_words = _rate(row["wer"], own["wer"]), _kinds(words, row["num_reference_words"])
        by_characters = _rate(row["cer"], own["cer"]), _kinds(characters, row["num_reference_characters"])
        lines.append([row["language"], row["split"], *sizes, *by_words, *by_characters])
    return f"{markdown_table(heads, lines, num_text_columns=2)}\n\n{_meaning(rows)}"


def _rate(rate: float | None, interval: Sequence[float] | None) -> str:
    return percent(rate) + (f" ({percent(interval[0])}–{percent(interval[1])})" if interval else "")


def _kinds(counts: Iterable[int], num_reference: int) -> str:
    return "/".join(percent(count / num_reference) for count in counts) if num_reference else MISSING


def _meaning(rows: Iterable[EvaluationRow]) -> str:
    """Explains kinds of errors and, where there are some, intervals."""
    kinds = "S/D/I: substitutions, deletions and insertions, in percent of the words or characters."
    given = [row["intervals"] for row in rows if "intervals" in row]
    drawn = {own["drawn"] for own in given if own["wer"] or own["cer"]}
    if not drawn:
        return kinds
    over = {
        frozenset(["speaker"]): "speakers",
        frozenset(["utterance"]): "utterances, for these speakers only",
    }.get(frozenset(drawn), "speakers; over utterances, for these speakers only, where fewer than three are known")
    return f"{kinds} In brackets: 95 % intervals over test {over}; another seed's training may differ by more."


def task_table(rows: Sequence[TaskRow]) -> str:
    """Renders what a run makes of tasks besides transcripts: one line per row, in their order."""
    heads = ["Task", "Language", "Split", "Metric", "Utterances", "Labelled", "Value"]
    lines = [
        [
            *(row["task"], row["language"], row["split"], row["metric"]),
            *(str(row["num_utterances"]), str(row["num_labelled"]), task_value(row["metric"], row["value"])),
        ]
        for row in rows
    ]
    return markdown_table(heads, lines, num_text_columns=4)


def task_value(metric: str, value: float | None) -> str:
    """Formats a task's metric: percent for fractions, else in the label's own unit."""
    return MISSING if value is None else _in_its_unit(metric, value) + " %" * (metric != MAE)


def short_metric(metric: str) -> str:
    """Head of a column."""
    return {CER: "CER", "phone error rate": "PER"}.get(metric, metric) + " %" * (metric != MAE)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = " ".join(text.split())
    text = re.sub(r"&(?=#?\w+;)", "&amp;", printable(text, len(text)))
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)  # before a space or a number it is less than
    text = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", text)
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # inside a word `_` is a letter
    text = re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", text)  # no list
    return re.sub(r"^(?=>|=+$|--+$)", r"\\", text)  # no quotation, title or rule


def markdown_table(
    heads: Sequence[str], lines: Iterable[Sequence[str]], num_text_columns: int, shown: Callable[[str], str] = escaped
) -> str:
    """A Markdown table: texts to the left, numbers to the right; no newline at its end.

    Args:
        heads: One a column.
        lines: As many cells each.
        num_text_columns: The first columns hold texts, the others numbers.
        shown: Makes Markdown of a cell; `str` where cells are Markdown already.
    """
    rule = ["---"] * num_text_columns + ["---:"] * (len(heads) - num_text_columns)
    cells = [list(map(shown, heads)), rule, *(list(map(shown, line)) for line in lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def percent(fraction: float | None) -> str:
    """0.1234 -> `12.3`."""
    if fraction is None:
        return MISSING
    return f"{round(100 * fraction, 1) + 0.0:.1f}".replace("-", "−")


CER = "character error rate"
"""The metric of transcripts as a task."""

MAE = "mean absolute error"
"""The metric in the label's own unit; all others are given in percent."""

FRACTIONS = ("accuracy", "F1")
"""Metrics that are one minus an error."""


def axis_of_metric(metric: str) -> str:
    """Label of an axis that shows a metric."""
    return metric[0].upper() + metric[1:] + ", %" * (metric != MAE)


def reported(metric: str, error: float) -> float:
    """The reported metric of an error."""
    return 1.0 - error if metric in FRACTIONS else error


def shown_error(metric: str, error: float) -> str:
    """Formats an error as the reported metric."""
    return _in_its_unit(metric, reported(metric, error))


def _in_its_unit(metric: str, value: float) -> str:
    return f"{value:.3g}" if metric == MAE else percent(value)


def shown_interval(metric: str, low: float, high: float) -> str:
    """Formats the interval of an error as that of the reported metric, in brackets."""
    ends = [shown_error(metric, end) for end in ((high, low) if metric in FRACTIONS else (low, high))]
    return f"({ends[0]}–{ends[1]})"


HOUR_S = 3600
MINUTES_BELOW_S = 2 * HOUR_S
"""Durations below this, but for an hour, are given in minutes."""


def speech(seconds: float, spelled: bool = False) -> str:
    """An amount of speech as it was asked for: `10 min` or `10 minutes`."""
    number, unit = (
        (seconds / HOUR_S, "hour") if seconds >= MINUTES_BELOW_S or seconds == HOUR_S else (seconds / 60, "minute")
    )
    if not spelled:
        return f"{number:.4g} {'h' if unit == 'hour' else 'min'}"
    return f"{number:.4g} {unit}{'' if number == 1 else 's'}"
