"""Stops training at an operation on the disk: the process is killed there, or the system refuses the operation.

A resumed run must end like a run that nothing happened to: the same weights and losses to the bit.
"""

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tones import tone_corpus, tone_recipe

from speech_mtl.errors import InputError, unusable_file
from speech_mtl.run.train import train
from speech_mtl.run.weights import load_part
from speech_mtl.settings.recipe import Recipe

OPERATIONS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
REFUSALS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT)
FIXABLE, OURS = 2, 1
"""Exit codes of a child that the system refused something: an error that the user can fix, or another one."""


@dataclass
class Disk:
    """Operations of this process that change files below a folder; one of them may have an end of its own."""

    folder: str
    end: Callable[[], None] = lambda: None
    at: int = -1
    seen: int = 0

    def audit(self, event: str, arguments: tuple) -> None:
        """See `sys.addaudithook`."""
        if event not in OPERATIONS or not str(arguments[0]).startswith(self.folder):
            return
        if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
            return
        self.seen += 1
        if self.seen - 1 == self.at:
            self.end()


def kill() -> None:
    """Ends the process as the system does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int) -> Callable[[], None]:
    """What the system says when it does not do what was asked."""

    def end() -> None:
        raise OSError(number, os.strerror(number))

    return end


def trained(recipe: Recipe, folder: Path, disk: Disk) -> tuple[int, int]:
    """Trains in a child process; gives its exit code (negative: the signal) and its operations on the disk."""
    reading, writing = os.pipe()
    child = os.fork()  # nothing has been computed yet, so that forking is safe
    if child == 0:
        os.close(reading)
        code = _train(recipe.overridden({"data.cache_dir": str(folder / "cache")}), folder / "run", disk)
        os.write(writing, str(disk.seen).encode())
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        seen = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(seen or 0)


def _train(recipe: Recipe, path: Path, disk: Disk) -> int:
    with contextlib.suppress(ImportError):
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
    sys.addaudithook(disk.audit)
    try:
        train(recipe, path)
    except InputError:
        return FIXABLE
    except OSError as error:
        return OURS if unusable_file(error) is None else FIXABLE
    except BaseException:
        traceback.print_exc()
        return OURS
    return 0


def end_state(run: Path) -> dict[str, object]:
    """All numbers that a run ends with: weights, optimiser, weighting, random state, losses, and how far it is."""
    arrays = {
        f"{path.relative_to(run)} {name}": array.tobytes()
        for path in sorted(run.rglob("*.safetensors"))
        for name, array in load_part(path).items()
    }
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {**arrays, "losses": [loss for record in log for loss in record["losses"]], "updates": len(log)}


def stop_and_resume(recipe: Recipe, folder: Path, number: int, seed: int) -> Iterator[tuple[str, str]]:
    """Stops `number` runs at moments spread over all operations; gives for each how, and what was wrong in the end.

    Args:
        recipe: What is trained.
        folder: For the runs.
        number: How many; each is stopped once or twice.
        seed: Decides where and how.
    """
    random = Random(seed)
    code, operations = trained(recipe, folder / "reference", Disk(str(folder)))
    if code != 0:
        raise RuntimeError(f"The run that nothing happens to ended with {code}")
    reference = end_state(folder / "reference" / "run")
    for i in range(number):
        place, how = folder / str(i), []
        for _ in range(random.choice((1, 2))):
            refusal = random.choice((None, random.choice(REFUSALS)))
            at = int((i + random.random()) * operations / number) if not how else random.randrange(operations)
            disk = Disk(str(place), kill if refusal is None else refuse(refusal), at)
            code, _ = trained(recipe, place, disk)
            how.append(("killed" if refusal is None else errno.errorcode[refusal]) + f" at {at}: {code}")
            if code == OURS:
                break
        faults = [] if code != OURS else ["ended as a fault of ours"]
        code, _ = trained(recipe, place, Disk(str(place)))
        if code != 0:
            faults.append(f"did not resume: {code}")
        elif (found := end_state(place / "run")) != reference:
            different = [name for name in {**found, **reference} if found.get(name) != reference.get(name)]
            faults.append(f"other numbers: {different[:3]}")
        elif left := [path.name for path in place.rglob("*.tmp")]:
            how.append(f"left {len(left)} temporary files")
        yield "; ".join(how), ", ".join(faults)


def summary(ends: list[tuple[str, str]]) -> str:
    """How many runs were stopped in which way, and how many did not end as they should."""
    kinds = Counter(one.split(" at ")[0] for how, _ in ends for one in how.split("; ") if " at " in one)
    lines = ["| Stopped by | Times |", "| --- | ---: |"]
    lines += [f"| {kind} | {count} |" for kind, count in sorted(kinds.items())]
    wrong = sum(bool(fault) for _, fault in ends)
    return "\n".join(
        [*lines, "", f"{len(ends)} runs, each stopped once or twice; {wrong} ended otherwise than without."]
    )


def random_recipe(folder: Path) -> Recipe:
    """Two languages of tones, and everything on that draws random numbers or changes during training."""
    corpus = tone_corpus(num_train=8, num_dev=8, data_dir=folder / "data")
    changes = {
        "weighting": {"kind": "uncertainty", "learning_rate": 0.3},
        "data.batch_s": 4.0,
        "augment.speeds": [0.9, 1.0, 1.1],
        "augment.noise_probability": 0.5,
        "encoder.dropout": 0.1,
        "training.num_updates": 6,
    }
    return tone_recipe(corpus, folder / "cache").overridden(changes)
