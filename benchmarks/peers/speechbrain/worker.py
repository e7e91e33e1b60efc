"""The cases as SpeechBrain's recipes do them: its Conformer, features, losses, loaders, decoders and scores."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import speechbrain
import torch
from speechbrain.decoders.ctc import CTCBeamSearcher, ctc_greedy_decode
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
from speechbrain.nnet.activations import Swish
from speechbrain.nnet.linear import Linear
from speechbrain.nnet.losses import ctc_loss
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.metric_stats import ErrorRateStats

from benchmarks.protocol import Prepared, serve


class Recogniser(speechbrain.Brain):
    """A step as in SpeechBrain's recipes for CTC; batches are waveforms and tokens, each with its relative lengths."""

    def compute_forward(self, batch: Any, stage: Any) -> Any:  # noqa: ARG002
        """Log-probabilities."""
        modules = self.modules
        features = modules.normalize(modules.features(batch.waveforms), batch.lengths)
        frames, _ = modules.transformer(modules.subsampling(features), tgt=None, wav_len=batch.lengths)
        return modules.output(frames).log_softmax(-1)

    def compute_objectives(self, predictions: Any, batch: Any, stage: Any) -> Any:  # noqa: ARG002
        """CTC."""
        return ctc_loss(predictions, batch.tokens, batch.lengths, batch.token_lengths, 0, "batchmean")


def training_step(given: dict[str, Any]) -> Prepared:
    """`Brain.fit_batch` with AdamW of PyTorch."""
    torch.set_num_threads(given["num_threads"])
    network = given["network"]
    num_tokens = max(given["vocabularies"].values())
    brain = Recogniser(
        _modules(network, num_tokens),
        lambda parameters: torch.optim.AdamW(
            parameters, given["learning_rate"], (0.9, 0.98), weight_decay=given["weight_decay"], fused=True
        ),
        run_opts={"device": "cpu", "max_grad_norm": given["clip_norm"]},
    )
    brain.init_optimizers()
    brain.modules.train()
    batches = cycle([_batch(path, network["sample_rate_hz"]) for path in given["batches"]])

    def once() -> float:
        batch = next(batches)
        brain.fit_batch(batch)
        return batch.audio_s

    about = "rotary positions as ours; frames at the edges of subsampling and windows are padded"
    return Prepared(once, {"parameters": sum(one.numel() for one in brain.modules.parameters()), "differs": about})


def _modules(network: dict[str, Any], num_tokens: int) -> dict[str, torch.nn.Module]:
    channels, mels = network["channels"], network["num_mels"]
    return {
        "features": _features(network),
        "normalize": InputNormalization(std_norm=False, norm_type="sentence"),
        "subsampling": ConvolutionFrontEnd(
            (8, 10, mels),
            2,
            1,
            [channels] * 2,
            [3, 3],
            [2, 2],
            [1, 1],
            [False] * 2,
            activation=torch.nn.ReLU,
            norm=None,
            dropout=0.0,
        ),
        "transformer": TransformerASR(
            num_tokens,
            -(-mels // 4) * channels,
            d_model=network["dim"],
            nhead=network["num_heads"],
            num_encoder_layers=network["num_layers"],
            num_decoder_layers=0,
            d_ffn=network["dim"] * network["expansion"],
            dropout=network["dropout"],
            activation=Swish,
            normalize_before=True,
            kernel_size=network["kernel_size"],
            encoder_module="conformer",
            attention_type="RoPEMHA",
            causal=False,
        ),
        "output": Linear(num_tokens, input_size=network["dim"]),
    }


def _features(network: dict[str, Any]) -> Fbank:
    return Fbank(
        sample_rate=network["sample_rate_hz"],
        n_fft=network["fft_size"],
        n_mels=network["num_mels"],
        win_length=round(1000 * network["window_s"]),
        hop_length=round(1000 * network["hop_s"]),
    )


def _batch(path: str, rate_hz: int) -> SimpleNamespace:
    with np.load(path) as file:
        given = {name: torch.from_numpy(file[name]) for name in file.files}
    return SimpleNamespace(
        waveforms=given["waveforms"],
        lengths=given["num_samples"] / given["waveforms"].shape[1],
        tokens=given["tokens"].long(),
        token_lengths=given["num_tokens"] / given["tokens"].shape[1],
        audio_s=float(given["num_samples"].sum()) / rate_hz,
    )


def log_mel(given: dict[str, Any]) -> Prepared:
    """`Fbank`, and the mean of each band over the utterance taken out."""
    torch.set_num_threads(given["num_threads"])
    network = given["network"]
    features, normalize = _features(network), InputNormalization(std_norm=False, norm_type="sentence")
    batches = cycle([_batch(path, network["sample_rate_hz"]) for path in given["batches"]])

    def once() -> float:
        batch = next(batches)
        with torch.no_grad():
            normalize(features(batch.waveforms), batch.lengths)
        return batch.audio_s

    return Prepared(once, {})


def loading(given: dict[str, Any]) -> Prepared:
    """An epoch of its data pipeline: `DynamicItemDataset`, `read_audio`, `PaddedBatch`."""
    rows = {str(i): {"path": path} for i, path in enumerate(given["files"])}
    dataset = speechbrain.dataio.dataset.DynamicItemDataset(rows)
    dataset.add_dynamic_item(speechbrain.dataio.dataio.read_audio, takes="path", provides="waveform")
    dataset.set_output_keys(["id", "waveform"])
    loader = speechbrain.dataio.dataloader.SaveableDataLoader(
        dataset,
        batch_size=given["utterances_in_a_batch"],
        num_workers=given["num_threads"],
        collate_fn=speechbrain.dataio.batch.PaddedBatch,
        persistent_workers=True,
    )

    def once() -> float:
        waveforms = (batch.waveform for batch in loader)
        sizes = (float(lengths.sum()) * data.shape[1] for data, lengths in waveforms)
        return sum(sizes) / given["sample_rate_hz"]

    return Prepared(once, {})


def greedy(given: dict[str, Any]) -> Prepared:
    """`ctc_greedy_decode` of padded batches."""
    torch.set_num_threads(given["num_threads"])
    padded, lengths = _posteriors(given)

    def texts() -> list[str]:
        found = ctc_greedy_decode(padded, lengths, blank_id=0)
        return ["".join(given["vocabulary"][token] for token in tokens) for tokens in found]

    return _decoding(given, texts, {})


def beam(given: dict[str, Any]) -> Prepared:
    """`CTCBeamSearcher` as it comes, without a language model."""
    torch.set_num_threads(given["num_threads"])
    padded, lengths = _posteriors(given)
    search = CTCBeamSearcher(0, ["", *given["vocabulary"][1:]], beam_size=given["width"])

    def texts() -> list[str]:
        return [found[0].text for found in search(padded, lengths)]

    about = "as it comes, tokens below e^-5 and texts below e^-10 of the best are dropped"
    return _decoding(given, texts, {"differs": about})


def _posteriors(given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    with np.load(given["posteriors"]) as file:
        utterances = [torch.from_numpy(file[name]) for name in file.files]
    padded = torch.nn.utils.rnn.pad_sequence(utterances, batch_first=True)
    return padded, torch.tensor([len(one) for one in utterances]) / padded.shape[1]


def _decoding(given: dict[str, Any], texts: Any, about: dict[str, Any]) -> Prepared:
    def once() -> float:
        texts()
        return given["audio_s"]

    return Prepared(once, about | {"texts": texts()})


def scoring(given: dict[str, Any]) -> Prepared:
    """`ErrorRateStats`, which keeps the alignment of each utterance."""
    references, hypotheses = (
        [line.split() for line in Path(given[name]).read_text("utf-8").splitlines()]
        for name in ("references", "hypotheses")
    )
    names = [str(i) for i in range(len(references))]

    def wer() -> float:
        statistics = ErrorRateStats()
        statistics.append(names, hypotheses, references)
        return statistics.summarize("error_rate")

    def once() -> float:
        wer()
        return given["words"]

    return Prepared(once, {"wer": wer() / 100})


if __name__ == "__main__":
    serve(
        {
            "training step": training_step,
            "log-mel": log_mel,
            "loading": loading,
            "greedy decoding": greedy,
            "beam search": beam,
            "scoring": scoring,
        }
    )
