"""Makes examples from a language and a split of a recipe; functions are in the order of their use.

`run.targets` makes targets of the utterances before, `run.training_speech` batches of the examples.

open_split         manifest -> index, written once -> decoded audio -> the utterances within the budget
training_examples  utterances -> examples: what is known of each, encoded for each target
open_augmentations folders of noise and rooms -> what is done to waveforms in training
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speech_mtl.data.audio import change_speed
from speech_mtl.data.audio_folder import open_folder
from speech_mtl.data.augmentation import WaveformAugmentation
from speech_mtl.data.corrupted import LabelMasking, with_noise, with_shuffled_transcripts
from speech_mtl.data.examples import Examples, Reading, load_examples
from speech_mtl.data.feature_cache import FeatureCache
from speech_mtl.data.index import Manifest, open_manifest
from speech_mtl.data.languages import is_form_of
from speech_mtl.data.manifest import line_name
from speech_mtl.data.reading import ReadExamples, ReadWaveforms
from speech_mtl.data.sampling import parts_to_decode, within_budget
from speech_mtl.data.store import AudioLimits, Waveforms, WaveformStore, open_store, refuse_many
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.errors import InputError
from speech_mtl.models.features import Features
from speech_mtl.models.frozen import FrozenFeatures
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.run.build import audio_limits
from speech_mtl.screen import Wrap, silent
from speech_mtl.settings.data import FolderAugmentationSettings, WaveformAugmentationSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import Target


@dataclass(frozen=True)
class Split:
    """One manifest of a recipe, and its audio.

    Attributes:
        language: BCP 47 tag.
        split: `train`, `dev` or `test`.
        manifest: The index of its utterances.
        store: Its audio.
        positions: The utterances that are used: all usable ones, or those within the language's budget; and those
            that are used without their transcripts.
        hidden: The latter by id, with what is learnt in place of the transcript: a pseudo-label, or None for nothing.
    """

    language: str
    split: str
    manifest: Manifest
    store: Waveforms
    positions: np.ndarray
    hidden: Mapping[str, str | None] = field(default_factory=dict)

    def utterances(self) -> Iterator[Utterance]:
        """The used utterances, as training may see them."""
        return map(self.shown, self.manifest.at(self.positions))

    def shown(self, utterance: Utterance) -> Utterance:
        """The utterance as training may see it."""
        return replace(utterance, text=self.hidden[utterance.id]) if utterance.id in self.hidden else utterance


class SpeechKey(NamedTuple):
    """All that decides which utterances of a language's split a run uses.

    Attributes:
        drawn: Smaller amounts are parts of larger ones where this is the same: accepted audio, and seed of the subsets.
    """

    language: str
    split: str
    manifest: Path
    drawn: tuple[AudioLimits, bool, int]
    budget_s: float | None
    untranscribed_s: float | None


def speech_key(recipe: Recipe, language: str, split: str) -> SpeechKey:
    """The key of what `open_split` opens."""
    drawn = audio_limits(recipe.data), recipe.data.decode_once, recipe.data.subset_seed
    amounts = recipe.budget_s(language, split), recipe.untranscribed_s(language, split)
    return SpeechKey(language, split, recipe.manifest(language, split), drawn, *amounts)


def open_split(recipe: Recipe, language: str, split: str, wrap: Wrap = silent) -> Split:
    """Opens a split of a recipe's language, and decodes its audio if that has not been done yet.

    With `data.decode_once` off, training speech is not decoded, and a budget is of seconds by the manifest.

    Raises:
        InputError: There is no such manifest, or it is broken or of another language, or too much of its audio cannot
            be used, or the budget is more than there is or less than one utterance.
    """
    manifest = open_manifest(recipe.manifest(language, split), recipe.data.cache_dir)
    _refuse_other_languages(recipe, language, manifest)
    budget_s = recipe.budget_s(language, split)
    more_s = recipe.untranscribed_s(language, split)
    if split == "train" and not recipe.data.decode_once:
        store = ReadWaveforms(manifest, audio_limits(recipe.data))
        refuse_many(manifest, list(store.skipped.values()), len(manifest), recipe.data.allow_skipped)
    else:
        store = _decoded(recipe, f"{language}-{split}", manifest, budget_s, more_s, wrap)
    seconds = store.num_samples / recipe.data.sample_rate_hz
    if budget_s is not None:  # a budget is of transcribed speech
        seconds *= manifest.transcribed
    positions = within_budget(seconds, budget_s, recipe.data.subset_seed, str(manifest))
    if budget_s is not None and len(positions) == 0:
        raise InputError(
            f"A budget of {budget_s:g} seconds of {language} holds no utterance of {manifest}",
            expected="a budget as long as the first utterance drawn, or longer",
            received=f"languages.{language}.budget_s: {budget_s:g}",
            action="raise budget_s, or compare.budgets_min in a comparison",
        )
    if more_s == 0:
        return Split(language, split, manifest, store, positions)
    return _with_untranscribed(recipe, Split(language, split, manifest, store, positions), more_s)


def _with_untranscribed(recipe: Recipe, split: Split, more_s: float | None) -> Split:
    """Adds so many seconds of untranscribed speech: lines without a text, and those beyond the budget.

    Raises:
        InputError: There is less.
    """
    transcribed = split.positions[split.manifest.transcribed[split.positions]]
    data = recipe.data
    seconds = split.store.num_samples / data.sample_rate_hz
    seconds[transcribed] = 0
    more = within_budget(seconds, more_s, data.subset_seed, str(split.manifest))
    if len(more) == 0:
        raise InputError(
            f"{split.manifest} has no untranscribed speech for pseudo-labels",
            expected=f"lines whose text is null, or speech beyond languages.{split.language}.budget_s",
            received=f"{len(transcribed)} utterances, all of them used with their transcripts",
            action="add untranscribed speech to the manifest, or lower the budget, or train without pseudo_labels",
        )
    hidden = {utterance.id: None for utterance in split.manifest.at(more)}
    return replace(split, positions=np.union1d(transcribed, more), hidden=hidden)


def _refuse_other_languages(recipe: Recipe, language: str, manifest: Manifest) -> None:
    for other, position in manifest.languages.items():
        if error := other_language(recipe, language, other, line_name(manifest.path, position)):
            raise error


def other_language(recipe: Recipe, language: str, other: str, where: str) -> InputError | None:
    """The error to raise at a line that names another language than a recipe does; None if it is the same one."""
    if other in recipe.languages[language].manifest_languages or is_form_of(other, language):
        return None
    return InputError(
        f"{where}: the language is another than that of the recipe",
        expected=language,
        received=other,
        action=f"make the manifest with --language, or allow it by languages.{language}.manifest_languages=[{other}]",
    )


def _decoded(
    recipe: Recipe, name: str, manifest: Manifest, budget_s: float | None, more_s: float | None, wrap: Wrap
) -> Waveforms:
    """The decoded audio of a manifest: all of it, or as much as a budget and untranscribed speech besides need."""
    data = recipe.data

    def progress(positions: Iterable[int]) -> Iterable[int]:
        return wrap(positions, f"Decoding {name}")

    def decoded(part: np.ndarray | None = None) -> WaveformStore:
        store = open_store(data.cache_dir, name, manifest, audio_limits(data), data.num_threads, progress, part)
        num_read = len(manifest if part is None else part)
        refuse_many(manifest, list(store.skipped.values()), num_read, data.allow_skipped)
        return store

    if budget_s is None or more_s is None:
        return decoded()
    for part in parts_to_decode(manifest.durations_s, manifest.transcribed, budget_s, more_s, data.subset_seed):
        store = decoded(part)
        seconds = store.num_samples / data.sample_rate_hz
        if seconds.sum() >= budget_s + more_s and seconds[manifest.transcribed].sum() >= budget_s:
            return store
    return decoded()


def training_utterances(recipe: Recipe, split: Split) -> Iterator[Utterance]:
    """The utterances that training uses, with the labels that it uses."""
    return map(label_masking(recipe, split.language), split.utterances())


def label_masking(recipe: Recipe, language: str) -> LabelMasking:
    """Makes the mask that decides which labels of a language's training speech count as unknown."""
    kept = {task.label or name: task.keep_labels for name, task in recipe.labelled.items()}
    kept |= {TRANSCRIPT: recipe.languages[language].keep_transcripts}
    return LabelMasking(kept, recipe.data.subset_seed)


def training_reading(recipe: Recipe, language: str, targets: Mapping[str, Target], model: MultilingualModel) -> Reading:
    """How the transcripts and labels of a language's training speech are read."""
    return Reading(
        language,
        tuple(targets.values()),
        model.num_encoder_frames,
        model.frame_times_s,
        complete=recipe.data.require_all_labels,
        min_speed_samples=1.0 / max(recipe.augment.speeds),
        allow_skipped=recipe.data.allow_skipped,
    )


def training_examples(
    recipe: Recipe, split: Split, targets: Mapping[str, Target], model: MultilingualModel, wrap: Wrap = silent
) -> Examples:
    """The examples of a language's training split; in a control, with corrupted audio or transcripts.

    With `data.decode_once` off, nothing of them is read yet.

    Raises:
        InputError: More utterances than `data.allow_skipped` cannot be used, or nothing is known of any.
    """
    data, masking = recipe.data, label_masking(recipe, split.language)
    reading = training_reading(recipe, split.language, targets, model)
    reading = replace(reading, masking=lambda utterance: masking(split.shown(utterance)))
    if isinstance(split.store, ReadWaveforms):
        return ReadExamples(split.store, split.positions, reading)
    examples = load_examples(split.manifest, split.store, split.positions, reading)
    examples = with_features(recipe, split, examples, model.features, recipe.augment.speeds, wrap)
    control = recipe.languages[split.language].replace
    if control == "noise":
        return with_noise(examples)
    if control == "shuffled_transcripts":
        return with_shuffled_transcripts(split.manifest, examples, reading, data.subset_seed)
    return examples


def with_features(
    recipe: Recipe,
    split: Split,
    examples: Examples,
    features: Features,
    speeds: Sequence[float] = (1.0,),
    wrap: Wrap = silent,
) -> Examples:
    """The examples with features that are made outside of the network, if its features are; the missing ones are made.

    Raises:
        InputError: The model that makes them cannot be loaded, or a package is missing.
    """
    if not isinstance(features, FrozenFeatures):
        return examples
    cache, store = FeatureCache(recipe.data.cache_dir / f"frozen-{features.digest()}"), split.store

    def key(position: int, speed: float) -> str:
        return f"{store.digests[position]:016x}-{store.num_samples[position]}-{speed:g}"

    def read(position: int, speed: float) -> Callable[[], np.ndarray]:
        return lambda: change_speed(store[position], speed)

    pairs = [(int(position), speed) for speed in speeds for position in examples.positions]
    wanted = {key(*pair): read(*pair) for pair in pairs}
    title = f"Features of {split.language}-{split.split}"
    cache.fill(list(wanted.items()), features.prepare, lambda missing: wrap(missing, title))
    return replace(examples, made=lambda position, speed: cache[key(position, speed)], num_inputs=features.num_inputs)


def open_augmentations(recipe: Recipe, wrap: Wrap = silent) -> dict[str, WaveformAugmentation]:
    """The augmentations of a recipe's waveforms, by their names; decodes their recordings if that has not been done.

    Raises:
        InputError: A folder cannot be used, or a codec is not there.
    """
    return {name: open_augmentation(recipe, settings, wrap) for name, settings in recipe.augment.waveform.items()}


def open_augmentation(recipe: Recipe, settings: WaveformAugmentationSettings, wrap: Wrap) -> WaveformAugmentation:
    """One of them; see `open_augmentations`."""
    data, more = recipe.data, {}
    if isinstance(settings, FolderAugmentationSettings):
        limits = AudioLimits(data.sample_rate_hz, *settings.member().DURATIONS_S)
        more["recordings"] = open_folder(
            *(settings.dir, data.cache_dir, limits, data.allow_skipped, data.num_threads),
            lambda positions: wrap(positions, f"Decoding {settings.dir}"),
        )
    return settings.make(sample_rate_hz=data.sample_rate_hz, **more)
