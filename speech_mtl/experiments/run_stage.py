"""One run of a comparison: what an engine calls, in this process or in another.

A process that an engine starts imports this file first: what takes seconds is imported where it is used.
"""

import contextlib
import os
import traceback
from pathlib import Path

from speech_mtl.backend import load_backend
from speech_mtl.config import Recipe
from speech_mtl.screen import Screen

SPLITS = ("dev", "test")
"""On which runs are evaluated."""


def is_done(recipe: Recipe, path: Path, is_tested: bool) -> bool:
    """Whether nothing is left to do for a run.

    Raises:
        InputError: The folder holds a run with other settings.
    """
    from speech_mtl.experiments.evaluate import saved_evaluation
    from speech_mtl.experiments.train import finished_run

    run = finished_run(recipe, path)
    return run is not None and (not is_tested or saved_evaluation(run, SPLITS) is not None)


def run_stage(recipe: Recipe, path: Path, is_tested: bool, folder: Path, screen: Screen | None) -> None:
    """Trains one run and evaluates it, unless that has been done: what an engine calls, here or in another process.

    Args:
        recipe: Its settings.
        path: Its folder.
        is_tested: Whether it is evaluated.
        folder: The current folder of the comparison, which relative paths start from.
        screen: Where progress is shown; None: in the file `output.log` of the run.
    """
    os.chdir(folder)
    load_backend()
    import keras

    from speech_mtl.experiments.evaluate import evaluate, saved_evaluation
    from speech_mtl.experiments.train import train

    keras.backend.clear_session(free_memory=True)
    with contextlib.nullcontext(screen) if screen else Screen.to_file(path / "output.log") as shown:
        try:
            run = train(recipe, path, shown)
            if is_tested and saved_evaluation(run, SPLITS) is None:
                evaluate(run, SPLITS, screen=shown)
        except Exception:
            if screen is None:
                for line in traceback.format_exc().splitlines():
                    shown.say(line)
            raise
