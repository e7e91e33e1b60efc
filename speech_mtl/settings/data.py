"""Settings of the data: languages, where their speech lies, how it is batched and augmented."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from speech_mtl.datatypes import LatinWords, Numerals
from speech_mtl.settings.features import MelSettings
from speech_mtl.settings.section import (
    WHOLE,
    Few,
    FilePath,
    Fraction,
    Kept,
    Kinds,
    Name,
    Positive,
    Proportion,
    Seconds,
    Section,
    Seed,
    Switch,
    Word,
)

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


class TokenizerSettings(Kinds):
    """Settings of a tokeniser."""


Character = TokenizerSettings.plain("character", "data.tokenizer:CharacterTokenizer")
Pinyin = TokenizerSettings.plain("pinyin", "data.pinyin:PinyinTokenizer")
SyllableParts = TokenizerSettings.plain("syllable_parts", "data.syllables:SyllablePartsTokenizer")
PinyinParts = TokenizerSettings.plain("pinyin_parts", "data.pinyin:PinyinPartsTokenizer")


class SubwordSection(TokenizerSettings):
    """Units that are parts of words; see `data.subwords`."""

    size: Annotated[int, Field(strict=True, ge=2, le=8192), WHOLE] = 200
    """Most tokens, the blank and all letters included."""


Bpe = SubwordSection.plain("bpe", "data.subwords:BpeTokenizer")
Unigram = SubwordSection.plain("unigram", "data.subwords:UnigramTokenizer")


class PhonesSettings(TokenizerSettings, kind="phones", makes="data.phone_units:PhoneTokenizer"):
    """Phones of the IPA, and a lexicon that gives back the words; see `data.phone_units`."""

    lexicon: FilePath | None = None
    """File of lines `word<TAB>phones` with spaces between phones. None: espeak-ng reads the words."""
    words: FilePath | None = None
    """Text in UTF-8 whose words can be recognised besides those of the training transcripts (and of the lexicon)."""


class TextSettings(Section):
    """What is done with parts of transcripts that may have been written for readers; see `data.rules.Choices`."""

    numerals: Numerals = "spell"
    """Numbers in digits: spelt as words (utterances whose numbers cannot be, or be read in several ways, are skipped
    and counted), kept as digits, or their utterances skipped."""
    latin_words: LatinWords = "keep"
    """Words in Latin letters in a language of another script: kept in lower case, dropped, or their utterances
    skipped."""


class PseudoLabelFilter(Section):
    """Which pseudo-labels are learnt from; see `run.pseudo_labels`."""

    keep: Kept = 0.8
    """Fraction of those that pass the other filters: the most confident ones."""
    min_confidence: Fraction = 0.0
    """Least mean confidence of an utterance's words."""
    rate_range: tuple[Positive, Positive] = (0.5, 2.0)
    """Letters a second, as multiples of the median of the transcribed speech: fewer or more are taken for mistakes."""

    @field_validator("rate_range")
    @classmethod
    def _rates_rise(cls, ends):
        if not ends[0] < ends[1]:
            raise ValueError("the lower end of the range, then the higher one")
        return ends


class PseudoLabelSettings(PseudoLabelFilter):
    """Learning from untranscribed speech: a teacher's hypotheses stand in for its transcripts."""

    teacher: FilePath
    """The run that transcribes it."""
    untranscribed_s: Seconds | None = None
    """Seconds of untranscribed speech to use: what is beyond `budget_s`, and lines without a text. None: all."""


class LanguageSettings(Section):
    """One language of a recipe. Its manifests are `data.dir/LANGUAGE/{train,dev,test}.jsonl`."""

    tokenizer: TokenizerSettings = TokenizerSettings.usual()
    """Units of transcripts: characters, parts of syllables or of words, phones, or pinyin for Mandarin, in letters or
    parts."""
    text: TextSettings = TextSettings()
    """Normalisation of transcripts."""
    budget_s: Seconds | None = None
    """Seconds of transcribed training speech to use; a smaller budget is part of a larger one. None: all there is."""
    replace: Literal["noise", "shuffled_transcripts"] | None = None
    """A control: noise in place of training audio, or transcripts of other utterances; see `data.corrupted`.

    Dev and test speech and the vocabulary stay as they are. None: true speech with its own transcripts.
    """
    keep_transcripts: Kept = 1.0
    """Fraction of the training transcripts that training uses, chosen at random; the others count as unknown."""
    manifests: dict[Literal["train", "dev", "test"], FilePath] = {}
    """By split, manifests that lie elsewhere than in `data.dir/LANGUAGE/`."""
    manifest_languages: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    """Other languages that the lines of its manifests may name: the speech counts as this one all the same."""
    pseudo_labels: PseudoLabelSettings | None = None
    """Learn from the rest of the training speech, too, without its transcripts. None: only from what is transcribed."""
    train: Switch = True
    """Whether training uses its speech. If not, its output layer stays as it is in the run of `init_from`."""
    output_layer: Literal["keep", "new"] | None = None
    """Whether its output layer is initialised from that of `init_from`, with that vocabulary, or is a new
    one. None: keep it if the training transcripts give the same vocabulary."""
    share: Kept | None = None
    """Fraction of the speech in batches. None: part of the rest, in proportion to (amount) ** `data.alpha`."""

    @model_validator(mode="after")
    def _transcripts_are_hidden_once(self):
        if self.pseudo_labels is not None and self.keep_transcripts < 1:
            raise ValueError("pseudo_labels and keep_transcripts both hide transcripts: set keep_transcripts to 1")
        return self


class DataSettings(Section):
    """Sources of speech, and batching."""

    dir: FilePath
    """Folder of manifests; relative to the folder in which the command runs."""
    cache_dir: FilePath = Path("runs/cache")
    """Decoded audio is kept here, 16-bit and at `sample_rate_hz`: about 115 MB an hour."""
    decode_once: Switch = True
    """Decode training speech once, before training. If not, an utterance is read and decoded whenever a batch needs it,
    which takes no disk: see `data.reading`, and which audio is used is then decided by the durations of manifests."""
    sample_rate_hz: Annotated[int, Field(strict=True, ge=8000, le=48_000), WHOLE] = 16_000
    """Speech of another rate is resampled to it."""
    min_duration_s: Annotated[float, Field(strict=True, ge=1e-3, le=3600)] = 0.1
    """Shorter utterances are skipped, and counted."""
    max_duration_s: Annotated[float, Field(strict=True, ge=1e-3, le=3600)] = 30.0
    """Longer utterances are skipped, and counted."""
    allow_skipped: Proportion = 0.01
    """Largest fraction of a manifest's utterances that may be unusable."""
    allow_leaks: Fraction = 0.01
    """Largest fraction of a dev or test split whose audio may be in training; see `run.held_out`."""
    batch_s: Annotated[float, Field(strict=True, ge=1e-3, le=1e5)] = 60.0
    """Seconds of speech in a batch, padding included."""
    alpha: Fraction = 0.5
    """Languages are sampled in proportion to (amount of training speech) ** alpha: 1 as it comes, 0 all alike."""
    mixing: Literal["by_length", "every_language"] = "by_length"
    """Whether a batch has utterances of similar length, or a part of every language; see `data.mixing.MIXINGS`."""
    ramp_to_target: Switch = False
    """Whether the target's fraction of the speech rises to 1 over `training.cooldown_updates`."""
    subset_seed: Seed = 0
    """Which utterances make up a budget, and which labels are kept; not the seed of a run, so that runs compare."""
    require_all_labels: Switch = False
    """Leave out training utterances of which the transcript or any task's label is unknown."""
    num_threads: Annotated[int, Field(strict=True, ge=1, le=256), WHOLE] = 2
    """Threads that prepare batches."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """A rising fraction needs a target and an end; some settings need all audio or labels before training."""
        if not self.decode_once:
            self._refuse_unread(recipe)
        if not self.ramp_to_target:
            return
        if recipe.target not in recipe.trained_languages:
            raise ValueError("data.ramp_to_target needs a target that is a language, and trained")
        cooldown, num_updates = recipe.training.cooldown, recipe.training.num_updates
        if not 0 < cooldown <= num_updates:
            raise ValueError(
                "data.ramp_to_target needs training.cooldown_updates, over which the fraction rises: 1 to "
                f"training.num_updates = {num_updates}, not {cooldown}"
            )

    def _refuse_unread(self, recipe: "Recipe") -> None:
        own = recipe.languages.items()
        needing = {
            "data.require_all_labels": self.require_all_labels,
            **{f"languages.{name}.replace": one.replace is not None for name, one in own},
            **{f"languages.{name}.keep_transcripts": one.keep_transcripts < 1 for name, one in own},
            **{f"languages.{name}.pseudo_labels": one.pseudo_labels is not None for name, one in own},
        }
        if found := [name for name, needs in needing.items() if needs]:
            raise ValueError(f"data.decode_once must be true: {found[0]} needs audio or labels before training")

    @model_validator(mode="after")
    def _durations_rise(self):
        if not self.min_duration_s < self.max_duration_s:
            raise ValueError(f"data.min_duration_s must be less than data.max_duration_s = {self.max_duration_s:g}")
        return self


class SpecAugmentSettings(Section):
    """See `models.augment.SpecAugment`.

    Off unless masks are asked for: small networks learn more slowly with masks over bands, and no better.
    """

    num_time_masks: Few = 0
    """Parts of an utterance that are blanked."""
    max_time_share: Proportion = 0.1
    """Longest mask, as a fraction of the utterance."""
    num_frequency_masks: Few = 0
    """Ranges of bands that are blanked."""
    max_mels: Few = 20
    """Widest mask, in bands."""


def _rises(ends):
    if not ends[0] <= ends[1]:
        raise ValueError("the lower end of the range, then the higher one")
    return ends


Speed = Annotated[float, Field(strict=True, ge=0.5, le=2)]
Decibels = Annotated[float, Field(strict=True, ge=-50, le=100)]
DecibelRange = Annotated[tuple[Decibels, Decibels], AfterValidator(_rises)]
Number = Annotated[int, Field(strict=True, ge=1, le=100), WHOLE]


class WaveformAugmentationSettings(Kinds):
    """An augmentation of waveforms; see `data.augmentation`."""

    probability: Fraction
    """Fraction of utterances that get it."""


class FolderAugmentationSettings(WaveformAugmentationSettings):
    """An augmentation that needs recordings."""

    dir: FilePath
    """Folder of recordings, in folders inside it, too; relative to the folder in which the command runs."""

    def arguments(self) -> dict[str, Any]:
        return self.model_dump(exclude={"kind", "dir"})


class NoiseSettings(FolderAugmentationSettings, kind="noise", makes="data.augmentation:Noise"):
    """Recorded noise; see `data.augmentation.Noise`."""

    snr_db: DecibelRange = (5.0, 20.0)
    """Range of the signal-to-noise ratio."""
    num_stretches: Annotated[tuple[Number, Number], AfterValidator(_rises)] = (1, 1)
    """Range of how many stretches of recordings are added up: of speech, several make babble."""


class ReverberationSettings(FolderAugmentationSettings, kind="reverberation", makes="data.augmentation:Reverberation"):
    """Room impulse responses; see `data.augmentation.Reverberation`."""


class CodecSettings(WaveformAugmentationSettings, kind="codec", makes="data.augmentation:Coding"):
    """Lossy coding; see `data.augmentation.Coding`."""

    codecs: Annotated[tuple[Literal["opus", "mp3", "gsm", "a_law", "mu_law"], ...], Field(min_length=1)] = (
        *("opus", "mp3", "gsm", "a_law", "mu_law"),
    )
    """One of these is chosen for each utterance. `gsm`, `a_law` and `mu_law` have the band of the telephone."""


class AugmentSettings(Section):
    """Augmentation of training speech."""

    spec_augment: SpecAugmentSettings = SpecAugmentSettings()
    speeds: Annotated[tuple[Speed, ...], Field(min_length=1, max_length=100)] = (0.9, 1.0, 1.1)
    """Each utterance is played at one of these speeds (Ko et al. 2015)."""
    noise_probability: Fraction = 0.0
    """Fraction of utterances to which white noise is added."""
    noise_snr_db: DecibelRange = (10.0, 30.0)
    """Range of the signal-to-noise ratio."""
    waveform: Annotated[dict[Name, WaveformAugmentationSettings], Field(max_length=100)] = {}
    """More augmentations of waveforms, by any names, in the order in which they are applied; after speed and white
    noise."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Masks are of the features' mean; those over bands go with features of bands, and are at most as wide."""
        masks = self.spec_augment
        normalize = getattr(recipe.features, "normalize", "")
        if normalize == "none" and (masks.num_time_masks or masks.num_frequency_masks):
            raise ValueError(
                "augment.spec_augment must have no masks: they set features to 0, with features.normalize=none louder "
                "than speech; set features.normalize=mean"
            )
        if not masks.num_frequency_masks:
            return
        if not isinstance(recipe.features, MelSettings):
            raise ValueError(
                f"augment.spec_augment.num_frequency_masks must be 0: features.kind: {recipe.features.kind} has no "
                "bands"
            )
        if self.spec_augment.max_mels > recipe.features.num_mels:
            raise ValueError(
                f"augment.spec_augment.max_mels must be at most features.num_mels = {recipe.features.num_mels}"
            )
