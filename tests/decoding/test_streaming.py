from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.decoding.decoder import Decoded, Decoder
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.decoding.streaming import FrameStream, Stream, latencies_s
from speech_mtl.errors import InputError
from speech_mtl.models.features import LogMel
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.settings.recipe import Recipe

LETTERS = {"aa": "abc", "bb": "xyzw"}
RATE_HZ = 16_000
NETWORKS: dict[str, dict[str, Any]] = {
    "chunks of 3": {"encoder.chunk_size": 3},
    "two frames a chunk": {"encoder.chunk_size": 2, "encoder.left_chunks": 1},
    "no chunk before": {"encoder.chunk_size": 5, "encoder.left_chunks": 0},
    "upsampling": {"encoder.chunk_size": 3, "encoder.upsampling": 2},
    "long chunks": {"encoder.chunk_size": 10, "encoder.left_chunks": 7},
    "log energies": {"encoder.chunk_size": 4, "features.normalize": "none"},
    "own layers": {"encoder.chunk_size": 3, "sharing": {"kind": "bottom", "num_own": 1}},
    "own subsampling": {"encoder.chunk_size": 3, "sharing": {"kind": "middle", "num_own": 1}},
    "adapters": {"encoder.chunk_size": 3, "adapters": {"kind": "low_rank"}},
}


@cache
def recognizer(name: str, make_decoder: type[Decoder] = Greedy) -> Recognizer:
    """Untrained, with blanks about as probable as tokens."""
    values = {
        "name": "x",
        "languages": {language: {} for language in LETTERS},
        "data": {"dir": "nowhere"},
        "features": {"num_mels": 20, "normalize": "running_mean"},
        "encoder": {
            **{"num_layers": 3, "dim": 8, "num_heads": 2, "kernel_size": 4, "expansion": 1, "channels": 2},
            **{"left_chunks": 2, "zero_branches": False},
        },
    }
    recipe = Recipe.model_validate(values).overridden(NETWORKS[name])
    tokenizers = {name: CharacterTokenizer.from_texts([letters], name) for name, letters in LETTERS.items()}
    model = build_model(recipe, build_targets(recipe, tokenizers, {}))
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if not variable.path.endswith("gain"):
            variable.assign(variable.value + generator.normal(0, 0.2, variable.shape))
    for head in model.heads[TRANSCRIPT].output_layers.values():
        head.kernel.assign(3 * (head.kernel - np.mean(head.kernel, axis=0)))
        head.bias.assign(np.zeros(head.num_tokens))
    return Recognizer(model, tokenizers, RATE_HZ, make_decoder)


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose loudness and colour change, so that frames differ and a running mean matters."""
    generator = np.random.default_rng(seed)
    waveform = generator.normal(0, 0.1, round(seconds * RATE_HZ))
    time_s = np.arange(len(waveform)) / RATE_HZ
    smooth = np.convolve(waveform, np.ones(9) / 3, "same")
    mixed = np.where(np.sin(7 * time_s) > 0, waveform, smooth) * (1.2 + np.sin(3 * time_s)) * np.exp(-time_s / 9)
    return mixed.astype("float32")


@cache
def compiled_frames() -> FrameStream:
    return FrameStream(recognizer("chunks of 3").model, "aa", 4)


def streamed(frames: FrameStream, waveform: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Log-probabilities of a waveform that comes in pieces of these sizes, over and over."""
    found, start, number = [], 0, 0
    while start < len(waveform):
        size = sizes[number % len(sizes)]
        found.append(frames.push(waveform[start : start + size]))
        start, number = start + size, number + 1
    return np.concatenate([*found, frames.end()])


def assert_same(name: str, language: str, *lengths_s: float, frames: FrameStream | None = None) -> None:
    whole, generator = recognizer(name), np.random.default_rng(0)
    frames = frames or FrameStream(whole.model, language, len(whole.tokenizers[language]))
    for seconds in lengths_s:
        (expected,) = whole.log_probabilities([speech(seconds)], language)
        found = streamed(frames, speech(seconds), generator.integers(0, 20_000, 50).tolist())
        assert found.shape == expected.shape
        assert expected.std(axis=0).max() > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_stream_is_the_whole_utterance(name: str, untraced: None, monkeypatch: pytest.MonkeyPatch):
    """Whatever the pieces, and longer than the window of the running mean; another stream may follow."""
    monkeypatch.setattr(LogMel, "WINDOW_S", 0.3)
    monkeypatch.setattr(LogMel, "TYPICAL_S", 0.1)
    assert_same(name, "bb", 0.83, 0.2)


def test_compiled_the_stream_is_the_whole_utterance():
    """Over the true window, too."""
    assert_same("chunks of 3", "aa", 7.03, 1.0, frames=compiled_frames())


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")  # Keras wonders at a single frame
@pytest.mark.parametrize("num_samples", [0, 1, 1471, 1472, 2111, 2112, 2750, 2751, 2752])
def test_ends_of_any_length(num_samples: int):
    """Also where no chunk, or no frame, is whole: a frame needs 1472 samples, and each other 640 more."""
    whole = recognizer("chunks of 3")
    found = streamed(compiled_frames(), speech(1)[:num_samples], [777])
    assert len(found) == (max(0, num_samples - 832) // 640)
    if len(found):
        np.testing.assert_allclose(found, whole.log_probabilities([speech(1)[:num_samples]], "aa")[0], atol=1e-4)


def test_the_latency_is_what_is_measured():
    """Every frame comes with the sample that `latencies_s` tells of: not before, and not after."""
    whole = recognizer("chunks of 3")
    told_s, frames = latencies_s(whole.model), compiled_frames()
    # 40 ms a frame; of the last one, what subsampling (3 feature frames) and half a transform (256 samples) need.
    np.testing.assert_allclose(told_s, [0.08 + 0.046, 0.04 + 0.046, 0.046], atol=1e-9)
    middles_s, came = whole.model.frame_times_s(RATE_HZ), []
    for number, sample in enumerate(speech(1), 1):
        came += [number / RATE_HZ] * len(frames.push(np.array([sample])))
    assert len(came) > 20
    np.testing.assert_allclose(came - middles_s[: len(came)], np.tile(told_s, len(came) // 3), atol=1e-9)
    frames.end()


def test_no_later_sample_changes_a_frame_and_the_latest_ones_do():
    """Of the whole utterance, so that it is the network that is causal, and not the way it is called."""
    whole = recognizer("chunks of 3")
    size, step = whole.model.stretch()
    waveform = speech(2)
    (before,) = whole.log_probabilities([waveform], "aa")
    for chunk in (0, 4):
        last = chunk * step + size
        for first, is_same in ((last, True), (last - 160, False)):
            changed = waveform.copy()
            changed[first:] = speech(2, seed=1)[first:]
            (after,) = whole.log_probabilities([changed], "aa")
            own = np.abs(after - before)[: 3 * chunk + 3]
            assert (own.max() < 1e-5) == is_same
            assert own[: 3 * chunk].max(initial=0) < 1e-5, "chunks before have nothing to do with it"


def test_a_stream_takes_no_more_memory_as_it_goes_on():
    frames, sizes = compiled_frames(), []
    for _ in range(6):
        frames.push(speech(1))
        arrays: list[Any] = list(frames._arrays or ())
        sizes.append((sum(np.asarray(array).size for array in arrays), len(frames._waiting) < frames._size))
    frames.end()
    assert len(set(sizes)) == 1
    assert sizes[0][1]


def blanked(stream: Stream, spoken: list[str]) -> None:
    """Has a stream find these tokens in its next frames, a letter or '.' for a blank each, whatever its samples are."""
    tokens = ["." if token == "<blank>" else token for token in stream._recognizer.tokenizers["aa"].vocabulary]
    rows = [
        np.log(np.where([token == one for token in tokens], 0.97, 0.01)).astype("float32") for one in "".join(spoken)
    ]
    parts = iter(np.array_split(np.array(rows), max(1, len(rows) // 3)))
    empty = np.zeros((0, len(tokens)), "float32")
    stream.frames.push = lambda _samples: next(parts, empty)  # type: ignore[method-assign]
    stream.frames.end = lambda: np.concatenate([empty, *parts])  # type: ignore[method-assign]


def segments(spoken: list[str], longest_s: float = 30.0) -> tuple[list[tuple[str, float, float]], list[str]]:
    """Text, start and end of the segments, and the text of the one that goes on after each push."""
    stream = Stream(recognizer("chunks of 3"), "aa", longest_s=longest_s)
    blanked(stream, spoken)
    found, partial = [], []
    for _ in range(sum(map(len, spoken)) // 3):
        found += stream.push(np.zeros(1, "float32"))
        partial.append(stream.partial.text)
    found += stream.end()
    return [(one.text, one.tokens[0].start_s, one.tokens[-1].end_s) for one in found], partial


def test_pauses_end_segments_and_times_are_those_of_the_stream(untraced: None):
    before, between = 50, 20
    spoken = ["." * before, "aa..b.", "." * between, "cc", "." * between, "." * 100, "a"]
    found, partial = segments(spoken)
    first_s = 736 / RATE_HZ - 0.02  # the middle of frame 0, less half a frame
    starts = [before, before + 6 + between, before + 8 + 2 * between + 100]
    ends = [before + 5, starts[1] + 2, starts[2] + 1]
    assert [text for text, _, _ in found] == ["ab", "c", "a"]
    np.testing.assert_allclose([start for _, start, _ in found], [first_s + 0.04 * one for one in starts])
    np.testing.assert_allclose([end for _, _, end in found], [first_s + 0.04 * one for one in ends])
    assert "a" in partial
    assert "ab" in partial
    assert partial[0] == partial[-10] == ""


def test_a_long_segment_is_cut_at_its_longest_pause(untraced: None):
    """If that is in its second half."""
    spoken = ["ab.c" * 8, "....", "ab.c" * 8, "...", "cb.a" * 8]
    found, _ = segments(spoken, longest_s=2.0)
    assert [text for text, _, _ in found] == ["abc" * 8, "abc" * 8, "cba" * 8]


def test_greedy_segments_are_the_greedy_text_of_the_whole(untraced: None):
    """Of any path, wherever it is cut; no token is as long as half a segment."""
    generator = np.random.default_rng(0)
    for mean_blanks in (0.5, 3.0):
        path = "".join(
            letter * int(generator.integers(1, 6)) + "." * int(generator.poisson(mean_blanks))
            for letter in generator.choice(list("abc"), 150)
        )
        found, _ = segments([path], longest_s=1.0)
        assert len(found) > 5
        assert "".join(text for text, _, _ in found) == "".join(one for one, _ in groupby(path) if one != ".")


def test_only_greedy_text_is_settled_before_its_segment_ends(untraced: None):
    class Unsettled(Decoder):
        def decode(self, log_probabilities: np.ndarray) -> Decoded:  # noqa: ARG002
            return Decoded((), 0.0)

    assert Stream(recognizer("chunks of 3"), "aa").is_settled
    assert not Stream(recognizer("chunks of 3", Unsettled), "aa").is_settled


def test_a_language_without_an_output_layer():
    with pytest.raises(InputError, match="no output layer for the language 'cc'"):
        Stream(recognizer("chunks of 3"), "cc")


def test_an_encoder_without_chunks_has_no_stretches():
    whole = recognizer("chunks of 3").model
    size, step = whole.stretch()
    assert (size, step) == ((4 * 2 + 6) * 160 + 512, 3 * 4 * 160)
    whole.encoder.chunk_size = None
    try:
        with pytest.raises(ValueError, match="no chunks"):
            whole.stretch()
    finally:
        whole.encoder.chunk_size = 3
    assert TRANSCRIPT in whole.heads
