"""One run of a comparison, as an engine calls it in this process or in another.

A process that an engine starts imports this file first: what takes seconds is imported where it is used.
"""

import contextlib
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speech_mtl.backend import load_backend
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe

if TYPE_CHECKING:
    from speech_mtl.run.changes import Now

TESTED = ("dev", "test")
"""Splits on which runs are evaluated."""


def is_done(
    recipe: Recipe, path: Path, is_tested: bool, now: "Now", accept_changes: bool, targets: Sequence[str] = ()
) -> bool:
    """Whether nothing is left to do for a run: see `run_stage`; `now`: the speech as it is now.

    Raises:
        InputError: The folder holds a run with other settings, something else, or a run that was made from other
            speech.
    """
    from speech_mtl.folders import refuse_foreign_folder
    from speech_mtl.run.changes import taken_up
    from speech_mtl.run.evaluated import saved_evaluation
    from speech_mtl.run.folder import Run
    from speech_mtl.study.decoders import is_decoded

    refuse_foreign_folder(path, "run")
    run = Run(path)
    if not run.exists():
        return False
    taken_up(run, recipe, now, accept_changes)
    if not run.is_finished() or (is_tested and saved_evaluation(run, TESTED, now) is None):
        return False
    return is_decoded(run, recipe.compare, targets, now)


def run_stage(
    recipe: Recipe,
    path: Path,
    is_tested: bool,
    folder: Path,
    screen: Screen | None,
    accept_changes: bool = False,
    targets: Sequence[str] = (),
) -> None:
    """Trains one run and evaluates it, unless that has been done. Engines call it, here or in another process.

    Args:
        recipe: Its settings.
        path: Its folder.
        is_tested: Whether it is evaluated.
        folder: The current folder of the comparison, which relative paths start from.
        screen: Where progress is shown; None: in the file `output.log` of the run.
        accept_changes: Whether to resume a run whose speech has changed since.
        targets: Of the cells that it is the last run of: languages that the decoders of `compare.decoders` recognise.
    """
    os.chdir(folder)
    load_backend()
    import keras

    from speech_mtl.folders import claim_folder
    from speech_mtl.run.evaluate import evaluate
    from speech_mtl.run.evaluated import saved_evaluation
    from speech_mtl.run.train import train
    from speech_mtl.study.decoders import evaluate_decoders

    claim_folder(path, "run")  # before the log of its output lies there
    keras.backend.clear_session(free_memory=True)
    with contextlib.nullcontext(screen) if screen else Screen.to_file(path / "output.log") as shown:
        try:
            run = train(recipe, path, shown, accept_changes=accept_changes, of_plan=True)
            if is_tested and saved_evaluation(run, TESTED) is None:
                evaluate(run, TESTED, screen=shown, compare_with_training=False)
            evaluate_decoders(run, recipe.compare, targets, shown)
        except Exception:
            if screen is None:
                for line in traceback.format_exc().splitlines():
                    shown.say(line)
            raise
