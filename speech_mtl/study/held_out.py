"""Checks a whole comparison for validation and test speech that is in training, before anything is trained."""

from collections.abc import Mapping
from pathlib import Path

from speech_mtl.run.held_out import check_held_out, earlier_runs, tell_speakers, trained_on, trained_splits
from speech_mtl.run.speech import Split
from speech_mtl.screen import Screen
from speech_mtl.study.plan import Plan, SpeechKey, speech_of


def check_plan(plan: Plan, splits: Mapping[SpeechKey, Split], screen: Screen) -> None:
    """Checks the dev and test splits of all runs of a plan against the training speech of each run and its starts, and
    against that of runs outside of the plan which these start from or learn from.

    `splits`: the plan's speech, open; see `plan.open_speech`.

    Raises:
        InputError: More of a split than `data.allow_leaks` is in training.
    """
    checks: dict[frozenset, dict[str, dict[Path, Split]]] = {}
    for stage in plan.stages.values():
        kinds: dict[str, dict[Path, Split]] = {"train": {}, "held out": {}}
        for one in plan.line(stage):
            for split in (splits[key] for key in speech_of(one)):
                trains = split.split == "train" and one.recipe.languages[split.language].train
                if trains or (split.split != "train" and one is stage):
                    _keep_larger(kinds["train" if trains else "held out"], split)
        manifests = frozenset((kind, path) for kind, own in kinds.items() for path in own)
        there = checks.setdefault(manifests, kinds)
        for kind, own in kinds.items():
            for split in own.values():
                _keep_larger(there[kind], split)
    largest = [kinds for manifests, kinds in checks.items() if not any(manifests < other for other in checks)]
    data = next(iter(plan.stages.values())).recipe.data
    outside = [run for stage in plan.stages.values() for run in earlier_runs(stage.recipe)]
    earlier, reported = trained_on(outside, data.cache_dir), set[str]()
    for kinds in largest:
        held_out, training = list(kinds["held out"].values()), trained_splits(kinds["train"].values())
        check_held_out(held_out, [*training, *earlier], data.allow_leaks, screen, reported)
        tell_speakers(held_out, training, screen, reported)


def _keep_larger(found: dict[Path, Split], split: Split) -> None:
    """Budgets are nested: the larger one holds the smaller."""
    path = split.manifest.path
    if path not in found or len(found[path].positions) < len(split.positions):
        found[path] = split
