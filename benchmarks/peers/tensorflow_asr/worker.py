"""The cases as TensorFlowASR does them: its Conformer and its step, its features, data sets and decoders."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_asr import keras, schemas
from tensorflow_asr.configs import DecoderConfig
from tensorflow_asr.datasets import ASRSliceDataset
from tensorflow_asr.models.ctc.conformer import Conformer
from tensorflow_asr.models.layers.feature_extraction import FeatureExtraction
from tensorflow_asr.tokenizers import CharTokenizer

from benchmarks.protocol import Prepared, serve


def training_step(given: dict[str, Any]) -> Prepared:
    """Its train function, as `fit` calls it, with Keras's AdamW."""
    _threads(given)
    network = given["network"]
    model = _conformer(network, max(given["vocabularies"].values()))
    model.make(batch_size=given["batch_size"])
    optimizer = keras.optimizers.AdamW(
        given["learning_rate"], weight_decay=given["weight_decay"], beta_2=0.98, global_clipnorm=given["clip_norm"]
    )
    model.compile(optimizer=optimizer, jit_compile=False)
    train, batches = model.make_train_function(), cycle([_batch(path) for path in given["batches"]])

    def once() -> float:
        batch = next(batches)
        train(iter([batch]))
        return float(batch.inputs.inputs_length.numpy().sum()) / network["sample_rate_hz"]

    about = "relative sinusoidal positions, causal convolutions in subsampling; XLA is off: it compiles for each length"
    return Prepared(once, {"parameters": model.count_params(), "differs": about})


def _conformer(network: dict[str, Any], num_tokens: int) -> Any:
    subsampling = {
        "filters": [network["channels"]] * 2,
        "kernels": [3, 3],
        "strides": [2, 2],
        "paddings": ["causal", "causal"],
        "norms": ["none", "none"],
        "activations": ["relu", "relu"],
    }
    return Conformer(
        blank=0,
        vocab_size=num_tokens,
        speech_config=_speech(network),
        encoder_subsampling={
            "class_name": "tensorflow_asr.models.layers.subsampling>Conv2dSubsampling",
            "config": subsampling,
        },
        encoder_dmodel=network["dim"],
        encoder_num_blocks=network["num_layers"],
        encoder_head_size=network["dim"] // network["num_heads"],
        encoder_num_heads=network["num_heads"],
        encoder_kernel_size=network["kernel_size"],
        encoder_padding="same",
        encoder_ffm_scale_factor=network["expansion"],
        encoder_convm_dw_norm_type="layer",
        encoder_dropout=network["dropout"],
        kernel_regularizer=None,
    )


def _speech(network: dict[str, Any]) -> dict[str, Any]:
    return {
        "sample_rate": network["sample_rate_hz"],
        "frame_ms": round(1000 * network["window_s"]),
        "stride_ms": round(1000 * network["hop_s"]),
        "nfft": network["fft_size"],
        "num_feature_bins": network["num_mels"],
        "preemphasis": 0.0,
        "epsilon": network["floor"],
    }


def log_mel(given: dict[str, Any]) -> Prepared:
    """Its first layer, compiled by itself."""
    _threads(given)
    features = FeatureExtraction(**_speech(given["network"]))
    compiled = tf.function(lambda *inputs: features(inputs), reduce_retracing=True, autograph=False)
    batches = cycle([_batch(path) for path in given["batches"]])

    def once() -> float:
        inputs = next(batches).inputs
        found, _ = compiled(inputs.inputs, inputs.inputs_length)
        found.numpy()
        return float(inputs.inputs_length.numpy().sum()) / given["network"]["sample_rate_hz"]

    return Prepared(once, {"differs": "no mean is taken out: it has only mean and variance, or minimum and maximum"})


def loading(given: dict[str, Any]) -> Prepared:
    """An epoch of its `slice` data set: each file is decoded by librosa and encoded as WAV before it is batched."""
    _threads(given)
    tokenizer = CharTokenizer(DecoderConfig({"type": "characters"}))
    tokenizer.make()
    dataset = ASRSliceDataset(
        stage="train",
        tokenizer=tokenizer,
        data_paths=[given["table"]],
        indefinite=False,
        drop_remainder=False,
        sample_rate=given["sample_rate_hz"],
    ).create(given["utterances_in_a_batch"])

    def once() -> float:
        sizes = (float(batch.inputs.inputs_length.numpy().sum()) for batch in dataset)
        return sum(sizes) / given["sample_rate_hz"]

    return Prepared(once, {})


def greedy(given: dict[str, Any]) -> Prepared:
    """The operation of `Conformer.recognize` on log-probabilities, and its tokenizer."""

    def decode(posteriors: tf.Tensor, sizes: tf.Tensor) -> tf.SparseTensor:
        return tf.nn.ctc_greedy_decoder(posteriors, sizes, merge_repeated=True, blank_index=0)[0][0]

    return _decoding(given, decode, {})


def beam(given: dict[str, Any]) -> Prepared:
    """The operation of `Conformer.recognize_beam`."""

    def decode(posteriors: tf.Tensor, sizes: tf.Tensor) -> tf.SparseTensor:
        found = tf.nn.ctc_beam_search_decoder(tf.roll(posteriors, -1, 2), sizes, beam_width=given["width"])[0][0]
        return tf.SparseTensor(found.indices, found.values + 1, found.dense_shape)

    about = "the operation takes the last token for the blank, and the model the first: here it is moved to the end"
    return _decoding(given, decode, {"differs": about})


def _decoding(given: dict[str, Any], decode: Any, about: dict[str, Any]) -> Prepared:
    _threads(given)
    tokenizer = CharTokenizer(DecoderConfig({"type": "characters", "vocabulary": given["vocabulary_file"]}))
    tokenizer.make()
    with np.load(given["posteriors"]) as file:
        utterances = [file[name] for name in file.files]
    lengths = [len(one) for one in utterances]
    rows = [np.pad(one, ((0, max(lengths) - len(one)), (0, 0))) for one in utterances]
    padded, sizes = tf.constant(np.stack(rows, axis=1)), tf.constant(lengths, tf.int32)

    @tf.function
    def compiled(posteriors: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
        return tokenizer.detokenize(tf.cast(tf.sparse.to_dense(decode(posteriors, sizes)), tf.int32))

    def texts() -> list[str]:
        return [text.decode("utf-8") for text in compiled(padded, sizes).numpy()]

    def once() -> float:
        texts()
        return given["audio_s"]

    return Prepared(once, about | {"texts": texts()})


def _batch(path: str) -> Any:
    with np.load(Path(path)) as file:
        given = {name: tf.constant(file[name]) for name in file.files}
    tokens, sizes = given["tokens"], given["num_tokens"]
    inputs = schemas.TrainInput(
        inputs=given["waveforms"],
        inputs_length=given["num_samples"],
        predictions=tf.pad(tokens, [[0, 0], [1, 0]]),
        predictions_length=sizes + 1,
    )
    return schemas.TrainData(inputs, schemas.TrainLabel(labels=tokens, labels_length=sizes))


def _threads(given: dict[str, Any]) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(given["num_threads"])
    tf.config.threading.set_inter_op_parallelism_threads(given["num_threads"])


if __name__ == "__main__":
    serve(
        {
            "training step": training_step,
            "log-mel": log_mel,
            "loading": loading,
            "greedy decoding": greedy,
            "beam search": beam,
        }
    )
