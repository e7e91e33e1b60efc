"""The result as tables: a line for each peer beside ours."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.peers.cases import CASES, CONTESTANTS, OURS
from benchmarks.peers.environments import Environment
from benchmarks.provenance import Table

HEADS = ("Input", "Peer", "Threads", "Ours", "Peer's", "Ratio", "Ratio by processor time")
UNITS = {"audio_s": "seconds of speech", "words": "words"}


def tables(rows: Sequence[dict[str, Any]], environments: Mapping[str, Environment]) -> Iterator[Table]:
    """Of each case that has a peer, of memory, and of the environments; of who failed, if any did."""
    for case in CASES:
        own = [row for row in rows if row["case"] == case.name and "ratios" in row]
        if own:
            title = (
                f"{case.title}: {UNITS[case.unit]} per second, median over rounds. The ratio is ours over the peer's"
            )
            yield Table(f"{title} (min-max).", HEADS, [line for row in own for line in _lines(row)], num_text_columns=2)
    yield from _about(rows)
    if memory := [line for row in rows if "peak_mib" in row for line in _memory_lines(row)]:
        heads = ("Batches", "Peer", "Threads", "Ours", "Peer's", "Ratio")
        yield Table("Most memory of the process that trains, in MiB", heads, memory, num_text_columns=2)
    yield Table("Environments", ("Peer", "Python", "Versions"), [_environment(*one) for one in environments.items()], 3)
    if failed := [[row["case"], row["input"], *one] for row in rows for one in row["failed"].items()]:
        yield Table("Not measured", ("Case", "Input", "Peer", "Reason"), failed, num_text_columns=4)


ABOUT = {"parameters": "Parameters", "cer": "CER %", "wer": "WER %", "differs": "Differs"}
"""What workers tell, as heads of tables."""


def _about(rows: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """What each worker told: sizes of networks, errors of decoders, what is not as in ours. Once for a case."""
    for case in CASES:
        told = next((row["about"] for row in rows if row["case"] == case.name and "about" in row), {})
        keys = [key for key in ABOUT if any(key in own for own in told.values())]
        if keys:
            lines = [[name, *(_told(key, own.get(key)) for key in keys)] for name, own in told.items()]
            yield Table(f"{case.title}: what they compute", ("", *(ABOUT[key] for key in keys)), lines)


def _told(key: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f}" if key in ("cer", "wer") else str(value)


def line(row: dict[str, Any]) -> str:
    """A row in a few words."""
    ratios = ", ".join(f"{ratio['wall']['median']:.2f} x {name}" for name, ratio in row.get("ratios", {}).items())
    failed = "".join(f"; {name} failed: {reason}" for name, reason in row["failed"].items())
    return f"{row['case']}, {row['input']}, {row['num_threads']} threads: {ratios or 'no peer'}{failed}"


def _lines(row: dict[str, Any]) -> Iterator[list[str]]:
    for name, ratio in row["ratios"].items():
        speeds = (f"{row[who][row['unit'] + '_per_s']['median']:,.0f}" for who in (OURS, name))
        yield [row["input"], name, str(row["num_threads"]), *speeds, _spread(ratio["wall"]), _spread(ratio["cpu"])]


def _memory_lines(row: dict[str, Any]) -> Iterator[list[str]]:
    peaks = row["peak_mib"]
    for name, peak in peaks.items():
        if name != OURS:
            numbers = f"{peaks[OURS]:,.0f}", f"{peak:,.0f}", f"{peaks[OURS] / peak:.2f}"
            yield [row["input"], name, str(row["num_threads"]), *numbers]


def _spread(numbers: dict[str, float]) -> str:
    return "{median:.2f} ({min:.2f}-{max:.2f})".format(**numbers)


MAIN_PACKAGES = {
    "pytorch": ("torch", "torchcodec"),
    "speechbrain": ("speechbrain", "torch", "torchaudio"),
    "tensorflow_asr": ("tensorflowasr", "tensorflow", "keras"),
    "pyctcdecode": ("pyctcdecode",),
    "flashlight": ("flashlight-text",),
    "jiwer": ("jiwer", "rapidfuzz"),
}
"""What a table names of an environment; the result has all."""


def _environment(peer: str, environment: Environment) -> list[str]:
    names = "; ".join(name for name, one in CONTESTANTS.items() if one.folder == peer)
    versions = ", ".join(f"{name} {environment.about[name]}" for name in MAIN_PACKAGES[peer])
    return [names, environment.about["python"], versions if environment.python else f"none: {environment.reason}"]
