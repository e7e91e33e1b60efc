"""Measures one case: a process for each contestant, which take turns."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from benchmarks.peers.cases import CONTESTANTS, OURS, Case, Input
from benchmarks.peers.environments import Environment
from benchmarks.rounds import Plan, interleave
from benchmarks.workers import Worker, WorkerError
from speech_mtl.scoring.error_rate import score


def measured(case: Case, environments: Mapping[str, Environment], folder: Path, plan: Plan) -> Iterator[dict[str, Any]]:
    """Rows of the result: of each input, with each number of threads.

    Who cannot take part is named in `failed` with the reason.
    """
    for num_threads in case.num_threads:
        with ExitStack() as stack:
            workers, absent = _workers(case, environments, num_threads, stack)
            for row in case.inputs(folder):
                yield {"case": case.name, "unit": case.unit, "input": row.title, "num_threads": num_threads} | _row(
                    case, row, workers, absent, plan
                )


def _workers(
    case: Case, environments: Mapping[str, Environment], num_threads: int, stack: ExitStack
) -> tuple[dict[str, Worker], dict[str, str]]:
    """A worker of each contestant whose environment there is, and why the others have none."""
    workers, absent = {}, {}
    for name in case.names:
        contestant = CONTESTANTS[name].folder
        environment = environments.get(contestant)
        if environment is not None and environment.python is None:
            absent[name] = f"no environment: {environment.reason}"
            continue
        module = f"benchmarks.peers.{contestant}.worker"
        worker = Worker(module, num_threads, environment.python if environment else None)
        workers[name] = stack.enter_context(closing(worker))
    return workers, absent


def _row(case: Case, row: Input, workers: Mapping[str, Worker], absent: Mapping[str, str], plan: Plan) -> dict:
    turns, failed = {}, dict(absent)
    for name, worker in workers.items():
        given = row.given | CONTESTANTS[name].given
        try:
            worker.does(case.name, given, 0)
        except WorkerError as error:
            if name == OURS:
                raise
            failed[name] = str(error).strip().splitlines()[-1]
            continue
        turns[name] = worker.turn(case.name, given)
    found: dict[str, Any] = {"failed": failed}
    if len(turns) > 1:
        found |= interleave(turns, plan).summary(OURS, case.unit)
        found["about"] = {name: _about(workers[name].about, row.texts) for name in turns}
        if case.has_memory:
            found["peak_mib"] = {name: workers[name].peak_mib for name in turns}
    return found


def _about(told: dict[str, Any], texts: list[str] | None) -> dict[str, Any]:
    """What a worker told; errors in place of the texts that a decoder found."""
    if texts is None:
        return told
    characters = score(texts, told["texts"]).characters
    return {name: value for name, value in told.items() if name != "texts"} | {"cer": characters.rate}
