"""Ways of fine-tuning: settings that a trained run's recipe gets.

A method is a function of the trained run's recipe and the new language that returns settings by dotted key; arms of
comparisons use the same ones. To add one, write such a function under `@METHODS.add`; `tests/run/test_methods.py`
finds it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.registry import Registry
from speech_mtl.settings.recipe import Recipe

Method = Callable[[Recipe, str], dict[str, Any]]

METHODS: Registry[Method] = Registry("There is no method {} to teach a run another language")
"""Every method by name."""


@METHODS.add
def finetune(there: Recipe, language: str) -> dict[str, Any]:  # noqa: ARG001
    """Trains the encoder further, which changes it for the old languages, too."""
    return {}


@METHODS.add
def adapters(there: Recipe, language: str) -> dict[str, Any]:
    """Freezes the encoder and adds small layers for the new language between its blocks."""
    return _added(there, language, {"kind": "bottleneck"})


@METHODS.add
def low_rank(there: Recipe, language: str) -> dict[str, Any]:
    """Freezes the encoder and adds a LoRA delta for the new language to its attention."""
    return _added(there, language, {"kind": "low_rank"})


@METHODS.add
def progressive(there: Recipe, language: str) -> dict[str, Any]:
    """Freezes the encoder and adds a new one with lateral input from all of its layers."""
    return {"encoder": there.encoder.beside(list(there.languages), language)}


def finetuned(recipe: Recipe, minutes: float, added: Mapping[str, Any], asked: Mapping[str, Any]) -> Recipe:
    """Makes the recipe that fine-tunes a run on a language by the settings in the section `finetune`.

    Args:
        minutes: Of the language's training speech.
        added: What a method sets, by dotted key; a new encoder among them is trained as one.
        asked: What is set besides, and counts for more.
    """
    own = recipe.overridden({key: asked[key] for key in asked if key.partition(".")[0] == "finetune"}).finetune
    planned = recipe.overridden({**own.schedule(minutes, new_encoder="encoder" in added), **added, **asked})
    if "training.learning_rate" in asked or not planned.training.unfreezing.freezes_encoder:
        return planned
    return planned.overridden({"training.learning_rate": own.learning_rate * own.frozen_factor})


def beside(num_languages: int, rehearse: float = 0.0) -> dict[str, Any]:
    """Settings of each language of a trained run during fine-tuning: rehearsed, or left unchanged.

    `rehearse` is the fraction of the speech in batches that all of them have together; 0 for none.
    """
    if not rehearse:
        return {"train": False, "output_layer": None, "share": None}
    return {"train": True, "output_layer": "keep", "share": rehearse / num_languages}


def _added(there: Recipe, language: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Adapters beside a frozen encoder: of the size that the run's have already, if it has some.

    Raises:
        InputError: Those that it has are of the other kind: a network has only one.
    """
    adapted: list[str] = []
    if there.adapters is not None:
        if there.adapters.kind != settings["kind"]:
            raise InputError(
                "The run has adapters of another kind than the method adds, and all of a network are of one",
                expected=f"adapters.kind: {there.adapters.kind}, as in the run",
                received=f"a --method that adds adapters.kind: {settings['kind']}",
                action="take the other one of --method adapters and --method low_rank, or a run without adapters",
            )
        settings = there.adapters.model_dump(mode="json")
        adapted = list(there.languages if there.adapters.languages is None else there.adapters.languages)
    own = {**settings, "languages": list(dict.fromkeys([*adapted, language]))}
    return {"adapters": own, "training.unfreezing": {"kind": "heads"}}
