"""Settings -> objects. The only file that knows both."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import keras
import numpy as np

from speech_mtl.config import Recipe
from speech_mtl.data.batching import Ramp, TrainingPlan
from speech_mtl.data.examples import Examples
from speech_mtl.data.store import AudioLimits
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.models.augment import SpecAugment
from speech_mtl.models.encoders import ENCODERS
from speech_mtl.models.features import LogMel, MelFeatures
from speech_mtl.models.language_layers import LanguageParts
from speech_mtl.models.multitask import MultilingualModel
from speech_mtl.models.whisper import WhisperFeatures
from speech_mtl.settings import DataSettings, LowRankAdapterSettings, TrainingSettings
from speech_mtl.targets import LabelTarget
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.target import Target
from speech_mtl.training.combining import COMBININGS
from speech_mtl.training.gradients import make_combining_step, make_train_step
from speech_mtl.training.objective import Objective
from speech_mtl.training.optimizer import FlatAdamW
from speech_mtl.training.schedules import warmup_cooldown, warmup_cosine
from speech_mtl.training.step import TrainStep
from speech_mtl.training.unfreezing import UNFREEZINGS, Unfreezing
from speech_mtl.training.weighting import WEIGHTINGS, Weighting

FEATURES = {"log_mel": LogMel, "whisper": WhisperFeatures}
"""What makes features of waveforms, by the `kind` that recipes name it with."""


def build_targets(
    recipe: Recipe, tokenizers: Mapping[str, Tokenizer], labelled: Mapping[str, LabelTarget]
) -> dict[str, Target]:
    """All that a recipe's network predicts, by name; the transcripts come first."""
    taps = {language: recipe.encoder.tap_of(language) for language in tokenizers}
    targets: dict[str, Target] = {TRANSCRIPT: Ctc(TRANSCRIPT, tokenizers, at=taps)}
    for name, settings in recipe.tasks.items():
        placed = settings.model_dump(include={"at", "pooling"})
        targets[name] = labelled[name].placed(**placed) if name in labelled else Ctc(name, tokenizers, **placed)
    return targets


def build_model(recipe: Recipe, targets: Mapping[str, Target]) -> MultilingualModel:
    """The network of a recipe, with random weights that its seed decides.

    Args:
        recipe: The settings.
        targets: What is predicted.

    Raises:
        InputError: A public encoder cannot be loaded, or cannot encode utterances as long as the recipe allows.
    """
    keras.utils.set_random_seed(recipe.seed)
    random, languages = keras.random.SeedGenerator(recipe.seed), list(recipe.languages)
    settings = recipe.encoder.model_dump(exclude={"kind"})
    encoder = ENCODERS[recipe.encoder.kind](**settings, random=random, parts=_language_parts(recipe, languages))
    model = MultilingualModel(
        features=_features(recipe),
        augment=SpecAugment(**recipe.augment.spec_augment.model_dump(), random=random),
        encoder=encoder,
        heads={name: target.head(encoder.widths, languages) for name, target in targets.items()},
        random=random,
        languages=languages,
    )
    _refuse_longer_speech(recipe, model)
    return model


def _refuse_longer_speech(recipe: Recipe, model: MultilingualModel) -> None:
    """Of a public encoder, which has learnt so many positions and no more."""
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


def _features(recipe: Recipe) -> MelFeatures:
    return FEATURES[recipe.features.kind](recipe.data.sample_rate_hz, **recipe.features.model_dump(exclude={"kind"}))


def _language_parts(recipe: Recipe, languages: Sequence[str]) -> LanguageParts:
    sharing, adapters = recipe.sharing, recipe.adapters
    num_layers = recipe.encoder.num_layers
    num_bottom = {"middle": sharing.num_own, "nothing": num_layers + 1}.get(sharing.kind, 0)
    num_top = sharing.num_own if sharing.kind in ("bottom", "middle") else 0
    if adapters is None:
        return LanguageParts(languages, num_bottom, num_top)
    if isinstance(adapters, LowRankAdapterSettings):
        return LanguageParts(
            languages, low_rank=adapters.rank, low_rank_alpha=adapters.alpha, added_to=adapters.languages
        )
    return LanguageParts(languages, adapter_size=adapters.size, added_to=adapters.languages)


def build_weighting(recipe: Recipe, objective: Objective) -> Weighting:
    """The strategy that weighs the tasks.

    Raises:
        InputError: All weights are 0.
    """
    settings = recipe.weighting.model_dump(exclude={"kind"})
    return WEIGHTINGS[recipe.weighting.kind](objective, **settings, seed=recipe.seed)


def build_step(
    recipe: Recipe,
    model: MultilingualModel,
    optimizer: FlatAdamW,
    objective: Objective,
    weighting: Weighting,
    update: Callable[[], int],
) -> TrainStep:
    """The compiled step of a recipe's weighting and of its way to combine gradients; `update` tells which one it is."""
    if recipe.gradients is None:
        room = int(recipe.data.batch_s * recipe.data.sample_rate_hz)
        return make_train_step(model, optimizer, objective, weighting.watches_last_layer, room)
    settings = recipe.gradients.model_dump(exclude={"kind"})
    combining = COMBININGS[recipe.gradients.kind](**settings, seed=recipe.seed)
    return make_combining_step(model, optimizer, objective, lambda dots: combining.coefficients(dots, update()))


def build_unfreezing(model: MultilingualModel, settings: TrainingSettings) -> Unfreezing:
    """Which layers are trained, and when."""
    own = settings.unfreezing.model_dump(exclude={"kind"})
    return UNFREEZINGS[settings.unfreezing.kind](len(model.depths()), **own)


def build_optimizer(
    model: MultilingualModel, settings: TrainingSettings, languages: Collection[str] | None = None
) -> FlatAdamW:
    """The optimiser of the weights that training changes.

    Args:
        model: The network.
        settings: Among them, which layers are trained.
        languages: Those that are trained: what belongs to another one stays as it is. None: all.
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
    return FlatAdamW(
        variables,
        [groups[id(variable)] for variable in variables],
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


def build_plan(recipe: Recipe, examples: Mapping[int, Examples], end: int | None = None) -> TrainingPlan:
    """The training batches over the examples of all languages that are trained, by their place in the recipe.

    Args:
        recipe: The settings.
        examples: By language id.
        end: The update after which training ends; None: that of the settings.
    """
    data, augment = recipe.data, recipe.augment
    end = recipe.training.num_updates if end is None else end
    target = list(recipe.languages).index(str(recipe.target)) if data.ramp_to_target else 0
    shares = enumerate(settings.share for settings in recipe.languages.values())
    return TrainingPlan(
        {i: np.asarray(own.num_samples) / data.sample_rate_hz for i, own in examples.items()},
        batch_s=data.batch_s,
        alpha=data.alpha,
        seed=recipe.seed,
        speeds=augment.speeds,
        noise_probability=augment.noise_probability,
        noise_snr_db=augment.noise_snr_db,
        mixing=data.mixing,
        given_shares={i: share for i, share in shares if i in examples and share is not None},
        ramp=Ramp(target, end - recipe.training.cooldown, end) if data.ramp_to_target else None,
    )


def audio_limits(data: DataSettings) -> AudioLimits:
    """What audio is decoded to, and which lengths are accepted."""
    return AudioLimits(data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
