"""The same network and training step in plain PyTorch, to compare speed and errors. Runs without the package.

Written as one would write it for PyTorch: fused attention, layer normalisation and optimiser, channels first. The same
operations as in `speech_mtl.models`, in the same order; `tests/benchmarks` checks that both compute the same. Its
first weights are PyTorch's own, or ours; see `copy_weights`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]

if TYPE_CHECKING:
    from speech_mtl.datatypes import Batch

BLANK, TRANSCRIPT = 0, "transcript"
"""As in `speech_mtl.datatypes`."""


@dataclass(frozen=True)
class TwinSettings:
    """What decides the network; the names are those of the recipe's sections."""

    num_layers: int
    dim: int
    num_heads: int
    kernel_size: int
    expansion: int
    channels: int
    dropout: float
    zero_branches: bool
    upsampling: int
    sample_rate_hz: int
    num_mels: int
    window_s: float
    hop_s: float
    fft_size: int
    floor: float
    normalize: str
    num_time_masks: int
    max_time_share: float
    num_frequency_masks: int
    max_mels: int


def frame_mask(num_frames: Tensor, size: int) -> Tensor:
    """(B,) true lengths -> (B, size), whether a frame is true."""
    return torch.arange(size) < num_frames[:, None]


class LogMel(nn.Module):
    """Log-mel energies, normalised over each utterance as in `speech_mtl.models.features.LogMel`."""

    TYPICAL_DEVIATION = 3.0
    window: Tensor
    filters: Tensor

    def __init__(self, settings: TwinSettings, filters: np.ndarray):
        super().__init__()
        self.window_size = round(settings.window_s * settings.sample_rate_hz)
        self.hop = round(settings.hop_s * settings.sample_rate_hz)
        self.fft_size, self.normalize = settings.fft_size, settings.normalize
        self.floor = settings.floor
        self.register_buffer("window", torch.hann_window(self.window_size))
        self.register_buffer("filters", torch.from_numpy(filters))

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S) and (B,) -> (B, T, F) and (B,)."""
        spectrum = torch.stft(
            waveforms, self.fft_size, self.hop, self.window_size, self.window, center=False, return_complex=True
        )
        energies = torch.view_as_real(spectrum).square().sum(-1).mT @ self.filters
        features = torch.log(energies + self.floor)
        num_frames = ((num_samples - self.fft_size) // self.hop + 1).clamp(min=0)
        mask = frame_mask(num_frames, features.shape[1])[:, :, None]
        if self.normalize == "none":
            return features * mask, num_frames
        count = num_frames.clamp(min=1)[:, None, None]
        centred = (features - (features * mask).sum(1, keepdim=True) / count) * mask
        if self.normalize == "mean":
            return centred / self.TYPICAL_DEVIATION, num_frames
        variance = centred.square().sum(1, keepdim=True) / count
        return centred * torch.rsqrt(variance + 1e-5), num_frames


class SpecAugment(nn.Module):
    """Random bands of time and frequency, set to zero."""

    def __init__(self, settings: TwinSettings):
        super().__init__()
        self.settings = settings

    @torch.no_grad()
    def forward(self, features: Tensor, num_frames: Tensor) -> Tensor:
        """(B, T, F) and (B,) -> (B, T, F)."""
        if not self.training:
            return features
        settings, frames = self.settings, num_frames[:, None].float()
        in_time = _bands(features.shape[1], settings.num_time_masks, frames, frames * settings.max_time_share)
        size = torch.full_like(frames, features.shape[2])
        most = torch.full_like(frames, settings.max_mels)
        in_frequency = _bands(features.shape[2], settings.num_frequency_masks, size, most)
        return features.masked_fill(in_time[:, :, None] | in_frequency[:, None, :], 0.0)


def _bands(size: int, num_masks: int, length: Tensor, max_width: Tensor) -> Tensor:
    """(B, size): whether a position lies in one of the masks."""
    widths = (torch.rand(len(length), num_masks) * (max_width.floor() + 1.0)).floor()
    starts = (torch.rand(len(length), num_masks) * ((length - widths).clamp(min=0.0) + 1.0)).floor()
    ends = starts + widths
    positions = torch.arange(size)[None, :, None]
    return ((positions >= starts[:, None]) & (positions < ends[:, None])).any(2)


class ConvSubsampling(nn.Module):
    """Two 3x3 convolutions with stride 2, and a projection."""

    def __init__(self, dim: int, channels: int, num_mels: int):
        super().__init__()
        self.convolution_0 = nn.Conv2d(1, channels, 3, stride=2)
        self.convolution_1 = nn.Conv2d(channels, channels, 3, stride=2)
        self.project = nn.Linear(channels * self.num_frames(num_mels), dim)

    @staticmethod
    def num_frames(num_frames):
        """Frames (or mels) left of so many."""
        return ((num_frames - 1) // 2 - 1) // 2

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) -> (B, E, D)."""
        hidden = F.relu(self.convolution_0(features[:, None]), inplace=True)
        hidden = F.relu(self.convolution_1(hidden), inplace=True)
        return self.project(hidden.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Normalise, widen, SiLU, narrow, drop."""

    def __init__(self, dim: int, expansion: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, dim * expansion)
        self.activation = nn.SiLU(inplace=False)
        self.narrow = nn.Linear(dim * expansion, dim)
        self.dropout = nn.Dropout(dropout)


class RotaryAttention(nn.Module):
    """Self-attention with rotary positions."""

    def __init__(self, dim: int, num_heads: int, dropout: float):
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, mask: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(B, E, D) frames and (B, 1, 1, E) mask -> (B, E, D)."""
        projected = self.project(self.norm(inputs)).unflatten(2, (3, self.num_heads, -1))
        queries_keys, values = projected.permute(2, 0, 3, 1, 4).split([2, 1])
        queries, keys = _rotate(queries_keys, cosines, sines)
        attended = F.scaled_dot_product_attention(queries, keys, values[0], attn_mask=mask)
        return self.dropout(self.out(attended.transpose(1, 2).flatten(2)))


def rotary_angles(size: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (E, width)."""
    frequencies = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = (torch.arange(size)[:, None] * frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(inputs: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = inputs.chunk(2, dim=-1)
    return inputs * cosines + torch.cat([-second, first], dim=-1) * sines


class ConvolutionModule(nn.Module):
    """Gated pointwise and depthwise convolution over time."""

    def __init__(self, dim: int, kernel_size: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.gate = nn.Linear(dim, 2 * dim)
        # As a picture of height 1, whose channels may lie last: a tenth of the step faster than Conv1d.
        self.depthwise = nn.Conv2d(dim, dim, (1, kernel_size), padding="same", groups=dim)
        self.norm_inner = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, padding: Tensor) -> Tensor:
        """(B, E, D) frames and (B, E, 1), whether a frame is padding -> (B, E, D)."""
        hidden = F.glu(self.gate(self.norm(inputs)), dim=-1).masked_fill(padding, 0.0)
        hidden = self.depthwise(hidden.mT[:, :, None])[:, :, 0].mT
        return self.dropout(self.out(F.silu(self.norm_inner(hidden))))


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward; layer normalisation."""

    def __init__(self, settings: TwinSettings):
        super().__init__()
        dim, dropout = settings.dim, settings.dropout
        self.feed_forward_in = FeedForward(dim, settings.expansion, dropout)
        self.attention = RotaryAttention(dim, settings.num_heads, dropout)
        self.convolution = ConvolutionModule(dim, settings.kernel_size, dropout)
        self.feed_forward_out = FeedForward(dim, settings.expansion, dropout)
        self.norm = nn.LayerNorm(dim)
        if settings.zero_branches:
            ends = self.feed_forward_in.narrow, self.attention.out, self.convolution.out, self.feed_forward_out.narrow
            for parameter in (parameter for end in ends for parameter in end.parameters()):
                nn.init.zeros_(parameter)

    def forward(self, hidden: Tensor, mask: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """(B, E, D) -> (B, E, D)."""
        hidden = torch.add(hidden, self.feed_forward_in(hidden), alpha=0.5)
        hidden = hidden + self.attention(hidden, mask[:, None, None], cosines, sines)
        hidden = hidden + self.convolution(hidden, ~mask[:, :, None])
        return self.norm(torch.add(hidden, self.feed_forward_out(hidden), alpha=0.5))


class Upsampling(nn.Module):
    """Several frames of each: the frame, and a map of it that begins at zero."""

    def __init__(self, dim: int, times: int):
        super().__init__()
        self.times, self.project = times, nn.Linear(dim, times * dim)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, E, D) -> (B, times * E, D)."""
        return (self.project(frames) + frames.tile(self.times)).reshape(len(frames), -1, frames.shape[2])


class Conformer(nn.Module):
    """Subsampling and blocks."""

    def __init__(self, settings: TwinSettings):
        super().__init__()
        self.width = settings.dim // settings.num_heads
        self.subsampling = ConvSubsampling(settings.dim, settings.channels, settings.num_mels)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.ModuleList([ConformerBlock(settings) for _ in range(settings.num_layers)])
        self.upsampling = Upsampling(settings.dim, settings.upsampling) if settings.upsampling > 1 else None

    def forward(self, features: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, F) and (B,) -> (B, E, D), the same after half of the blocks, and (B,)."""
        hidden = self.dropout(self.subsampling(features))
        num_frames = ConvSubsampling.num_frames(num_frames).clamp(min=0)
        mask = frame_mask(num_frames, hidden.shape[1])
        cosines, sines = rotary_angles(hidden.shape[1], self.width)
        middle = hidden
        for number, block in enumerate(self.blocks, start=1):
            hidden = block(hidden, mask, cosines, sines)
            middle = hidden if number == len(self.blocks) // 2 else middle
        if self.upsampling is None:
            return hidden, middle, num_frames
        return self.upsampling(hidden), self.upsampling(middle), num_frames * self.upsampling.times


class LanguageHeads(nn.Module):
    """The output layers of all languages in one parameter; each utterance takes its own."""

    forbidden: Tensor

    def __init__(self, dim: int, num_tokens: list[int]):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(num_tokens), max(num_tokens), dim))
        self.bias = nn.Parameter(torch.empty(len(num_tokens), max(num_tokens)))
        for parameter in self.parameters():  # as `nn.Linear`
            nn.init.uniform_(parameter, -(dim**-0.5), dim**-0.5)
        columns = torch.arange(max(num_tokens))
        self.register_buffer("forbidden", columns >= torch.tensor(num_tokens)[:, None])

    def forward(self, frames: Tensor, language_ids: Tensor) -> Tensor:
        """(B, E, D) and (B,) -> (B, E, V)."""
        bias = self.bias.masked_fill(self.forbidden, -1e9)[language_ids, None]
        return torch.baddbmm(bias, frames, self.weight[language_ids].mT)


class Twin(nn.Module):
    """Waveforms -> logits, as `speech_mtl.models.multitask.MultilingualModel`.

    Args:
        settings: Of the network.
        num_tokens: Size of each language's vocabulary, blank included.
        filters: (bins, F) of the mel bands.
        intermediate: Whether half of the blocks have output layers of their own (Lee and Watanabe 2021, "Intermediate
            loss regularization for CTC-based speech recognition"; there, both share theirs). Only training uses them.
    """

    def __init__(
        self, settings: TwinSettings, num_tokens: Mapping[str, int], filters: np.ndarray, intermediate: bool = False
    ):
        super().__init__()
        self.features = LogMel(settings, filters)
        self.augment = SpecAugment(settings)
        self.encoder = Conformer(settings)
        self.heads = LanguageHeads(settings.dim, list(num_tokens.values()))
        self.middle_heads = LanguageHeads(settings.dim, list(num_tokens.values())) if intermediate else None

    def encode(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, S) and (B,) -> (B, E, D) frames, those after half of the blocks, and (B,) how many are true."""
        features, num_frames = self.features(waveforms, num_samples)
        return self.encoder(self.augment(features, num_frames), num_frames)

    def forward(self, waveforms: Tensor, num_samples: Tensor, language_ids: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S), (B,) and (B,) -> (B, E, V) logits and (B,) true frames."""
        frames, _, num_frames = self.encode(waveforms, num_samples)
        return self.heads(frames, language_ids), num_frames


def ctc_loss(logits: Tensor, num_frames: Tensor, tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """Negative log-likelihood of each utterance's tokens: (B,)."""
    log_probabilities = logits.float().log_softmax(2).transpose(0, 1)
    return F.ctc_loss(log_probabilities, tokens, num_frames, num_tokens, blank=BLANK, reduction="none")


def as_tensors(batch: "Batch") -> "Batch":
    """On the default device, on processors the same memory; lengths and indices as PyTorch wants them."""

    def tensor(array: np.ndarray) -> Tensor:
        found = torch.from_numpy(array).to(torch.get_default_device())
        return found if found.is_floating_point() else found.long()

    targets = {name: tokens._make(map(tensor, tokens)) for name, tokens in batch.targets.items()}
    return batch._make([*map(tensor, batch[:3]), targets])


MIDDLE_WEIGHT = 0.3
"""Of the loss after half of the blocks, where there is one: that of Lee and Watanabe 2021, section 3."""


def make_train_step(twin: Twin, weight_decay: float, clip_norm: float) -> Callable:
    """(batch, learning rate) -> (loss of each utterance, norm of the gradient), as `contestants.Step`."""
    named = [(name.endswith("bias") or parameter.ndim == 1, parameter) for name, parameter in twin.named_parameters()]
    matrices = [parameter for is_vector, parameter in named if not is_vector]
    vectors = [parameter for is_vector, parameter in named if is_vector]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.0,
        betas=(0.9, 0.98),
        fused=True,
    )
    twin.train()

    def step(batch: "Batch", learning_rate: float) -> tuple[np.ndarray, float]:
        tensors = as_tensors(batch)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        frames, middle, num_frames = twin.encode(tensors.waveforms, tensors.num_samples)
        of_tokens = num_frames, *tensors.targets[TRANSCRIPT]
        losses = ctc_loss(twin.heads(frames, tensors.language_ids), *of_tokens)
        total = losses.sum()
        if twin.middle_heads is not None:
            after_half = ctc_loss(twin.middle_heads(middle, tensors.language_ids), *of_tokens)
            total = (1.0 - MIDDLE_WEIGHT) * total + MIDDLE_WEIGHT * after_half.sum()
        (total / tensors.targets[TRANSCRIPT].sizes.sum().clamp(min=1)).backward()
        norm = nn.utils.clip_grad_norm_(twin.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return losses.detach().cpu().numpy(), float(norm)

    return step


def copy_weights(twin: Twin, weights: Mapping[str, np.ndarray]) -> None:
    """Sets the twin's weights to those of a `MultilingualModel`, given by path."""
    own = {name: _our_weight(name, weights, twin) for name in dict(twin.encoder.named_parameters(prefix="encoder"))}
    twin.load_state_dict({name: torch.from_numpy(value) for name, value in own.items()}, strict=False)
    kernels = [value for path, value in weights.items() if path.startswith("heads/") and path.endswith("/kernel")]
    biases = [value for path, value in weights.items() if path.startswith("heads/") and path.endswith("/bias")]
    with torch.no_grad():
        for language, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            twin.heads.weight[language, : len(kernel)] = torch.from_numpy(kernel)
            twin.heads.bias[language, : len(bias)] = torch.from_numpy(bias)


def _our_weight(name: str, weights: Mapping[str, np.ndarray], twin: Twin) -> np.ndarray:
    path = name.replace("blocks.", "block_").replace(".", "/")
    if path.endswith("/bias"):
        return weights[path]
    if "norm" in path:
        return weights[path.replace("/weight", "/gain")]
    kernel = weights[path.replace("/weight", "/kernel")]
    if "depthwise" in path:  # (size, 1, channels, 1) -> (channels, 1, 1, size): ours runs along the height
        return kernel.transpose(2, 3, 1, 0).copy()
    if kernel.ndim == 4:  # (height, width, in, out) -> (out, in, height, width)
        return kernel.transpose(3, 2, 0, 1).copy()
    if path.startswith(
        "encoder/subsampling/project"
    ):  # rows run over (mels, channels); the twin's over (channels, mels)
        channels = twin.encoder.subsampling.convolution_1.out_channels
        return kernel.reshape(-1, channels, kernel.shape[1]).transpose(2, 1, 0).reshape(kernel.shape[1], -1)
    return kernel.T.copy()
