"""A trained network that turns speech into text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from keras import ops
from scipy.special import log_softmax

from speech_mtl.backend import compile_forward
from speech_mtl.backend.step import UNLIMITED, Forward, Limits
from speech_mtl.data.collation import batches, padded_rows
from speech_mtl.data.examples import Examples
from speech_mtl.data.languages import own_name
from speech_mtl.data.sampling import plan_evaluation
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TRANSCRIPT, Alternative, Batch, Calibration, Hypothesis, Outputs, Token
from speech_mtl.decoding.decoder import Decoded, Decoder
from speech_mtl.errors import InputError
from speech_mtl.models.multitask import MultilingualModel, SharedFrames
from speech_mtl.targets.target import ScoredTarget


def token_log_probabilities(outputs: Outputs, row: int, num_tokens: int | None, target: str = TRANSCRIPT) -> np.ndarray:
    """(E, V) log-probabilities of the tokens in one row, without its padding and other languages' tokens."""
    return log_softmax(outputs.values[target][row, : outputs.num_frames[row], :num_tokens], axis=1)


class Recognizer:
    """Recognises speech with the output layer of a language that the caller names.

    Args:
        model: The network.
        tokenizers: By language, in the order of the model's languages.
        sample_rate_hz: Rate of the waveforms.
        make_decoder: Makes the decoder of a language from its vocabulary and its tag, when it is first needed.
        tasks: What the model predicts besides transcripts, by name.
        calibrations: Of the confidences of words, by language.
        weights: Digest of the weights and of what belongs to them, for what is kept for later; "" while they change.

    Attributes:
        min_samples: Of the shortest waveform that makes an encoder frame.
    """

    def __init__(
        self,
        model: MultilingualModel,
        tokenizers: Mapping[str, Tokenizer],
        sample_rate_hz: int,
        make_decoder: Callable[[Sequence[str], str], Decoder],
        tasks: Mapping[str, ScoredTarget] | None = None,
        calibrations: Mapping[str, Calibration] | None = None,
        weights: str = "",
    ):
        self.model = model
        self.tokenizers = tokenizers
        self.sample_rate_hz = sample_rate_hz
        self.tasks = dict(tasks or {})
        self.calibrations = dict(calibrations or {})
        self.weights = weights
        self.decoders: dict[str, Decoder] = {}
        self._make_decoder = make_decoder
        self._forwards: dict[tuple[str, ...], Forward] = {}
        self.min_samples, self._frame_step_s = model.min_samples, model.frame_step_s

    def _forward(self, language: str) -> Forward:
        """Compiles the part of the network that a language needs, once for all languages that need the same."""
        targets = (TRANSCRIPT, *self.tasks)
        taps = self.model.taps((language,), targets)
        if taps not in self._forwards:
            alike = [one for one in self.model.languages if self.model.taps((one,), targets) == taps]
            self._forwards[taps] = compile_forward(self.model, alike, targets)
        return self._forwards[taps]

    @property
    def num_shapes(self) -> int:
        """Of the batches so far for which XLA has compiled the network."""
        return sum(len(forward.shapes) for forward in self._forwards.values())

    def language_id(self, language: str) -> int:
        """Number of the model's output layer of a language.

        Raises:
            InputError: None does.
        """
        return self.model.languages.index(self.own_name(language))

    def own_name(self, language: str) -> str:
        """The model's name of a language, whose tag may have another form: `EN` or `eng` for `en`.

        Raises:
            InputError: It has no output layer for that language, or the tag is malformed.
        """
        return own_name(language, self.model.languages)

    def decoder(self, language: str) -> Decoder:
        """The decoder of a language, made when it is first asked for.

        Raises:
            InputError: There is no output layer for the language, or its decoder cannot be made.
        """
        name = self.own_name(language)
        if name not in self.decoders:
            self.decoders[name] = self._make_decoder(self.tokenizers[name].vocabulary, name)
        return self.decoders[name]

    def transcribe(
        self,
        waveforms: Sequence[np.ndarray],
        language: str,
        ids: Sequence[str] | None = None,
        batch_s: float | None = None,
    ) -> list[Hypothesis]:
        """Recognises waveforms, each (S,) float32 in [-1, 1] at `sample_rate_hz`.

        Args:
            waveforms: The waveforms.
            language: Whose output layer to use.
            ids: An id for each waveform.
            batch_s: Seconds in a batch, in which waveforms are of similar length; None: all are one batch.

        Raises:
            InputError: The language has no output layer, or a waveform is too short to make a single frame.
        """
        language, found = self.own_name(language), {}
        ids = ids or _numbered(waveforms)
        for rows, padded, limits in self._in_batches(waveforms, ids, batch_s):
            names = [ids[row] for row in rows]
            found |= zip(rows, self._recognize(*padded, language, names, limits), strict=True)
        return [found[row] for row in range(len(waveforms))]

    def _in_batches(
        self, waveforms: Sequence[np.ndarray], ids: Sequence[str], batch_s: float | None
    ) -> Iterator[tuple[list[int], tuple[np.ndarray, np.ndarray], Limits]]:
        """Numbers of waveforms, what the network gets for them with their lengths in samples, and limits of its size.

        They are of similar length, so many seconds together; None: all are one batch.
        """
        if not len(waveforms):
            return
        rate, plan = self.sample_rate_hz, [list(range(len(waveforms)))]
        if batch_s is not None:
            durations_s = np.array([len(waveform) / rate for waveform in waveforms])
            plan = [[one.example for one in batch] for batch in plan_evaluation(0, durations_s, batch_s)]
        for rows in plan:
            padded = self._padded([waveforms[row] for row in rows], [ids[row] for row in rows])
            yield rows, padded, UNLIMITED if batch_s is None else self._limits(batch_s)

    def log_probabilities(
        self,
        waveforms: Sequence[np.ndarray],
        language: str,
        batch_s: float | None = None,
        target: str = TRANSCRIPT,
    ) -> list[np.ndarray]:
        """Log-probabilities of the tokens of a language in waveforms, each (S,) float32; batches as in `transcribe`.

        Returns:
            For each waveform (E, V) float32 of its true encoder frames, in the order of the vocabulary: the language's,
            or that of another target of tokens, such as shared phones.

        Raises:
            InputError: As `transcribe`.
        """
        language, found = self.own_name(language), {}
        for rows, padded, limits in self._in_batches(waveforms, _numbered(waveforms), batch_s):
            outputs = self._outputs(*padded, language, limits)
            found |= {row: self._tokens_of(outputs, i, language, target) for i, row in enumerate(rows)}
        return [found[row] for row in range(len(waveforms))]

    def log_probabilities_by_language(
        self, waveforms: Sequence[np.ndarray], languages: Sequence[str], batch_s: float | None = None
    ) -> dict[str, list[np.ndarray]]:
        """`log_probabilities` with the output layer of each language.

        The encoder runs once for all where it has no language-specific layers, else once for each.
        """
        names = list(dict.fromkeys(map(self.own_name, languages)))
        taps = {self.model.taps((name,), (TRANSCRIPT,)) for name in names}
        if len(taps) != 1 or any(self.model.encoder.weights_of(name) for name in names):
            return {name: self.log_probabilities(waveforms, name, batch_s) for name in names}
        key, found = ("frames", *taps.pop()), {}
        if key not in self._forwards:
            self._forwards[key] = compile_forward(SharedFrames(self.model), names, (TRANSCRIPT,))
        own = {}
        for name in names:  # by numpy: XLA would compile a product for each language and number of frames
            tap, layer = self.model.heads[TRANSCRIPT].of(name)
            own[name] = tap, ops.convert_to_numpy(layer.kernel), ops.convert_to_numpy(layer.bias)
        for rows, padded, limits in self._in_batches(waveforms, _numbered(waveforms), batch_s):
            frames = self._forwards[key](*padded, np.zeros(len(rows), dtype=np.int32), limits)
            for name, (tap, kernel, bias) in own.items():
                outputs = Outputs({TRANSCRIPT: frames.values[tap] @ kernel.T + bias}, frames.num_frames)
                found |= {(name, row): self._tokens_of(outputs, i, name) for i, row in enumerate(rows)}
        return {name: [found[name, row] for row in range(len(waveforms))] for name in names}

    def log_probabilities_of_examples(
        self, examples: Examples, language: str, batch_s: float, num_threads: int = 2
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the number of each example, and its log-probabilities; see `transcribe_examples`."""
        language = self.own_name(language)
        for rows, batch, limits in self._batches(examples, language, batch_s, num_threads):
            outputs = self._outputs(batch.waveforms, batch.num_samples, language, limits)
            yield from ((example, self._tokens_of(outputs, row, language)) for row, example in enumerate(rows))

    def _padded(self, waveforms: Sequence[np.ndarray], ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """What the network gets for the waveforms as one rectangle (B, S), and their lengths (B,) in samples."""
        for name, waveform in zip(ids, waveforms, strict=True):
            if len(waveform) < self.min_samples:
                raise InputError(
                    f"{name} is too short to recognise anything in it",
                    expected=f"at least {self.min_samples / self.sample_rate_hz:.2f} s",
                    received=f"{len(waveform) / self.sample_rate_hz:.3f} s",
                    action="leave it out",
                )
        rows, _ = padded_rows([self.model.features.prepare(waveform) for waveform in waveforms], np.float32)
        return rows, np.array([len(waveform) for waveform in waveforms], np.int32)

    def transcribe_examples(
        self,
        examples: Examples,
        ids: Sequence[str],
        language: str,
        batch_s: float,
        num_threads: int = 2,
        lengths_s: Sequence[float] = (),
    ) -> Iterator[Hypothesis]:
        """Recognises all examples of one language, in batches of similar length; not in their order.

        Args:
            examples: The examples.
            ids: An id for each example.
            language: Their language.
            batch_s: Seconds of speech in a batch.
            num_threads: Threads that read audio.
            lengths_s: To which XLA's batches are padded, see `padded_lengths`; none: to common sizes.
        """
        language = self.own_name(language)
        for rows, batch, limits in self._batches(examples, language, batch_s, num_threads, lengths_s):
            names = [ids[row] for row in rows]
            yield from self._recognize(batch.waveforms, batch.num_samples, language, names, limits)

    def _batches(
        self, examples: Examples, language: str, batch_s: float, num_threads: int, lengths_s: Sequence[float] = ()
    ) -> Iterator[tuple[list[int], Batch, Limits]]:
        """Numbers of examples, their batch, and the limits of its size."""
        language_id, rate = self.language_id(language), self.sample_rate_hz
        limits = self._limits(batch_s, lengths_s)
        plan = plan_evaluation(language_id, examples.num_samples / rate, batch_s, lengths_s)
        filled = batches(plan, {language_id: examples}, num_threads)
        for sampled, batch in zip(plan, filled, strict=True):
            yield [one.example for one in sampled], batch, limits

    def _limits(self, batch_s: float, lengths_s: Sequence[float] = ()) -> Limits:
        return Limits.of_seconds(self.sample_rate_hz, self.model.features.num_inputs, batch_s, lengths_s=lengths_s)

    def _outputs(self, waveforms, num_samples, language: str, limits=UNLIMITED) -> Outputs:
        language_ids = np.full(len(waveforms), self.language_id(language), dtype=np.int32)
        return self._forward(language)(waveforms, num_samples, language_ids, limits)

    def _tokens_of(self, outputs: Outputs, row: int, language: str, target: str = TRANSCRIPT) -> np.ndarray:
        num_tokens = len(self.tokenizers[language]) if target == TRANSCRIPT else None
        return token_log_probabilities(outputs, row, num_tokens, target)

    def _recognize(self, waveforms, num_samples, language, ids, limits=UNLIMITED) -> list[Hypothesis]:
        outputs = self._outputs(waveforms, num_samples, language, limits)
        calibration, hypotheses = self.calibrations.get(language), []
        for row, name in enumerate(ids):
            found = self.decoder(language).decode(self._tokens_of(outputs, row, language))
            hypothesis = self.hypothesis(name, language, found, int(num_samples[row]))
            hypotheses.append(replace(hypothesis, labels=self._labels(outputs, row), calibration=calibration))
        return hypotheses

    def hypothesis(self, name: str, language: str, found: Decoded, num_samples: int) -> Hypothesis:
        """Decoded tokens of so many samples as a hypothesis with the id `name`: text, and tokens with their times."""
        tokenizer = self.tokenizers[language]
        (text, score), *others = self._alternatives(found, tokenizer)
        return Hypothesis(
            name,
            language,
            text,
            score,
            tokens=self._timed(found, tokenizer.vocabulary, num_samples),
            spaced=tokenizer.spaced,
            end_s=num_samples / self.sample_rate_hz,
            alternatives=tuple(others),
            spells_text=tokenizer.spells_text,
        )

    @staticmethod
    def _alternatives(found: Decoded, tokenizer: Tokenizer) -> list[Alternative]:
        """The best text and the next best, each text once."""
        scores: dict[str, float] = {}
        for one in (found, *found.alternatives):
            scores.setdefault(one.text(tokenizer), one.score)
        return [Alternative(*pair) for pair in scores.items()]

    def _timed(self, found: Decoded, vocabulary: Sequence[str], num_samples: int) -> tuple[Token, ...]:
        """Tokens with their times: a frame begins half a step before its middle, and ends half a step after it."""
        middles_s, half = self.model.frame_times_s(num_samples), self._frame_step_s / 2
        starts_s = np.maximum(middles_s - half, 0.0).tolist()
        ends_s = np.minimum(middles_s + half, num_samples / self.sample_rate_hz).tolist()
        return tuple(
            Token(vocabulary[number], starts_s[first], ends_s[last], log_probability)
            for number, first, last, log_probability in found.tokens
        )

    def _labels(self, outputs: Outputs, row: int) -> dict[str, np.ndarray]:
        """What is kept of the outputs of the tasks' heads for one row, without its padding."""
        size = int(outputs.num_frames[row])
        return {
            name: task.kept(outputs.values[name][row][:size] if task.over_frames else outputs.values[name][row])
            for name, task in self.tasks.items()
        }


def _numbered(waveforms: Sequence[np.ndarray]) -> list[str]:
    """Ids of waveforms that have none."""
    return [str(i) for i in range(len(waveforms))]
