"""Builds objects from settings. The only module that knows both."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np

from speech_mtl.backend import compile_step, compile_surgery_step, uses_xla
from speech_mtl.backend.step import Limits, TrainStep
from speech_mtl.data.sampling import Ramp, TrainingPlan
from speech_mtl.data.store import AudioLimits
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.decoding.decoder import Decoder
from speech_mtl.errors import InputError
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.settings.data import DataSettings
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.dotted import COMMAND_LINE, parsed_overrides
from speech_mtl.settings.recipe import Recipe
from speech_mtl.settings.training import TrainingSettings
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.target import ScoredTarget, Target
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatOptimizer
from speech_mtl.training.schedules import warmup_cooldown, warmup_cosine
from speech_mtl.training.state import TrainState
from speech_mtl.training.unfreezing import Unfreezing


def build_targets(
    recipe: Recipe, tokenizers: Mapping[str, Tokenizer], scored: Mapping[str, ScoredTarget]
) -> dict[str, Target]:
    """All that a recipe's network predicts, by name; the transcripts come first."""
    targets: dict[str, Target] = {TRANSCRIPT: transcript_target(recipe, tokenizers)}
    for name, settings in recipe.tasks.items():
        placed = settings.placed()
        targets[name] = scored[name].placed(**placed) if name in scored else Ctc(name, tokenizers, **placed)
    return targets


def transcript_target(recipe: Recipe, tokenizers: Mapping[str, Tokenizer]) -> Ctc:
    """The transcripts, with an output layer for each language."""
    return Ctc(TRANSCRIPT, tokenizers, at={language: recipe.encoder.tap_of(language) for language in tokenizers})


def build_model(recipe: Recipe, targets: Mapping[str, Target], trained: bool = False) -> MultilingualModel:
    """The network of a recipe, with random weights that its seed decides.

    Args:
        trained: Whether it is trained: with the precision and the memory of `recipe.training`. Its weights are the
            same.

    Raises:
        InputError: A public encoder cannot be loaded, or cannot encode utterances as long as the recipe allows.
    """
    keras.utils.set_random_seed(recipe.seed)
    random, languages = keras.random.SeedGenerator(recipe.seed), list(recipe.languages)
    own = recipe.sharing.own(recipe.encoder.num_layers)
    parts = recipe.adapters.make(languages=languages) if recipe.adapters else LanguageParts(languages, *own)
    with _computing_in(recipe.training.precision if trained else "float32"):
        encoder = recipe.encoder.make(random=random, parts=parts)
    encoder.recompute = trained and recipe.training.recompute
    model = MultilingualModel(
        features=recipe.features.make(sample_rate_hz=recipe.data.sample_rate_hz),
        augment=SpecAugment(**recipe.augment.spec_augment.model_dump(), random=random),
        encoder=encoder,
        heads={name: target.head(encoder.widths, languages) for name, target in targets.items()},
        random=random,
        languages=languages,
    )
    _refuse_longer_speech(recipe, model)
    return model


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Layers that are made in the block compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _refuse_longer_speech(recipe: Recipe, model: MultilingualModel) -> None:
    """Refuses recipes whose utterances exceed the positions that a public encoder was trained with."""
    most, data = model.encoder.max_frames, recipe.data
    longest_s = data.max_duration_s / min(1.0, *recipe.augment.speeds)
    if most is None or model.num_encoder_frames(int(longest_s * data.sample_rate_hz)) <= most:
        return
    raise InputError(
        f"The encoder cannot encode utterances of {data.max_duration_s:g} s, at the slowest {longest_s:.3g} s",
        expected=f"at most {most} encoder frames",
        received=f"data.max_duration_s: {data.max_duration_s:g}, augment.speeds: {list(recipe.augment.speeds)}",
        action="lower data.max_duration_s",
    )


def build_step(recipe: Recipe, state: TrainState, objective: Objective, limits: Limits) -> TrainStep:
    """The compiled step of a recipe's weighting and of its way to combine gradients."""
    model, optimizer = state.model, state.optimizer
    if recipe.gradients is None:
        watched = model.encoder.last_layer.trainable_variables if state.weighting.watches_last_layer else ()
        return compile_step(model, optimizer, objective, watched, limits)
    surgery = recipe.gradients.make(seed=recipe.seed)
    return compile_surgery_step(model, optimizer, objective, surgery.coefficients, limits)


def refuse_backend(recipe: Recipe) -> None:
    """Refuses settings that the Keras backend at hand does not have."""
    if recipe.training.recompute and not uses_xla():
        raise InputError(
            "training.recompute needs the Keras backend jax",
            expected="KERAS_BACKEND=jax",
            received=f"KERAS_BACKEND={keras.backend.backend()}",
            action="set the environment variable KERAS_BACKEND=jax; or set training.recompute=false, and "
            "training.part_s to fewer seconds where a batch is too large",
        )


def step_limits(
    recipe: Recipe, lengths_s: Sequence[float] = (), num_inputs: Callable[[int], int] = int, num_tokens: int = 0
) -> Limits:
    """What limits the memory of a recipe's step.

    Args:
        lengths_s: To which batches are padded, if to few.
        num_inputs: Samples -> numbers that the network gets.
        num_tokens: Of the longest sequence, if known.
    """
    data, part_s = recipe.data, recipe.training.part_s
    return Limits.of_seconds(data.sample_rate_hz, num_inputs, data.batch_s, part_s, lengths_s, num_tokens)


def build_unfreezing(model: MultilingualModel, settings: TrainingSettings) -> Unfreezing:
    """Makes the schedule that decides which layers are trained, and when."""
    return settings.unfreezing.make(num_depths=len(model.depths()))


def build_optimizer(
    model: MultilingualModel, settings: TrainingSettings, languages: Collection[str] | None = None
) -> FlatOptimizer:
    """The optimiser of the weights that training changes.

    What belongs to languages other than these stays as it is; None: all are trained.
    """
    unfreezing = build_unfreezing(model, settings)
    others = [] if languages is None else [language for language in model.languages if language not in languages]
    left = {id(variable) for language in others for variable in model.weights_of(language)}
    groups = {
        id(variable): group
        for depth, variables in enumerate(model.depths())
        if (group := unfreezing.group(depth)) is not None
        for variable in variables
        if id(variable) not in left
    }
    variables = [variable for variable in model.trainable_variables if id(variable) in groups]
    return settings.optimizer.make(
        variables=variables,
        groups=[groups[id(variable)] for variable in variables],
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        average_decay=settings.average_decay,
    )


def build_schedule(settings: TrainingSettings, unfreezing: Unfreezing) -> Callable[[int, int], np.ndarray]:
    """The learning rates of the groups of weights, by update and by the update after which training ends."""
    ends = {"peak": settings.learning_rate, "final": settings.final_learning_rate, "warmup_updates": settings.warmup}
    if settings.cooldown:
        rate = partial(warmup_cooldown, **ends, cooldown_updates=settings.cooldown)
        return lambda update, end: rate(update, num_updates=end) * unfreezing.factors(update)
    rate = partial(warmup_cosine, **ends, num_updates=settings.num_updates)
    return lambda update, _: rate(update) * unfreezing.factors(update)


def build_plan(
    recipe: Recipe, durations_s: Mapping[int, np.ndarray], end: int | None = None, lengths_s: tuple[float, ...] = ()
) -> TrainingPlan:
    """The training batches over the examples of all languages that are trained, by their place in the recipe.

    Durations are those of the manifests, which are known before audio is read. `end` is the update after which training
    ends; None: that of the settings. For `lengths_s` see `TrainingPlan`.
    """
    data, augment = recipe.data, recipe.augment
    end = recipe.training.num_updates if end is None else end
    target = list(recipe.languages).index(str(recipe.target)) if data.ramp_to_target else 0
    shares = enumerate(settings.share for settings in recipe.languages.values())
    return TrainingPlan(
        durations_s,
        batch_s=data.batch_s,
        alpha=data.alpha,
        seed=recipe.seed,
        speeds=augment.speeds,
        noise_probability=augment.noise_probability,
        noise_snr_db=augment.noise_snr_db,
        mixing=data.mixing,
        given_fractions={i: share for i, share in shares if i in durations_s and share is not None},
        ramp=Ramp(target, end - recipe.training.cooldown, end) if data.ramp_to_target else None,
        lengths_s=lengths_s,
    )


def build_decoder(
    settings: DecodingSettings, given: Callable[[str], Mapping[str, Any]] = lambda _: {}
) -> Callable[[Sequence[str], str], Decoder]:
    """Makes the decoder of a language from its vocabulary and its tag.

    Args:
        given: What the decoder of a language takes besides, or in place of some of them, by argument.
    """
    return lambda vocabulary, language: settings.member()(
        vocabulary=vocabulary, language=language, **{**settings.arguments(), **given(language)}
    )


def decoding_with(recipe: Recipe, overrides: Sequence[str]) -> DecodingSettings:
    """How the run of a recipe decodes, with changes as they are typed, `decoding.key=value`.

    Raises:
        InputError: A change is not right, or is one of another setting, which a trained run cannot change.
    """
    changes = parsed_overrides(overrides)
    if others := [key for key in changes if key.partition(".")[0] != "decoding"]:
        raise InputError(
            f"{others[0]} cannot be changed for a trained run",
            expected="a setting of decoding, such as decoding.kind=greedy",
            received=f"--set {others[0]}",
            action="`speech-mtl settings decoding` lists them; train another run to change others",
        )
    former = recipe.decoding.kind
    if (kind := changes.get("decoding.kind", former)) != former:
        changes = {"decoding": {"kind": kind}, **changes}  # the former kind's settings are not this one's
    return recipe.overridden(changes, COMMAND_LINE).decoding


def audio_limits(data: DataSettings) -> AudioLimits:
    """Returns the format that audio is decoded to, and the accepted lengths."""
    return AudioLimits(data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
