"""Praat: `.TextGrid` files beside recordings of the same name."""

from collections.abc import Iterator
from pathlib import Path

from data_scripts.annotation import Annotation, Annotations, Tier, TierOption, annotation_records
from data_scripts.command_line import Corpus, Part, Record, corpus_app
from data_scripts.tables import Unusable
from speech_mtl.errors import InputError, require

LAYOUT = "*.TextGrid beside recordings of the same name, in folders train, dev and test or in any"


def records(part: Part, *, tier: TierOption = None) -> Iterator[Record | Unusable] | None:
    """The intervals of a tier. A TextGrid knows no speakers: a tier's name may hold one."""
    return annotation_records(part, tier, LAYOUT, ".TextGrid", read)


def read(path: Path) -> Annotations:
    """The tiers of a file that have intervals.

    Raises:
        InputError: It is damaged.
    """
    try:
        from praatio.textgrid import IntervalTier, openTextgrid
    except ImportError:
        raise require("praatio", extra="annotation", purpose="Reading TextGrids") from None
    try:
        grid = openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="silence", duplicateNamesMode="rename")
    except OSError:
        raise
    except Exception as error:  # besides its own, praatio raises what its code runs into
        raise InputError(
            f"{path} cannot be read",
            expected="a text file as Praat writes it, in UTF-8 or UTF-16",
            received=f"{type(error).__name__}: {error}",
            action="open it in Praat and save it as a text file, or remove it",
        ) from None
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
