"""Checks a whole comparison for validation and test speech that is in training, before anything is trained."""

from collections.abc import Mapping
from pathlib import Path

from speech_mtl.run.held_out import check_held_out, earlier_runs, tell_speakers, trained_on, trained_splits
from speech_mtl.run.speech import SpeechKey, Split
from speech_mtl.screen import Screen
from speech_mtl.study.plan import Plan, speech_of

Largest = dict[tuple[Path, tuple], tuple[SpeechKey, Split]]
"""The largest part of each manifest, by how it is drawn."""


def check_plan(plan: Plan, splits: Mapping[SpeechKey, Split], screen: Screen) -> None:
    """Checks the dev and test splits of all runs of a plan against the training speech of each run and its starts, and
    against that of runs outside of the plan which these start from or learn from.

    `splits`: the plan's speech, open; see `plan.open_speech`.

    Raises:
        InputError: More of a split than `data.allow_leaks` is in training.
    """
    checks: dict[frozenset, dict[str, Largest]] = {}
    for stage in plan.stages.values():
        kinds: dict[str, Largest] = {"train": {}, "held out": {}}
        for one in plan.line(stage):
            for key in speech_of(one):
                trains = key.split == "train" and one.recipe.languages[key.language].train
                if trains or (key.split != "train" and one is stage):
                    _keep_larger(kinds["train" if trains else "held out"], key, splits[key])
        manifests = frozenset((kind, *drawn) for kind, own in kinds.items() for drawn in own)
        there = checks.setdefault(manifests, kinds)
        for kind, own in kinds.items():
            for key, split in own.values():
                _keep_larger(there[kind], key, split)
    largest = [kinds for manifests, kinds in checks.items() if not any(manifests < other for other in checks)]
    data = next(iter(plan.stages.values())).recipe.data
    outside = [run for stage in plan.stages.values() for run in earlier_runs(stage.recipe)]
    earlier, reported = trained_on(outside, data.cache_dir), set[str]()
    for kinds in largest:
        held_out, training = ([split for _, split in kinds[kind].values()] for kind in ("held out", "train"))
        training = trained_splits(training)
        check_held_out(held_out, [*training, *earlier], data.allow_leaks, screen, reported)
        tell_speakers(held_out, training, screen, reported)


def _keep_larger(found: Largest, key: SpeechKey, split: Split) -> None:
    """Budgets that are drawn alike are nested: the larger one holds the smaller."""
    drawn = key.manifest, key.drawn
    if drawn not in found or len(found[drawn][1].positions) < len(split.positions):
        found[drawn] = key, split
