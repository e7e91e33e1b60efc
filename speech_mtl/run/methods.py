"""Ways to teach a trained network another language, as settings: of `finetune`, and of the arms of a comparison.

A method is a function of the trained run's recipe and the new language that returns settings by dotted key. To add one,
write such a function under `@method`; `tests/run/test_methods.py` finds it by itself.
"""

from collections.abc import Callable, Mapping
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.settings.recipe import Recipe

Method = Callable[[Recipe, str], dict[str, Any]]

METHODS: dict[str, Method] = {}
"""Every method by name."""


def method(function: Method) -> Method:
    """Registers a method under its function's name."""
    METHODS[function.__name__] = function
    return function


def find_method(name: str) -> Method:
    """The method of a name.

    Raises:
        InputError: There is none.
    """
    if name not in METHODS:
        raise InputError(
            f"There is no method {name!r} to teach a run another language",
            expected="one of " + ", ".join(METHODS),
            received=name,
            action="choose one of these",
        )
    return METHODS[name]


@method
def finetune(there: Recipe, language: str) -> dict[str, Any]:  # noqa: ARG001
    """The encoder goes on learning, and changes for the old languages, too."""
    return {}


@method
def adapters(there: Recipe, language: str) -> dict[str, Any]:
    """The encoder stays as it is; small layers for the new language are added between its blocks."""
    return _added(there, language, {"kind": "bottleneck"})


@method
def low_rank(there: Recipe, language: str) -> dict[str, Any]:
    """The encoder stays as it is; a product of two small matrices for the new language is added to its attention."""
    return _added(there, language, {"kind": "low_rank"})


@method
def progressive(there: Recipe, language: str) -> dict[str, Any]:
    """The encoder stays as it is; a new one beside it listens to all of its layers."""
    return {"encoder": there.encoder.beside(list(there.languages), language)}


def finetuned(recipe: Recipe, minutes: float, added: Mapping[str, Any], asked: Mapping[str, Any]) -> Recipe:
    """The recipe of a run that learns a language from another one as the section `finetune` says.

    Args:
        recipe: The settings.
        minutes: Of the language's training speech.
        added: What a method sets, by dotted key; a new encoder among them is trained as one.
        asked: What is set besides, and counts for more.
    """
    own = recipe.overridden({key: asked[key] for key in asked if key.partition(".")[0] == "finetune"}).finetune
    planned = recipe.overridden({**own.schedule(minutes, new_encoder="encoder" in added), **added, **asked})
    if "training.learning_rate" in asked or not planned.training.unfreezing.leaves_encoder:
        return planned
    return planned.overridden({"training.learning_rate": own.learning_rate * own.frozen_factor})


def beside(num_languages: int, rehearse: float = 0.0) -> dict[str, Any]:
    """Settings of each of a trained run's languages while another is learnt: heard again, or left as they are.

    Args:
        num_languages: How many there are.
        rehearse: Share of the speech in batches that is of all of them together; 0 for none.
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
