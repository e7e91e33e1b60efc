"""Praat: `.TextGrid` files beside recordings of the same name."""

from collections.abc import Iterator
from pathlib import Path

from data_scripts.annotation import Annotation, Annotations, Tier, TierOption, annotation_records, reading
from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record
from data_scripts.tables import Unusable

LAYOUT = "*.TextGrid beside recordings of the same name, in folders train, dev and test or in any"


def records(part: Part, *, tier: TierOption = None) -> Iterator[Record | Unusable] | None:
    """The intervals of a tier. A TextGrid has no speakers; the name of a tier may hold one."""
    return annotation_records(part, tier, LAYOUT, ".TextGrid", read)


def read(path: Path) -> Annotations:
    """The tiers of a file that have intervals.

    Raises:
        InputError: It is damaged.
    """
    with reading(
        path,
        "praatio",
        "a text file as Praat writes it, in UTF-8 or UTF-16, with a name of its own for each tier",
        "Praat",
    ):
        from praatio.textgrid import IntervalTier, openTextgrid

        grid = openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence", duplicateNamesMode="error")
    tiers = [tier for tier in grid.tiers if isinstance(tier, IntervalTier)]
    return Annotations(
        [Tier(tier.name, None, [Annotation(*entry) for entry in tier.entries]) for tier in tiers], media=[]
    )


CORPUS = Corpus(
    title="Praat",
    layout=LAYOUT,
    example="python -m data_scripts.praat FOLDER data --language cs --tier words",
    records=records,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
