"""Settings of the features that the network gets."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from speech_mtl.mel import band_edges_hz
from speech_mtl.settings.section import WHOLE, FilePath, Kinds, Switch

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


Mels = Annotated[int, Field(strict=True, ge=1, le=512), WHOLE]


class FeatureSettings(Kinds):
    """Features of the waveform, the input of the encoder."""

    @property
    def is_causal(self) -> bool:
        """Whether a frame depends on none that comes after it."""
        return False


class MelSettings(FeatureSettings):
    """Features that are bands of frequency."""

    num_mels: Mels = 80
    """Bands on the mel scale."""


class LogMelSettings(MelSettings, kind="log_mel", makes="models.features:LogMel"):
    """See `models.features.LogMel`."""

    window_s: Annotated[float, Field(strict=True, ge=1e-3, le=1)] = 0.025
    """Length of the analysis window."""
    hop_s: Annotated[float, Field(strict=True, ge=1e-3, le=1)] = 0.010
    """From the beginning of one window to that of the next."""
    fft_size: Annotated[int, Field(strict=True, ge=16, le=65_536), WHOLE] = 512
    """Samples of the Fourier transform: at least those of a window."""
    floor: Annotated[float, Field(strict=True, ge=1e-12, le=1)] = 1e-6
    """Added to the energy of each band."""
    normalize: Literal["mean_variance", "mean", "running_mean", "none"] = "mean"
    """Normalisation of each band: over the utterance, or with the running mean of the last 6 s."""

    @property
    def is_causal(self) -> bool:
        return self.normalize in ("running_mean", "none")

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Every window fits the transform, no sample is left out, and every band has a frequency."""
        sample_rate_hz = recipe.data.sample_rate_hz
        window = round(self.window_s * sample_rate_hz)
        if window > self.fft_size:
            raise ValueError(
                f"features.window_s * data.sample_rate_hz = {window} must be at most features.fft_size, "
                f"which is {self.fft_size}"
            )
        if self.hop_s > self.window_s:
            raise ValueError("features.hop_s must be at most features.window_s, so that no sample is left out")
        edges = band_edges_hz(sample_rate_hz, self.num_mels)
        step = sample_rate_hz / self.fft_size
        if any((low // step + 1) * step >= high for low, high in zip(edges, edges[2:], strict=False)):
            raise ValueError(
                f"features.num_mels = {self.num_mels} are too many bands for features.fft_size = {self.fft_size}: "
                "some have no frequency"
            )


class WhisperFeatureSettings(MelSettings, kind="whisper", makes="models.whisper:WhisperFeatures"):
    """See `models.whisper.WhisperFeatures`."""

    num_mels: Mels = 80
    """As many as the trained model has."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """The rate is the one that it was trained with."""
        if recipe.data.sample_rate_hz != 16_000:
            raise ValueError("features.kind: whisper takes speech at 16 kHz only: set data.sample_rate_hz=16000")


class WaveformSettings(FeatureSettings, kind="waveform", makes="models.features:Waveform"):
    """See `models.features.Waveform`."""

    normalize: Switch = True
    """Whether each utterance gets zero mean and unit variance: `do_normalize` in the preprocessor_config.json of a
    public encoder."""


class FrozenSettings(FeatureSettings, kind="frozen", makes="models.frozen:FrozenFeatures"):
    """See `models.frozen.FrozenFeatures`. Computed once for each of `augment.speeds`, and kept in `data.cache_dir`."""

    dir: FilePath
    """Folder of a public self-supervised encoder; relative to the folder in which the command runs."""
    layer: Annotated[int, Field(strict=True, ge=0, le=200), WHOLE] | Literal["mix"] = "mix"
    """Frames of one of its layers, 0 for what its first block gets; or a sum of all with learnt weights, which takes as
    many times the space."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Nothing changes the audio but its speed, and frames, which are 20 ms apart already, are not subsampled."""
        read_preprocessor("features", self.dir, recipe)
        if self.layer != "mix" and self.layer > (num_layers := read_num_layers("features", self.dir)):
            raise ValueError(f"features.layer must be mix or at most {num_layers}, the blocks of the model")
        if any(getattr(one, "channels", None) != 0 for one in recipe.encoder.encoders().values()):
            raise ValueError(
                "features.kind: frozen goes with encoder.kind: conformer or recurrent and encoder.channels=0: its "
                "frames are 20 ms apart already"
            )
        online = {"spec_augment", "speeds"}
        usual = type(recipe.augment)().model_dump(exclude=online)
        if changed := [key for key, value in recipe.augment.model_dump(exclude=online).items() if value != usual[key]]:
            raise ValueError(f"features.kind: frozen is made once, so augment.{changed[0]} must be {usual[changed[0]]}")
        if not recipe.data.decode_once:
            raise ValueError("features.kind: frozen is made once, before training: data.decode_once must be true")
        if noise := [name for name, own in recipe.languages.items() if own.replace == "noise"]:
            raise ValueError(f"features.kind: frozen is made of speech: languages.{noise[0]}.replace must not be noise")


def _read_model_file(section: str, path: Path) -> dict[str, Any]:
    """A JSON file of a trained model, whose folder is in a section's `dir`.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise ValueError(
            f"{section}.dir must hold {path.name} as Transformers' save_pretrained writes it, and {path} cannot be read"
        ) from None


def read_preprocessor(section: str, folder: Path, recipe: "Recipe") -> dict[str, Any]:
    """The preprocessor's configuration of a public encoder, of speech at the recipe's rate.

    Raises:
        ValueError: It cannot be read, or the encoder was trained with speech at another rate.
    """
    found = _read_model_file(section, folder / "preprocessor_config.json")
    if recipe.data.sample_rate_hz != (rate := found.get("sampling_rate")):
        raise ValueError(f"{section}.dir was trained with speech at {rate} Hz: set data.sample_rate_hz={rate}")
    return found


def read_num_layers(section: str, folder: Path) -> int:
    """How many blocks a public encoder has.

    Raises:
        ValueError: Its configuration cannot be read, or does not give them.
    """
    config = _read_model_file(section, folder / "config.json")
    found = config.get("audio_config", config).get("num_hidden_layers")
    if not isinstance(found, int):
        raise ValueError(f"{section}.dir: {folder / 'config.json'} gives no num_hidden_layers")
    return found
