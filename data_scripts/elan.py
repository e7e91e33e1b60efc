"""ELAN: `.eaf` files beside recordings, or with paths of these."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from data_scripts.annotation import Annotation, Annotations, Medium, Tier, TierOption, annotation_records, reading
from data_scripts.command_line import corpus_app
from data_scripts.corpus import Corpus, Part, Record
from data_scripts.tables import Unusable

LAYOUT = "*.eaf beside the recordings they annotate, in folders train, dev and test or in any"


def records(part: Part, *, tier: TierOption = None) -> Iterator[Record | Unusable] | None:
    """The annotations of a tier; its participant is the speaker."""
    return annotation_records(part, tier, LAYOUT, ".eaf", read)


def read(path: Path) -> Annotations:
    """The tiers of a file, and the recordings that it names.

    Raises:
        InputError: It is damaged.
    """
    with reading(path, "pympi-ling", "a file as ELAN writes it", "ELAN"):
        from pympi.Elan import Eaf

        elan = Eaf(str(path), suppress_version_warning=True)
        tiers = [
            Tier(name, attributes.get("PARTICIPANT") or None, _annotations(elan, name))
            for name, (_, _, attributes, _) in elan.tiers.items()
        ]
        return Annotations(tiers, list(_media(elan)))


def _annotations(elan: Any, tier: str) -> list[Annotation]:
    """A tier's annotations, by time. Those that divide the same parent, and have no times of their own, are joined."""
    aligned, references, *_ = elan.tiers[tier]
    own = [(_times(elan, name), value) for name, (_, _, value, _) in aligned.items()]
    own.sort(key=lambda one: one[0][0] or 0.0)
    divided = [(_times(elan, name), value) for name, (_, value, _, _) in references.items()]
    joined = [(times, " ".join(text for _, text in same)) for times, same in groupby(divided, key=lambda one: one[0])]
    return [Annotation(start_s, end_s, text) for (start_s, end_s), text in [*own, *joined]]


def _times(elan: Any, name: str) -> tuple[float | None, float | None]:
    """Start and end in seconds of an annotation, or of the one that it refers to in the end."""
    for _ in elan.annotations:
        aligned, references, *_ = elan.tiers[elan.annotations[name]]
        if name in aligned:
            first, last = (elan.timeslots[slot] for slot in aligned[name][:2])
            return None if first is None else first / 1000, None if last is None else last / 1000
        name = references[name][0]
    raise ValueError(f"the annotation {name} refers to itself")


def _media(elan: Any) -> Iterator[Medium]:
    """Recordings from the file's folder: the relative paths first, then the names of the absolute ones."""
    for key in ("RELATIVE_MEDIA_URL", "MEDIA_URL"):
        for one in elan.get_linked_files():
            origin_s = int(one.get("TIME_ORIGIN") or 0) / 1000
            url = (one.get(key) or "").removeprefix("file:")
            for path in dict.fromkeys((url, unquote(url))):
                if path:
                    name = path if key == "RELATIVE_MEDIA_URL" else path.replace("\\", "/").rsplit("/", 1)[-1]
                    yield Medium(name, origin_s)


CORPUS = Corpus(
    title="ELAN",
    layout=LAYOUT,
    example="python -m data_scripts.elan FOLDER data --language cs --tier 'transcription@*'",
    records=records,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
