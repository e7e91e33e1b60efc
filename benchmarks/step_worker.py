"""Training steps of `contestants.MAKERS`, on request: a case for each of them by its name."""

from functools import cache
from itertools import cycle
from typing import Any

from benchmarks import speech_like
from benchmarks.contestants import LEARNING_RATE, MAKERS, Case, Step
from benchmarks.protocol import Prepared, serve
from benchmarks.speech_like import Shape


def made_by(name: str):
    """What prepares steps of a contestant: `given` are the fields of a `Case` and of a `Shape`."""

    @cache
    def network(case: Case, num_threads: int) -> Step:
        return MAKERS[name](case, num_threads).step

    def prepare(given: dict[str, Any]) -> Prepared:
        case, shape = Case(**given["case"]), Shape(**given["shape"])
        step = network(case, given["num_threads"])
        batches = cycle(speech_like.batches(shape, case.num_languages))

        def once() -> float:
            batch = next(batches)
            step(batch, LEARNING_RATE)
            return speech_like.audio_s(batch)

        return Prepared(once, {})

    return prepare


if __name__ == "__main__":
    serve({name: made_by(name) for name in MAKERS})
