"""Which script reads a folder: the signs by which each corpus is known, for the messages of all the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from speech_mtl.errors import InputError, MissingPackage

SIGNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "kaldi": (("*/wav.scp",), ("data/*/wav.scp",), ("wav.scp",)),
    "common_voice": (("clips", "*.tsv"), ("*/clips", "*/*.tsv")),
    "voxpopuli": (("asr_*.tsv",), ("*/asr_*.tsv",), ("transcribed_data/*/asr_*.tsv",)),
    "fleurs": (("audio", "test.tsv"), ("audio", "train.tsv"), ("*/audio", "*/test.tsv"), ("*/audio", "*/train.tsv")),
    "mls": (("*/transcripts.txt", "*/audio"),),
    "ljspeech": (("metadata.csv", "wavs"),),
    "lhotse": (("*cuts*.jsonl*",), ("*/*cuts*.jsonl*",), ("*supervisions*.jsonl*",), ("*/*supervisions*.jsonl*",)),
    "nemo": (("*manifest*.json",), ("*/*manifest*.json",)),
    "webdataset": (("*.tar",), ("*/*.tar",)),
    "elan": (("**/*.eaf",),),
    "praat": (("**/*.TextGrid",),),
    "audiofolder": (
        ("**/metadata.jsonl",),
        ("**/metadata.csv",),
        ("**/metadata.tsv",),
        ("**/*.parquet",),
        ("**/*.arrow",),
    ),
}
"""By script, in the order in which they are tried: one of several sets of patterns, of which each matches something."""

MOST_LOOKED_AT = 10_000
"""Files and folders that a pattern may look at: a hint is not worth a walk through a million clips."""


def recognised_by(folder: Path) -> Iterator[str]:
    """The scripts whose corpus a folder seems to be, the likeliest first."""
    return (name for name, choices in SIGNS.items() if any(all(_holds(folder, one) for one in c) for c in choices))


@contextmanager
def naming_the_script(own: str, corpus: str) -> Iterator[None]:
    """Adds to an error in the block the script that can read the folder, where it is another one.

    Args:
        own: The script that runs, such as `kaldi`.
        corpus: The folder as typed.
    """
    try:
        yield
    except MissingPackage:
        raise
    except InputError as error:
        likeliest = _likeliest(corpus, own)
        if likeliest in (None, own):
            raise
        action = f"read it with `python -m data_scripts.{likeliest}`, if it is what it seems to be; or {error.action}"
        raise InputError(
            error.problem, expected=error.expected, received=error.received, action=action
        ) from error.__cause__


def _likeliest(corpus: str, own: str) -> str | None:
    """The script that reads a folder; the own one, where it might."""
    try:
        folder = Path(corpus).expanduser()
        found = list(recognised_by(folder)) if folder.is_dir() else []
    except (OSError, ValueError, RuntimeError):  # no name of a folder, or one that cannot be read
        return None
    return own if own in found else next(iter(found), None)


def _holds(folder: Path, pattern: str) -> bool:
    if "**" not in pattern:
        return any(True for _ in folder.glob(pattern))
    suffix = pattern.removeprefix("**/").lstrip("*").lower()
    return any(path.name.lower().endswith(suffix) for path in islice(folder.rglob("*"), MOST_LOOKED_AT))
