"""A trained run and speech of a language -> the recipe that trains the language from that run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speech_mtl.config import Recipe
from speech_mtl.corpora import Wrap, open_split, silent
from speech_mtl.errors import InputError
from speech_mtl.experiments.methods import beside, find_method
from speech_mtl.runs import Run


@dataclass(frozen=True)
class NewLanguage:
    """What a run is to learn.

    Attributes:
        language: BCP 47 tag.
        manifests: By split, where its speech is; other splits lie in the `data.dir` of the run.
        tokenizer: Kind of its tokeniser.
        method: How; see `methods`.
        output_layer: What to do with one that the run has already: None refuses.
        rehearse: Share of the speech in batches that is of the run's other languages; 0 for none.
    """

    language: str
    manifests: Mapping[str, Path] = field(default_factory=dict)
    tokenizer: str = "character"
    method: str = "finetune"
    output_layer: str | None = None
    rehearse: float = 0.0


def finetuning_recipe(
    run: Run, new: NewLanguage, overrides: Mapping[str, Any] | None = None, wrap: Wrap = silent
) -> Recipe:
    """The settings that train a language from a run's encoder, with the run's other languages beside it.

    Learning rate, updates and schedule are those of `schedule_for` the amount of speech, wherever `overrides` do not
    say otherwise.

    Raises:
        InputError: It is no trained run, has the language already, or the new speech cannot be read.
    """
    there = run.recipe()
    run.best_folder()
    _refuse_unasked(run, new, list(there.languages))
    others = {language: settings for language, settings in there.languages.items() if language != new.language}
    as_before = beside(len(others), new.rehearse)
    languages = {language: settings.model_dump(mode="json") | as_before for language, settings in others.items()}
    languages[new.language] = {
        "tokenizer": {"kind": new.tokenizer},
        "manifests": {split: str(path) for split, path in new.manifests.items()},
        "output_layer": new.output_layer if new.language in there.languages else None,
    }
    method = find_method(new.method)(there, new.language)
    recipe = there.overridden(
        {
            "name": f"{there.name}-{new.language}",
            "target": new.language,
            "languages": languages,
            "tasks": {},
            "weighting": {},
            "gradients": None,
            "init_from": str(run.path),
            "training.num_updates": 1,
            **method,
            **(overrides or {}),
        }
    )
    split = open_split(recipe, new.language, "train", wrap)
    minutes = float(split.store.num_samples[split.positions].sum()) / recipe.data.sample_rate_hz / 60
    return recipe.overridden({**schedule_for(minutes, new.method), **method, **(overrides or {})})


def schedule_for(minutes: float, method: str = "finetune") -> dict[str, Any]:
    """How to train on so much speech: settings by dotted key. A column starts from random weights, and takes longer."""
    if method == "progressive":
        return {"training.learning_rate": 2e-3, "training.num_updates": 2400 if minutes < 60 else 4800}
    return {
        "training.unfreezing": {"kind": "all"},
        "training.learning_rate": 1e-3,
        "training.warmup_updates": 200,
        "training.num_updates": 1200 if minutes < 60 else 2400,
    }


def _refuse_unasked(run: Run, new: NewLanguage, known: list[str]) -> None:
    is_known = new.language in known
    if is_known and new.output_layer is None:
        raise InputError(
            f"{run.path} has an output layer for {new.language} already",
            expected="a language other than " + ", ".join(known),
            received=f"--language {new.language}",
            action="--replace-head makes a new output layer, --keep-head trains the one that is there",
        )
    if not is_known and new.output_layer == "keep":
        raise InputError(
            f"{run.path} has no output layer for {new.language} that could be kept",
            expected="one of " + ", ".join(known),
            received=f"--language {new.language} --keep-head",
            action="leave --keep-head out",
        )
    if new.rehearse and known == [new.language]:
        raise InputError(
            f"{run.path} has no other language to rehearse",
            expected="a run of several languages",
            received=f"--rehearse {new.rehearse:g}",
            action="leave --rehearse out",
        )
