"""Ways to teach a trained network another language, as settings: of `finetune`, and of the arms of a comparison.

A method is a function of the trained run's recipe and the new language that returns settings by dotted key. To add one,
write such a function under `@method`; `tests/run/test_methods.py` finds it by itself.
"""

from collections.abc import Callable
from typing import Any

from speech_mtl.errors import InputError
from speech_mtl.settings.network import ProgressiveSettings
from speech_mtl.settings.recipe import Recipe

Method = Callable[[Recipe, str], dict[str, Any]]

FROZEN_RATE = 10.0
"""How many times as high the learning rate is where the encoder stays as it is: what is new is small and has far to go.

Evidence: `recipes/transfer/README.md`.
"""

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
    return {"encoder": ProgressiveSettings.beside(there.encoder, list(there.languages), language)}


def rate_factor(recipe: Recipe) -> float:
    """How many times as high the learning rate is for what a recipe trains as for a whole encoder."""
    return FROZEN_RATE if recipe.training.unfreezing.leaves_encoder else 1.0


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
