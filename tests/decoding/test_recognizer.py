from collections.abc import Callable

import keras
import numpy as np
import pytest
import soundfile
from scipy.special import log_softmax

from speech_mtl.data.examples import Reading, load_examples
from speech_mtl.data.index import open_manifest
from speech_mtl.data.manifest import write_manifest
from speech_mtl.data.store import AudioLimits, open_store
from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.decoding.decoder import Decoded, DecodedToken, Decoder
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.run.build import build_model, build_targets
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.ctc import Ctc

ENCODER = {
    "kind": "conformer",
    "num_layers": 1,
    "dim": 8,
    "num_heads": 2,
    "kernel_size": 3,
    "expansion": 1,
    "channels": 2,
}


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return untrained({})


def untrained(changes: dict) -> Recognizer:
    """It recognises something everywhere, since its blanks are made unlikely."""
    languages = {"aa": "abc", "bb": "xyzw"}
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "languages": {name: {} for name in languages},
            "data": {"dir": "nowhere"},
            "features": {"num_mels": 20},
            "encoder": ENCODER,
            **changes,
        }
    )
    tokenizers = {name: CharacterTokenizer.from_texts([letters], name) for name, letters in languages.items()}
    model = build_model(recipe, build_targets(recipe, tokenizers, {}))
    for head in model.heads[TRANSCRIPT].output_layers.values():
        bias = np.zeros(head.num_tokens, "float32")
        bias[0] = -1.0
        head.bias.assign(bias)
    return Recognizer(model, tokenizers, 16_000, Greedy)


def noises() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, size).astype("float32") for size in (16_000, 9000, 20_000)]


@pytest.mark.parametrize("language", ["aa", "bb"])
def test_transcribes_with_the_named_language(recognizer, language):
    hypotheses = recognizer.transcribe(noises(), language, ["u", "v", "w"])
    assert [h.id for h in hypotheses] == ["u", "v", "w"]
    assert {h.language for h in hypotheses} == {language}
    assert any(h.text for h in hypotheses)
    assert set("".join(h.text for h in hypotheses)) <= set({"aa": "abc", "bb": "xyzw"}[language])
    for waveform, hypothesis in zip(noises(), hypotheses, strict=True):
        ids = np.array([["aa", "bb"].index(language)], "int32")
        values, _ = recognizer.model(waveform[None], np.array([len(waveform)], "int32"), ids)
        found = Greedy([], language).decode(log_softmax(np.array(values[TRANSCRIPT])[0], axis=1))
        assert hypothesis.text == recognizer.tokenizers[language].decode([token.number for token in found.tokens])
        assert hypothesis.text == "".join(token.text for token in hypothesis.tokens)
        assert hypothesis.score == pytest.approx(found.score, abs=1e-4)
        assert hypothesis.score < 0


def test_log_probabilities_are_those_of_the_language_and_of_true_frames(recognizer):
    found = recognizer.log_probabilities(noises(), "bb")
    assert recognizer.log_probabilities([], "bb") == []
    for waveform, own in zip(noises(), found, strict=True):
        values, _ = recognizer.model(waveform[None], np.array([len(waveform)], "int32"), np.array([1], "int32"))
        np.testing.assert_allclose(own, log_softmax(np.array(values[TRANSCRIPT])[0, :, :5], axis=1), atol=1e-4)
    with pytest.raises(InputError, match="too short"):
        recognizer.log_probabilities([np.zeros(9, "float32")], "bb")


@pytest.mark.parametrize("sharing", [{}, {"kind": "nothing"}])
def test_the_encoder_runs_once_for_all_languages_that_share_it(sharing: dict, monkeypatch: pytest.MonkeyPatch):
    recognizer = untrained({"sharing": sharing} if sharing else {})
    expected = {language: recognizer.log_probabilities(noises(), language, 2.0) for language in ("aa", "bb")}
    calls, forward = [], recognizer.log_probabilities
    monkeypatch.setattr(recognizer, "log_probabilities", lambda *given: calls.append(given) or forward(*given))
    found = recognizer.log_probabilities_by_language(noises(), ["aa", "bb"], 2.0)
    assert len(calls) == (2 if sharing else 0)
    assert found.keys() == expected.keys()
    for language, own in expected.items():
        for one, other in zip(found[language], own, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert recognizer.log_probabilities_by_language([], ["aa"]) == {"aa": []}


def test_batches_are_limited_by_what_the_network_gets(recognizer, monkeypatch: pytest.MonkeyPatch):
    limits, run = [], recognizer._outputs
    monkeypatch.setattr(recognizer, "_outputs", lambda *given: limits.append(given[-1]) or run(*given))
    monkeypatch.setattr(recognizer.model.features, "num_inputs", lambda num_samples: 3 * num_samples)
    recognizer.transcribe(noises(), "aa", batch_s=2.0)
    assert {one.room for one in limits} == {3 * 32_000}


def test_another_length_of_the_same_padded_shape_compiles_nothing(
    recognizer: Recognizer, caplog: pytest.LogCaptureFixture
):
    if keras.backend.backend() != "jax":
        pytest.skip("XLA compiles for each shape under JAX")
    import jax  # pyright: ignore[reportMissingImports]

    noise = noises()[0]
    for size in (16_000, 15_000):
        caplog.clear()
        with jax.log_compiles():
            recognizer.log_probabilities([noise[:size]], "aa")
            recognizer.log_probabilities_by_language([noise[:size]], ["aa", "bb"])
        assert any("Compiling" in record.getMessage() for record in caplog.records) == (size == 16_000)


def test_neighbours_change_nothing(recognizer):
    together = recognizer.transcribe(noises(), "aa")
    alone = [recognizer.transcribe([waveform], "aa")[0] for waveform in noises()]
    assert [h.text for h in together] == [h.text for h in alone]
    assert [h.score for h in together] == pytest.approx([h.score for h in alone], abs=1e-4)
    assert [h.id for h in together] == ["0", "1", "2"]
    for one, other in zip(together, alone, strict=True):
        assert [token[:3] for token in one.tokens] == [token[:3] for token in other.tokens]
        assert one.tokens[-1].end_s <= len(noises()[int(one.id)]) / 16_000


class Fixed(Decoder):
    """Finds tokens in given frames, and keeps what it was given."""

    def __init__(self, vocabulary, language):
        super().__init__(vocabulary, language)
        self.given: list[np.ndarray] = []

    def decode(self, log_probabilities: np.ndarray) -> Decoded:
        self.given.append(log_probabilities)
        last = len(log_probabilities) - 1
        return Decoded(
            (DecodedToken(1, 0, 0, -0.1), DecodedToken(2, 3, 5, -0.2), DecodedToken(1, last, last, -0.3)), -1
        )


def test_another_decoder_gets_true_frames_and_its_tokens_get_their_times(recognizer):
    other = Recognizer(recognizer.model, recognizer.tokenizers, 16_000, make_decoder=Fixed)
    hypotheses = other.transcribe(noises(), "bb")
    decoder = other.decoder("bb")
    assert isinstance(decoder, Fixed)
    assert (decoder.language, decoder.vocabulary) == ("bb", ("<blank>", "w", "x", "y", "z"))
    for hypothesis, waveform, given in zip(hypotheses, noises(), decoder.given, strict=True):
        assert given.shape == (recognizer.model.num_encoder_frames(len(waveform)), 5)
        np.testing.assert_allclose(np.exp(given).sum(axis=1), 1, rtol=1e-5)
        middles_s = recognizer.model.frame_times_s(len(waveform))
        assert [token.text for token in hypothesis.tokens] == ["w", "x", "w"]
        expected = [(middles_s[i] - 0.02, middles_s[j] + 0.02) for i, j in ((0, 0), (3, 5), (-1, -1))]
        assert [token[1:3] for token in hypothesis.tokens] == [pytest.approx(pair) for pair in expected]
        assert [token.log_probability for token in hypothesis.tokens] == [-0.1, -0.2, -0.3]
        assert (hypothesis.text, hypothesis.score) == ("wxw", -1)


def test_no_time_is_outside_the_recording(recognizer):
    other = Recognizer(recognizer.model, recognizer.tokenizers, 16_000, make_decoder=Fixed)
    half_s = other._frame_step_s / 2
    other._frame_step_s = 10.0
    (hypothesis,) = other.transcribe([noises()[0]], "bb")
    assert half_s == pytest.approx(0.02)
    assert [token[1:3] for token in hypothesis.tokens] == [(0.0, 1.0)] * 3


def test_tokens_lie_where_their_tones_do(trained: Run, speak: Callable):
    """A tone lasts 160 ms, the pause before it 60 ms."""
    recognizer = load_recognizer(trained)
    texts = ["abcd", "dcab", "bdca", "cbad"]
    hypotheses = recognizer.transcribe([speak(text) for text in texts], "aa")
    right = [(h, text) for h, text in zip(hypotheses, texts, strict=True) if h.text == text]
    assert len(right) > 1
    for hypothesis, _ in right:
        for number, token in enumerate(hypothesis.tokens):
            tone_s = 0.06 + number * 0.22
            assert tone_s - 0.1 < token.start_s < token.end_s < tone_s + 0.16 + 0.1


def test_unknown_language(recognizer):
    with pytest.raises(InputError, match="language 'cc'") as caught:
        recognizer.transcribe(noises(), "cc")
    assert "aa, bb" in caught.value.expected


@pytest.mark.parametrize("size", [0, 500, 1471])
def test_too_short(recognizer, size):
    with pytest.raises(InputError, match="second is too short"):
        recognizer.transcribe([noises()[0], np.zeros(size, "float32")], "aa", ["first", "second"])


@pytest.mark.parametrize("size", [1472, 1600])
def test_shortest(recognizer, size):
    """What makes a single frame is recognised."""
    assert len(recognizer.transcribe([np.ones(size, "float32")], "aa")) == 1


def test_nothing_to_transcribe(recognizer):
    assert recognizer.transcribe([], "aa") == []


@pytest.mark.parametrize("lengths_s", [(), (0.9, 1.3)])
def test_transcribes_examples(recognizer, tmp_path, lengths_s):
    utterances = []
    for i, waveform in enumerate(noises()):
        soundfile.write(tmp_path / f"{i}.flac", waveform, 16_000)
        seconds = len(waveform) / 16_000
        utterances.append(Utterance(f"u{i}", tmp_path / f"{i}.flac", "bb", "xyz", seconds))
    write_manifest(tmp_path / "bb" / "dev.jsonl", utterances)
    manifest = open_manifest(tmp_path / "bb" / "dev.jsonl", tmp_path / "cache")
    store = open_store(tmp_path / "cache", "bb", manifest, AudioLimits(16_000, 0.1, 30))
    reading = Reading("bb", [Ctc(TRANSCRIPT, recognizer.tokenizers)], recognizer.model.num_encoder_frames)
    examples = load_examples(manifest, store, np.arange(3), reading)
    found = list(recognizer.transcribe_examples(examples, ["u0", "u1", "u2"], "bb", batch_s=2.7, lengths_s=lengths_s))
    assert sorted(h.id for h in found) == ["u0", "u1", "u2"]
    expected = {h.id: h for h in recognizer.transcribe([store[i] for i in range(3)], "bb", ["u0", "u1", "u2"])}
    for hypothesis in found:
        assert hypothesis.text == expected[hypothesis.id].text
        assert hypothesis.score == pytest.approx(expected[hypothesis.id].score, abs=1e-4)
