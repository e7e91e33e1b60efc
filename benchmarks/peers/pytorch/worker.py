"""The cases in plain PyTorch, as one would write them there: the twin of our network, eager or compiled."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.protocol import Prepared, serve
from benchmarks.pytorch_twin import TRANSCRIPT, LogMel, Twin, TwinSettings, make_train_step


class Tokens(NamedTuple):
    """As in `speech_mtl.datatypes`, which is not to be had here."""

    ids: Any
    sizes: Any


class Batch(NamedTuple):
    """As in `speech_mtl.datatypes`."""

    waveforms: Any
    num_samples: Any
    language_ids: Any
    targets: dict[str, Tokens]


def training_step(given: dict[str, Any]) -> Prepared:
    """The twin, with PyTorch's fused attention and AdamW; if asked, its encoder compiled for any shape."""
    torch.set_num_threads(given["num_threads"])
    twin = Twin(TwinSettings(**given["network"]), given["vocabularies"], np.load(given["filters"]))
    if given["compiled"]:
        twin.encoder.compile(dynamic=True)
    step = make_train_step(twin, given["weight_decay"], given["clip_norm"])
    batches = cycle([_batch(path) for path in given["batches"]])

    def once() -> float:
        batch: Any = next(batches)
        step(batch, given["learning_rate"])
        return _audio_s(batch, given)

    return Prepared(once, {"parameters": sum(one.numel() for one in twin.parameters())})


def log_mel(given: dict[str, Any]) -> Prepared:
    """`torch.stft` and a matrix product."""
    torch.set_num_threads(given["num_threads"])
    features = LogMel(TwinSettings(**given["network"]), np.load(given["filters"]))
    if given["compiled"]:
        features.compile(dynamic=True)
    batches = cycle([_batch(path) for path in given["batches"]])

    def once() -> float:
        batch = next(batches)
        features(torch.from_numpy(batch.waveforms), torch.from_numpy(batch.num_samples).long())
        return _audio_s(batch, given)

    return Prepared(once, {})


def by_soundfile(path: str, _rate_hz: int) -> torch.Tensor:
    """A mono file at its own rate."""
    samples, _ = soundfile.read(path, dtype="float32")
    return torch.from_numpy(samples)


def by_torchcodec(path: str, rate_hz: int) -> torch.Tensor:
    """A file at that rate. PyTorch's own decoder needs FFmpeg on the machine."""
    try:
        from torchcodec.decoders import AudioDecoder

        return AudioDecoder(path, sample_rate=rate_hz, num_channels=1).get_all_samples().data[0]
    except RuntimeError as error:
        raise RuntimeError(f"torchcodec finds no FFmpeg on this machine, or cannot read {Path(path).name}") from error


DECODERS = {"soundfile": by_soundfile, "torchcodec": by_torchcodec}


class Audio(Dataset):
    """Files that are decoded when they are asked for."""

    def __init__(self, paths: list[str], decode: str, rate_hz: int):
        self.paths, self.decode, self.rate_hz = paths, DECODERS[decode], rate_hz

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> torch.Tensor:
        return self.decode(self.paths[position], self.rate_hz)


def padded(waveforms: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """A rectangle, and how long each is."""
    lengths = torch.tensor([len(one) for one in waveforms])
    return torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True), lengths


def loading(given: dict[str, Any]) -> Prepared:
    """An epoch of a `DataLoader`, whose worker processes stay from epoch to epoch."""
    dataset = Audio(given["files"], given["decoder"], given["sample_rate_hz"])
    dataset[0]  # what fails is told at once, not by a process of the loader
    loader = DataLoader(
        dataset,
        given["utterances_in_a_batch"],
        num_workers=given["num_threads"],
        collate_fn=padded,
        persistent_workers=True,
    )

    def once() -> float:
        return sum(float(lengths.sum()) for _, lengths in loader) / given["sample_rate_hz"]

    return Prepared(once, {})


def greedy(given: dict[str, Any]) -> Prepared:
    """`argmax` and `unique_consecutive`, utterance by utterance."""
    torch.set_num_threads(given["num_threads"])
    with np.load(given["posteriors"]) as file:
        utterances = [torch.from_numpy(file[name]) for name in file.files]

    def texts() -> list[str]:
        paths = (torch.unique_consecutive(one.argmax(1)).tolist() for one in utterances)
        return ["".join(given["vocabulary"][token] for token in path if token) for path in paths]

    def once() -> float:
        texts()
        return given["audio_s"]

    return Prepared(once, {"texts": texts()})


def _batch(path: str) -> Batch:
    with np.load(Path(path)) as file:
        targets = {TRANSCRIPT: Tokens(file["tokens"], file["num_tokens"])}
        return Batch(file["waveforms"], file["num_samples"], file["language_ids"], targets)


def _audio_s(batch: Batch, given: dict[str, Any]) -> float:
    return float(batch.num_samples.sum()) / given["network"]["sample_rate_hz"]


if __name__ == "__main__":
    serve({"training step": training_step, "log-mel": log_mel, "loading": loading, "greedy decoding": greedy})
