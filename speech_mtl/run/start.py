"""Starts a network from a trained run: which weights it takes over, which are new, and which are left out."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speech_mtl.data.languages import find_language
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError, printable
from speech_mtl.models.heads import Part
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.contents import refuse_changed
from speech_mtl.run.folder import Run
from speech_mtl.run.output_rows import copy_rows, old_heads
from speech_mtl.run.weights import load_part, part_names, part_path, set_part
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.shared_phones import SHARED, SharedPhones
from speech_mtl.targets.target import LabelTarget, ScoredTarget, Target

KEPT, NEW, LEFT_OUT = "kept", "new", "left out"
COPIED = "copies of layers that the run shares"
NO_TASK, OTHER_HEAD = "the run has no such task", "the run's head is another"
MORE_PHONES = "the run has fewer phones"


@dataclass(frozen=True)
class PartOrigin:
    """Origin of a part of a network.

    Attributes:
        part: Its name; see `MultilingualModel.parts`.
        state: `kept`, `new` or `left out`.
        reason: Why it is not kept, or how.
        weights: Names of its weights, with their shapes.
        rows: Of a new output layer, the tokens whose rows are copied, each with the languages from whose output layers;
            None where copying was not asked for, or for what is no such layer.
    """

    part: str
    state: str
    reason: str
    weights: dict[str, tuple[int, ...]]
    rows: dict[str, tuple[str, ...]] | None = None

    def __str__(self) -> str:
        group, _, name = self.part.partition("/")
        shown = {"own": f"own layers of {name}", "heads": name, "tasks": name}.get(group, self.part)
        return f"{shown} {self.state}" + (f": {self.reason}" if self.reason else "") + self._shown_rows()

    def _shown_rows(self) -> str:
        if self.rows is None:
            return ""
        if not self.rows:
            return ", no rows copied, for layers below it are new"
        tokens = ", ".join("space" if token == " " else token for token in self.rows)
        return f", {len(self.rows):,} of {self.weights['bias'][0]:,} rows copied ({printable(tokens, 200)})"


def start_from(
    source: Run, recipe: Recipe, model: MultilingualModel, targets: Mapping[str, Target]
) -> list[PartOrigin]:
    """Sets a network's encoder to that of a trained run, and the heads whose vocabulary or labels are the same.

    With `training.copy_output_rows`, new output layers take over the rows of tokens that the run's have; that of shared
    phones always does.

    Raises:
        InputError: It is no run or has no weights, or its features or its encoder are others.
    """
    _refuse_unlike(source, recipe)
    folder, parts = source.best_folder(), model.parts()
    arrays = {name: load_part(part_path(folder, name)) for name in part_names(folder)}
    if "encoder" in arrays:  # the whole encoder of a run becomes the first part of one that has several
        arrays[next(iter(recipe.encoder.parts()))] = arrays.pop("encoder")
    copied = _copy_shared_layers(arrays, parts)
    reasons, there = dict(_reasons_for_new(source, recipe, model, targets)), source.recipe()
    new_parts, transcripts = recipe.encoder.new_parts(), targets[TRANSCRIPT]
    tokenizers = transcripts.tokenizers if isinstance(transcripts, Ctc) else {}
    may_be_new = (name for name in parts.keys() - arrays if name.startswith("own/") or name in new_parts)
    reasons |= {name: "the run has no such layers" for name in may_be_new if not _has_layers(there, name)}
    old_tokenizers = source.tokenizers()
    origins, rows = [], {}
    for language in tokenizers if recipe.training.copy_output_rows else ():
        if (name := f"heads/{language}") in reasons:
            place = _same_frames(there, recipe, reasons, language)
            others = {other: own for other, own in old_tokenizers.items() if there.encoder.tap_of(other) == place}
            heads = old_heads(folder, others, parts[name])
            rows[name] = copy_rows(parts[name], tokenizers[language].vocabulary, heads, language)
    rows |= _copy_phones(source, targets, {name: parts[name] for name in reasons if reasons[name] == MORE_PHONES})
    for name, part in parts.items():
        if name not in reasons:
            path = part_path(folder, name)
            set_part(part, arrays.get(name) or load_part(path), path)
        shapes = {key: tuple(variable.shape) for key, variable in part.items()}
        reason = reasons.get(name, COPIED if name in copied else "")
        origins.append(PartOrigin(name, NEW if name in reasons else KEPT, reason, shapes, rows.get(name)))
    for name in sorted(arrays.keys() - parts.keys()):
        shapes = {key: array.shape for key, array in arrays[name].items()}
        origins.append(PartOrigin(name, LEFT_OUT, "the recipe does not name it", shapes))
    refuse_changed(folder, source)
    return origins


def _copy_phones(
    source: Run, targets: Mapping[str, Target], new: Mapping[str, Part]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Sets the rows of new output layers for phones that a run has; returns their phones, as `copy_rows` does."""
    there, rows = source.targets(), {}
    for name, part in new.items():
        group = name.removesuffix(f"/{SHARED}")
        old, task = (of[group.partition("/")[2]] for of in (there, targets))
        if isinstance(old, SharedPhones) and isinstance(task, SharedPhones):
            heads = old_heads(source.best_folder(), old.tokenizers, part, group)
            rows[name] = copy_rows(part, task.vocabulary, heads, SHARED)
    return rows


def _same_frames(there: Recipe, recipe: Recipe, new: Container[str], language: str) -> str | None:
    """Where a run has frames like those that the output layer of a language gets; None where its layers are new.

    Adapters that are new do not matter: at first they change nothing.
    """
    tap = recipe.encoder.tap_of(language)
    place = next(i for i, one in enumerate(recipe.encoder.parts().items()) if one[1] == tap)
    if list(recipe.encoder.parts())[place] in new or (recipe.sharing.has_own and f"own/{language}" in new):
        return None
    return list(there.encoder.parts().values())[place]


def _has_layers(there: Recipe, part: str) -> bool:
    """Whether a run has a part by its recipe: if so, the file must be there."""
    group, _, name = part.partition("/")
    return name in there.languages_with_layers if group == "own" else part in there.encoder.parts()


def _copy_shared_layers(arrays: dict[str, dict[str, np.ndarray]], parts: Mapping[str, Part]) -> set[str]:
    """Gives each language the layers that are its own here and shared in the run; returns the parts that got some."""
    copied, used, there = set(), set(), arrays.get("encoder", {})
    for name, part in parts.items():
        group, _, language = name.partition("/")
        shared = {key: key.replace(f"/{language}/", "/", 1) for key in part}
        if group == "own" and name not in arrays and there.keys() >= set(shared.values()):
            arrays[name] = {key: there[other] for key, other in shared.items()}
            copied.add(name)
            used |= set(shared.values())
    left = {key: array for key, array in there.items() if key not in used}
    if used:
        arrays.pop("encoder")
        arrays |= {"encoder": left} if left else {}
    return copied


def _reasons_for_new(
    source: Run, recipe: Recipe, model: MultilingualModel, targets: Mapping[str, Target]
) -> Iterator[tuple[str, str]]:
    """The parts that are not taken over, and why."""
    there = source.targets()
    for name, target in targets.items():
        old, part = there.get(name), model.heads[name].path
        if isinstance(target, Ctc):
            same = old if isinstance(old, Ctc) and type(old) is type(target) else None
            for layer, tokenizer in target.tokenizers.items():
                if same is None:
                    yield f"{part}/{layer}", NO_TASK
                elif layer not in same.tokenizers:
                    _refuse_other_tag(source, same.tokenizers, layer)
                    yield f"{part}/{layer}", "the run has no such language"
                elif layer in recipe.languages and recipe.languages[layer].output_layer == "new":
                    yield f"{part}/{layer}", "the recipe asks for a new output layer"
                elif not target.by_language and same.tap_of[layer] != target.tap_of[layer]:
                    yield f"{part}/{layer}", OTHER_HEAD
                elif same.tokenizers[layer].vocabulary != tokenizer.vocabulary:
                    is_shared = isinstance(target, SharedPhones)
                    yield f"{part}/{layer}", MORE_PHONES if is_shared else "the run's vocabulary is another"
        elif isinstance(target, LabelTarget):
            if not isinstance(old, LabelTarget):
                yield part, NO_TASK
            elif old.to_json() != target.to_json():
                yield part, "the run's labels are others"
            elif (type(old), old.at, old.pooling) != (type(target), target.at, target.pooling):
                yield part, OTHER_HEAD


def _refuse_other_tag(source: Run, there: Mapping[str, Tokenizer], language: str) -> None:
    """Raises an InputError if the run has the language by a tag of another form."""
    if (other := find_language(language, there)) is not None:
        raise InputError(
            f"{source.path} has the language {language}, but calls it {other}",
            expected=f"languages.{other}",
            received=f"languages.{language}",
            action=f"call it {other} in the recipe, too, so that its output layer is found",
        )


def with_phones_of(source: Path | None, tasks: Mapping[str, ScoredTarget]) -> dict[str, ScoredTarget]:
    """Tasks with the phones that the run they start from has besides theirs."""
    there = Run(source).scored() if source is not None else {}
    pairs = {name: (task, there.get(name)) for name, task in tasks.items()}
    return {
        name: task.with_phones_of(old) if isinstance(task, SharedPhones) and isinstance(old, SharedPhones) else task
        for name, (task, old) in pairs.items()
    }


def kept_tokenizer(source: Path | None, there: Mapping[str, Tokenizer], language: str) -> Tokenizer:
    """The tokeniser of an output layer that is to be kept, of those that are `there`, in the run.

    Raises:
        InputError: The run has none for the language.
    """
    if language in there:
        return there[language]
    raise InputError(
        f"{source} has no output layer for the language {language!r}, which is to be kept",
        expected="one of " + ", ".join(there),
        received=f"languages.{language}, not trained or with output_layer: keep",
        action="leave the language out, or train a new output layer for it",
    )


def _refuse_unlike(source: Run, recipe: Recipe) -> None:
    if changed := source.recipe().unlike(recipe):
        raise InputError(
            f"{source.path} was trained with other settings: {', '.join(changed)}",
            expected="; ".join(f"{key}: {pair[0]}" for key, pair in changed.items()),
            received="; ".join(f"{key}: {pair[1]}" for key, pair in changed.items()),
            action=f"take these settings from {source.settings_path}, or train without init_from",
        )
