"""What manifests hold, as a table on the console."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from speech_mtl.data.manifest import manifest_path, read_manifest


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """What a manifest holds, and what had to be left out of it.

    Attributes:
        kept: The manifest was there already and was left as it is, so that nothing is known of skipped utterances.
    """

    language: str
    split: str
    num_utterances: int
    duration_s: float
    num_speakers: int
    skipped: dict[str, int] = field(default_factory=dict)
    kept: bool = False


def summarise(data_dir: Path, language: str, split: str, skipped: dict[str, int] | None = None) -> SplitSummary:
    """Sums up a manifest; `skipped` None means that it was there before."""
    number, seconds, speakers = 0, 0.0, set()
    for utterance in read_manifest(manifest_path(data_dir, language, split)):
        number += 1
        seconds += utterance.duration_s
        speakers.add(utterance.speaker)
    return SplitSummary(
        language,
        split,
        num_utterances=number,
        duration_s=seconds,
        num_speakers=len(speakers - {None}),
        skipped=skipped or {},
        kept=skipped is None,
    )


def print_summaries(summaries: Iterable[SplitSummary]) -> None:
    """Prints to standard output one row a manifest: how much there is, and what was skipped for which reason."""
    table = Table("language", "split", title="Manifests", title_justify="left")
    for column in ("utterances", "hours", "speakers"):
        table.add_column(column, justify="right")
    table.add_column("skipped")
    for summary in summaries:
        skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.skipped.items())) or "0"
        table.add_row(
            summary.language,
            summary.split,
            f"{summary.num_utterances:,}",
            f"{summary.duration_s / 3600:.2f}",
            str(summary.num_speakers) if summary.num_speakers else "unknown",
            "was there already" if summary.kept else skipped,
        )
    Console().print(table)
