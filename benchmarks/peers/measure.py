"""Measures one case: a process for each contestant, which take turns."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.peers.cases import CONTESTANTS, OURS, Case, Input
from benchmarks.peers.environments import Environment
from benchmarks.rounds import Plan, interleave
from benchmarks.workers import Worker, WorkerError
from speech_mtl.scoring.error_rate import score


def measured(case: Case, environments: Mapping[str, Environment], folder: Path, plan: Plan) -> Iterator[dict[str, Any]]:
    """Rows of the result: of each input, with each number of threads, in new processes.

    Who cannot take part is named in `failed` with the reason. Where nobody can, there is nothing but that.
    """
    for row, num_threads in product(case.inputs(folder), case.num_threads):
        with ExitStack() as stack:
            absent = _absent(case, environments)
            workers = {
                name: stack.enter_context(closing(_worker(name, environments, num_threads)))
                for name in case.names
                if name not in absent
            }
            about = {"case": case.name, "unit": case.unit, "input": row.title, "num_threads": num_threads}
            yield about | _row(case, row, workers, absent, plan)


def _absent(case: Case, environments: Mapping[str, Environment]) -> dict[str, str]:
    """Who has no environment, and why."""
    found = {name: environments[CONTESTANTS[name].folder] for name in case.names if name != OURS}
    return {name: f"no environment: {one.reason}" for name, one in found.items() if one.python is None}


def _worker(name: str, environments: Mapping[str, Environment], num_threads: int) -> Worker:
    folder = CONTESTANTS[name].folder
    python = None if name == OURS else environments[folder].python
    return Worker(f"benchmarks.peers.{folder}.worker", num_threads, python)


def _row(
    case: Case, row: Input, workers: Mapping[str, Worker], absent: Mapping[str, str], plan: Plan
) -> dict[str, Any]:
    given = {name: row.given | CONTESTANTS[name].given for name in workers}
    failed = dict(absent) | _prepared(case, given, workers, plan.warm_up)
    turns = {name: worker.turn(case.name, given[name]) for name, worker in workers.items() if name not in failed}
    found: dict[str, Any] = {"failed": failed}
    if len(turns) > 1:
        found |= interleave(turns, replace(plan, warm_up=0)).summary(OURS, case.unit)
        found["about"] = {name: _about(workers[name].about, row.texts) for name in turns}
        if case.has_memory:
            found["peak_mib"] = {name: workers[name].peak_mib for name in turns}
    return found


def _prepared(
    case: Case, given: Mapping[str, dict[str, Any]], workers: Mapping[str, Worker], times: int
) -> dict[str, str]:
    """Lets all get ready at the same time, which takes some a minute; returns who failed, and why."""
    for name, worker in workers.items():
        worker.ask(case.name, given[name], times)
    failed = {}
    for name, worker in workers.items():
        try:
            worker.answer()
        except WorkerError as error:
            if name == OURS:
                raise
            failed[name] = str(error).strip().splitlines()[-1]
    return failed


def _about(told: dict[str, Any], texts: list[str] | None) -> dict[str, Any]:
    """What a worker told; errors in place of the texts that a decoder found."""
    if texts is None:
        return told
    characters = score(texts, told["texts"]).characters
    return {name: value for name, value in told.items() if name != "texts"} | {"cer": characters.rate}
