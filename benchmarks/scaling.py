"""What 1,000 languages and 100,000 hours take, computed from what other benchmarks have measured.

python -m benchmarks.scaling [--hours 100000] [--languages 1000]

Reads `large_corpus.json`, `corpus_growth.json`, `number_of_languages.json` and `peers.json`; measures nothing. Each
line says what it is computed from, and how: in proportion, or along the line through the smallest and largest case.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.provenance import ROOT, Table, provenance, report
from benchmarks.speech_like import SAMPLE_RATE_HZ, vocabularies
from speech_mtl.files import read_json
from speech_mtl.settings.network import ConformerSettings

FOLDER = ROOT / "benchmarks"
OPUS_BYTES_PER_S = 24_000 / 8
"""At 24 kbit/s, of which speech loses little."""
ADAMW_COPIES = 4
"""The weights, two moments, and their running mean."""


class Line(NamedTuple):
    """Something that grows.

    Attributes:
        what: Its name.
        value: In its unit.
        unit: Of the value.
        source: What it is computed from, and how.
    """

    what: str
    value: float
    unit: str
    source: str


def main() -> None:
    """Computes, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--hours", type=float, default=100_000)
    parser.add_argument("--languages", type=int, default=1_000)
    parser.add_argument("--out", type=Path, default=FOLDER / "scaling.json")
    arguments = parser.parse_args()
    lines = [*of_speech(arguments.hours), *of_languages(arguments.languages)]
    about = (
        f"Computed for {arguments.hours:,.0f} hours and {arguments.languages:,} languages from measurements on this "
        "kind of machine, far beyond the sizes that were measured: orders of magnitude, not promises."
    )
    rows = [line._asdict() for line in lines]
    report(arguments.out, provenance("scaling") | {"about": about, "rows": rows}, table(lines))


def of_speech(hours: float) -> Iterator[Line]:
    """What the amount of speech decides."""
    corpus, growth = _rows("large_corpus"), _grown("read")
    seconds = hours * 3600
    number = seconds * growth[-1]["lines"] / (growth[-1]["hours"] * 3600)
    yield Line("Utterances", number / 1e6, "million", "corpus_growth: their mean length")
    yield Line("Index on disk", number * corpus[-1]["index_mb"] / corpus[-1]["lines"] / 1e3, "GB", "large_corpus")
    yield Line(
        "First indexing, once", number * corpus[-1]["build"]["s"] / corpus[-1]["lines"] / 60, "min", "large_corpus"
    )
    memory = along(corpus, lambda row: row["open"]["peak_mib"], number)
    yield Line("Memory of a process that has opened it", memory / 1024, "GiB", "large_corpus: along a line")
    before = along(growth, lambda row: row["before_s"], number)
    yield Line(
        "From the command to the first update", before / 60, "min", "corpus_growth: along a line, read in training"
    )
    yield Line("Speech as Opus of 24 kbit/s", seconds * OPUS_BYTES_PER_S / 1e12, "TB", "arithmetic")
    yield Line("Speech decoded once", seconds * SAMPLE_RATE_HZ * 2 / 1e12, "TB", "arithmetic: 16 bit, 16 kHz")
    step, reading = _speed("training step", 2), _speed("loading", 2, "opus")
    yield Line("An epoch on 2 processors, default encoder", seconds / step / 86_400, "days", "peers: training step")
    yield Line("Processors that read Opus at 10,000 s of speech a second", 20_000 / reading, "", "peers: loading")


def of_languages(number: int) -> Iterator[Line]:
    """What the number of languages decides."""
    tokens = sum(vocabularies(number).values())
    weights = tokens * (ConformerSettings().dim + 1)
    yield Line("Weights of all output layers", weights / 1e6, "million", "arithmetic: about 40 tokens each")
    yield Line("Their memory in training", ADAMW_COPIES * 4 * weights / 2**20, "MiB", "arithmetic: AdamW, running mean")
    for row in _rows("number_of_languages"):
        sizes = sorted(map(int, row["ratios"]))
        ratio = row["ratios"][str(sizes[-1])]["cpu"]["median"]
        value = 1 + (ratio - 1) * (number - 2) / (sizes[-1] - 2)
        source = f"number_of_languages: along a line to {sizes[-1]}"
        yield Line(f"A step, beside one with 2 languages: {row['batch']}", value, "x", source)


def along(rows: Sequence[dict], value: Callable[[dict], float], number: float) -> float:
    """The value at so many lines, on the line through the first and the last row."""
    (x, y), (x_2, y_2) = ((row["lines"], value(row)) for row in (rows[0], rows[-1]))
    return y + (y_2 - y) * (number - x) / (x_2 - x)


def _grown(audio: str) -> list[dict]:
    return [row for row in _rows("corpus_growth") if row["audio"] == audio]


def _speed(case: str, num_threads: int, title: str = "") -> float:
    """Ours, in seconds of speech a second: the slowest of a case's inputs."""
    own = [row for row in _rows("peers") if row["case"] == case and row["num_threads"] == num_threads]
    return min(row["speech_mtl"]["audio_s_per_s"]["median"] for row in own if row["input"].startswith(title))


def _rows(name: str) -> list[dict[str, Any]]:
    return read_json(FOLDER / f"{name}.json", dict[str, Any], f"run python -m benchmarks.{name}")["rows"]


def table(lines: Sequence[Line]) -> Table:
    """A row for each."""
    cells = [[line.what, f"{line.value:,.3g} {line.unit}".strip(), line.source] for line in lines]
    return Table("What it takes", ("", "Computed", "From"), cells, num_text_columns=3)


if __name__ == "__main__":
    main()
