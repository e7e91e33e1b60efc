"""Networks that predict transcripts in made-up tokens, of which the sizes alone matter."""

from collections.abc import Mapping, Sequence

import numpy as np

from speech_mtl.data.tokenizer import of_size
from speech_mtl.datatypes import TRANSCRIPT, Tokens
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.target import LabelTarget, Target
from speech_mtl.training.objective import Objective


def transcripts(languages: Sequence[str] = ("aa", "bb")) -> Ctc:
    """The target of transcripts, each language in five tokens."""
    return Ctc(TRANSCRIPT, {name: of_size(5, name) for name in languages})


def targets_of(
    recipe: Recipe, num_tokens: Mapping[str, int], labelled: Mapping[str, LabelTarget] | None = None
) -> dict[str, Target]:
    """What a recipe's network predicts, by the size of each language's vocabulary."""
    return build_targets(recipe, {name: of_size(size, name) for name, size in num_tokens.items()}, labelled or {})


def model_of(
    recipe: Recipe, num_tokens: Mapping[str, int], labelled: Mapping[str, LabelTarget] | None = None
) -> MultilingualModel:
    """The network of a recipe for languages with vocabularies of these sizes, whatever the recipe's languages are."""
    if list(recipe.languages) != list(num_tokens):
        languages = {name: recipe.languages.get(name, {}) for name in num_tokens}
        recipe = recipe.overridden({"languages": languages, "target": None})
    return build_model(recipe, targets_of(recipe, num_tokens, labelled))


def objective_of(model: MultilingualModel, *labelled: LabelTarget) -> Objective:
    """The objective of such a network."""
    return Objective(model.languages, (transcripts(model.languages), *labelled))


def tokens(rows: Sequence[Sequence[int]] | np.ndarray, sizes: Sequence[int] | np.ndarray) -> dict[str, Tokens]:
    """`Batch.targets` of a batch of which the transcripts alone are known."""
    return {TRANSCRIPT: Tokens(np.array(rows, "int32"), np.array(sizes, "int32"))}
