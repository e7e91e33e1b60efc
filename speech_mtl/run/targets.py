"""Targets that are made of training speech: tokenisers of its transcripts, and those of its labels."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain

from speech_mtl.data.rules import Choices
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.run.speech import Split, training_utterances
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.tasks import LabelTaskSection
from speech_mtl.targets.target import ScoredTarget


def make_tokenizer(recipe: Recipe, split: Split) -> Tokenizer:
    """The tokeniser of a language, made from the transcripts that training uses and no others.

    Raises:
        InputError: No transcript is known.
    """
    return tokenizer_from(recipe, split.language, str(split.manifest), training_utterances(recipe, split))


def tokenizer_from(recipe: Recipe, language: str, source: str, utterances: Iterable[Utterance]) -> Tokenizer:
    """The tokeniser of a language, made from the transcripts of utterances; `source` is where they come from.

    Raises:
        InputError: No transcript is known.
    """
    settings = recipe.languages[language]
    texts = (utterance.text for utterance in utterances if utterance.text is not None)
    first = next(texts, None)
    if first is None:
        raise InputError(
            f"{source}: no utterance of {language} has a transcript",
            expected="at least one text that is not null",
            received="utterances without",
            action="add transcripts, or take the language out of the recipe",
        )
    made, choices = settings.tokenizer, Choices(**settings.text.model_dump())
    return made.member().from_texts(chain([first], texts), language, choices, **made.arguments())


def refuse_new_letters(recipe: Recipe, split: Split, tokenizer: Tokenizer) -> None:
    """Checks that a tokeniser made from other transcripts knows all letters of these.

    Raises:
        InputError: It does not; with the letters and in how many transcripts they are.
    """
    missing: Counter[str] = Counter()
    for utterance in training_utterances(recipe, split):
        missing.update(tokenizer.unknown(utterance.text or ""))
    if missing:
        raise InputError(
            f"{split.manifest}: the output layer that {split.language} keeps has no token for some letters",
            expected="letters among " + " ".join(tokenizer.vocabulary),
            received=", ".join(f"{letter!r} in {number} transcripts" for letter, number in missing.most_common()),
            action=f"make a new output layer: languages.{split.language}.output_layer=new, or --replace-head",
        )


def scored_from(recipe: Recipe, speech: Callable[[], Iterable[tuple[str, Utterance]]]) -> dict[str, ScoredTarget]:
    """The targets of a recipe that are scored, made from utterances and their languages, read for each of them.

    Raises:
        InputError: No utterance has a label for a task, or one has a label of another kind.
    """
    targets = {}
    for name, settings in recipe.scored.items():
        label = {"label": settings.label or name} if isinstance(settings, LabelTaskSection) else {}
        targets[name] = settings.member().from_speech(name, speech(), **label, **settings.arguments())
    return targets
