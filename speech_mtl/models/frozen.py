"""The frames of a public encoder as features that stay as they are: made once, by Transformers, outside the network."""

from pathlib import Path
from typing import Any, Literal, NotRequired

import numpy as np
from keras import ops
from typing_extensions import TypedDict

from speech_mtl.errors import InputError, refuse_missing
from speech_mtl.files import read_json
from speech_mtl.models.features import Features, frame_mask
from speech_mtl.models.hugging_face import model_digest, no_model
from speech_mtl.models.past import Past


class Shape(TypedDict):
    """What is read of config.json."""

    model_type: NotRequired[str]
    hidden_size: NotRequired[int]
    num_hidden_layers: NotRequired[int]
    conv_kernel: NotRequired[list[int]]
    conv_stride: NotRequired[list[int]]
    audio_config: NotRequired[dict[str, Any]]


class FrozenFeatures(Features):
    """Frames of a self-supervised encoder (wav2vec 2.0, HuBERT, XLS-R, MMS, w2v-BERT 2.0, Omnilingual), 20 ms apart.

    `prepare` makes them of one utterance, alone and in full; a cache keeps them, and the network gets them end to end
    in place of the waveform. A learnt mix of all layers is in the encoder; see `models.layers.Projection`.

    Reference: Yang et al. 2021, "SUPERB", section 2, for frozen encoders with a weighted sum of their layers.

    Args:
        dir: A folder that Transformers' `save_pretrained` wrote, with preprocessor_config.json.
        layer: Which frames: 0 for those that the first block gets, then those of the blocks from the bottom, or all.

    Raises:
        InputError: The folder holds no model whose frames are known.
    """

    def __init__(self, sample_rate_hz: int, dir: Path | str, layer: int | Literal["mix"]):
        self.dir, self.layer = Path(dir), layer
        outer = read_json(self.dir / "config.json", Shape)
        config: Any = outer.get("audio_config", outer)
        if config.get("model_type") == "wav2vec2-bert":  # two windows of 25 ms, 10 ms apart, make a frame
            covered, hop = 560, 320
        elif "conv_kernel" in config and "conv_stride" in config:
            steps = np.cumprod([1, *config["conv_stride"]])
            covered = 1 + sum(
                (kernel - 1) * int(step) for kernel, step in zip(config["conv_kernel"], steps, strict=False)
            )
            hop = int(steps[-1])
        else:
            raise InputError(
                f"features.dir: the model in {self.dir} is not one whose frames are known",
                expected="one with convolutions over the waveform (conv_kernel in config.json), or wav2vec2-bert",
                received=f"model_type: {config.get('model_type')}",
                action="choose another model",
            )
        num_layers, width = config["num_hidden_layers"] + 1, config["hidden_size"]
        shape = (num_layers, width) if layer == "mix" else (width,)
        super().__init__(sample_rate_hz, int(np.prod(shape)), hop, covered)
        self.frame_shape = shape
        self._model: Any = None

    def num_inputs(self, num_samples):
        return self.num_frames(num_samples) * self.width

    def num_samples(self, num_inputs):
        return (num_inputs // self.width - 1) * self.hop + self.fft_size

    def prepare(self, waveform: np.ndarray) -> np.ndarray:
        """(S,) waveform -> (T * F,) float32, its frames end to end, rounded to 16 bits as a cache keeps them."""
        if self._model is None:
            self._model = _Model(self.dir, self.sample_rate_hz)
        size = self.num_frames(len(waveform))
        frames = self._model.frames(waveform, self.layer)[:size]
        if len(frames) < size:
            raise RuntimeError(f"{self.dir} made {len(frames)} frames of {len(waveform)} samples, not {size}")
        return frames.reshape(-1).astype(np.float16).astype(np.float32)

    def digest(self) -> str:
        """Of the model's files and the layer: features with the same digest are alike."""
        return f"{model_digest(self.dir)[:16]}-{self.layer}"

    def call(self, waveforms, num_samples, past: Past | None = None):  # noqa: ARG002
        """(B, T * F), as of `prepare`, and (B,) true lengths in samples -> (B, T, F), and (B,) T."""
        size = ops.shape(waveforms)[1] // self.width
        frames = ops.reshape(waveforms[:, : size * self.width], (-1, size, self.width))
        num_frames = ops.maximum(self.num_frames(num_samples), 0)
        return frames * frame_mask(num_frames, size)[:, :, None], num_frames


class _Model:
    """A model of Transformers, and what it does to samples before."""

    def __init__(self, folder: Path, sample_rate_hz: int):
        for package in ("torch", "transformers"):
            refuse_missing(package, extra="ssl", purpose="Features of a public encoder")
        import torch  # pyright: ignore[reportMissingImports]
        import transformers  # pyright: ignore[reportMissingImports]

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.torch, self.sample_rate_hz = torch, sample_rate_hz
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            self.extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, **local)
            model = transformers.AutoModel.from_pretrained(folder, use_safetensors=True, **local)
        except (OSError, ValueError, KeyError, ImportError) as error:
            files = "config.json, model.safetensors and preprocessor_config.json, as Transformers saves them"
            raise no_model("features", folder, files, error) from None
        self.model = getattr(model, "audio_tower", model).eval()

    def frames(self, waveform: np.ndarray, layer: int | Literal["mix"]) -> np.ndarray:
        """(S,) -> (T, F), of all layers (T, L, F)."""
        inputs = self.extractor(waveform, sampling_rate=self.sample_rate_hz, return_tensors="pt")
        with self.torch.inference_mode():
            found = self.model(**inputs, output_hidden_states=True)
        layers = [*found.hidden_states[:-1], found.last_hidden_state]  # its last lacks the normalisation at the end
        chosen = self.torch.stack(layers, dim=2) if layer == "mix" else layers[layer]
        return chosen[0].float().numpy()
