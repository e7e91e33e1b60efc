"""Makes the recipe that fine-tunes a trained run on a language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from speech_mtl.data.languages import find_language
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.run.methods import METHODS, beside, finetuned
from speech_mtl.run.speech import open_split
from speech_mtl.screen import Wrap, silent
from speech_mtl.settings.data import TokenizerSettings
from speech_mtl.settings.recipe import Recipe


@dataclass(frozen=True)
class NewLanguage:
    """A language that a run is fine-tuned on.

    Attributes:
        language: BCP 47 tag.
        manifests: By split, where its speech is; other splits lie in the `data.dir` of the run.
        tokenizer: Kind of its tokeniser. None: the run's own for a language that it has, else characters.
        method: How: one of `METHODS`.
        output_layer: What to do with one that the run has already: None refuses.
        rehearse: Fraction of the speech in batches from the run's other languages; 0 for none.
    """

    language: str
    manifests: Mapping[str, Path] = field(default_factory=dict)
    tokenizer: str | None = None
    method: str = "finetune"
    output_layer: str | None = None
    rehearse: float = 0.0


def finetuning_recipe(
    run: Run, new: NewLanguage, overrides: Mapping[str, Any] | None = None, wrap: Wrap = silent
) -> Recipe:
    """Makes the recipe that trains a language from a run's encoder and keeps the run's other languages.

    Training follows the section `finetune` of the run's settings, unless `overrides` change it.

    Raises:
        InputError: It is no trained run, has the language already, cannot learn it in this way, or the new speech
            cannot be read.
    """
    there = run.recipe()
    run.best_folder()
    method = METHODS[new.method]
    new = replace(new, language=find_language(new.language, there.languages) or new.language)
    _refuse_method(run, there, new)
    _refuse_unasked(run, new, list(there.languages))
    kind, added = _tokenizer_kind(run, new), method(there, new.language)
    others = {language: settings for language, settings in there.languages.items() if language != new.language}
    as_before = beside(len(others), new.rehearse)
    languages = {language: settings.model_dump(mode="json") | as_before for language, settings in others.items()}
    languages[new.language] = {
        "tokenizer": _tokenizer(there, new.language, kind),
        "manifests": {split: str(path) for split, path in new.manifests.items()},
        "output_layer": new.output_layer if new.language in there.languages else None,
    }
    asked = {
        "name": f"{there.name}-{new.language}",
        "target": new.language,
        "languages": languages,
        "tasks": {},
        "weighting": {},
        "gradients": None,
        "data.ramp_to_target": False,  # else rehearsal would end with the cooldown
        "init_from": str(run.path),
        **(overrides or {}),
    }
    recipe = finetuned(there, 0.0, added, asked)
    split = open_split(recipe, new.language, "train", wrap)
    minutes = float(split.store.num_samples[split.positions].sum()) / recipe.data.sample_rate_hz / 60
    return finetuned(there, minutes, added, asked)


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


def _tokenizer_kind(run: Run, new: NewLanguage) -> str:
    """Returns the kind that is asked for, or else that of the run for the language."""
    there = run.tokenizers().get(new.language)
    own = TokenizerSettings.usual().kind if there is None else TokenizerSettings.kind_of(there)
    if new.output_layer == "keep" and new.tokenizer not in (None, own):
        raise InputError(
            f"The output layer that {run.path} has for {new.language} is one of other tokens",
            expected=f"--tokenizer {own} with --keep-head",
            received=f"--tokenizer {new.tokenizer} --keep-head",
            action="leave --tokenizer out, or take --replace-head, which makes a new output layer",
        )
    return new.tokenizer or own


def _tokenizer(there: Recipe, language: str, kind: str) -> dict[str, Any]:
    """Settings of the tokeniser: those of the run for the language, if they are of the kind."""
    own = there.languages[language].tokenizer if language in there.languages else None
    return own.model_dump() if own is not None and own.kind == kind else {"kind": kind}


def _refuse_method(run: Run, there: Recipe, new: NewLanguage) -> None:
    """Refuses what columns cannot do: each language is in one of them, and only those of the last are trained."""
    if new.method == "progressive":
        _refuse_new_column(run, there, new)
    elif (trainable := there.encoder.trainable()) is not None:
        _refuse_in_columns(run, trainable, new)
    else:
        return
    if new.rehearse:
        raise InputError(
            f"Earlier columns stay as they are: no language of {run.path} is in the training speech",
            expected="no --rehearse: what earlier columns have learnt is not forgotten",
            received=f"--rehearse {new.rehearse:g} --method {new.method}",
            action="leave --rehearse out",
        )


def _refuse_new_column(run: Run, there: Recipe, new: NewLanguage) -> None:
    if new.language in there.languages:
        raise InputError(
            f"{run.path} has {new.language} already, and a column is for a new language",
            expected="a language other than " + ", ".join(there.languages),
            received=f"--language {new.language} --method progressive",
            action="leave --method out to train what is there",
        )
    if there.languages_with_layers:
        raise InputError(
            f"{run.path} has layers of each language's own, which a network of columns cannot have",
            expected="a run without adapters and with sharing.kind: whole_encoder",
            received="--method progressive",
            action="choose another --method",
        )


def _refuse_in_columns(run: Run, trained: Sequence[str], new: NewLanguage) -> None:
    if new.method == "finetune" and new.language in trained:
        return
    raise InputError(
        f"{run.path} is progressive: its columns learn no other language",
        expected="--method progressive for a new language, or one of the last column: " + ", ".join(trained),
        received=f"--language {new.language} --method {new.method}",
        action="--method progressive adds a column for a new language",
    )
