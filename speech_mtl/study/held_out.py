"""Checks a whole comparison for validation and test speech that is in training, before anything is trained."""

from collections.abc import Mapping
from pathlib import Path

from speech_mtl.run.held_out import check_held_out, tell_speakers, trained_splits
from speech_mtl.run.speech import Split
from speech_mtl.screen import Screen
from speech_mtl.study.plan import Plan, SpeechKey, speech_of


def check_plan(plan: Plan, splits: Mapping[SpeechKey, Split], screen: Screen) -> None:
    """Checks the dev and test splits of all runs of a plan against the training speech of each run and its starts.

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
    allowed = next(iter(plan.stages.values())).recipe.data.allow_leaks
    reported: set[str] = set()
    for kinds in largest:
        held_out, training = list(kinds["held out"].values()), trained_splits(kinds["train"].values())
        check_held_out(held_out, training, allowed, screen, reported)
        tell_speakers(held_out, training, screen, reported)


def _keep_larger(found: dict[Path, Split], split: Split) -> None:
    """Budgets are nested: the larger one holds the smaller."""
    path = split.manifest.path
    if path not in found or len(found[path].positions) < len(split.positions):
        found[path] = split
