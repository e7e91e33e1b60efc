"""Recognises speech while it goes on."""

from collections.abc import Iterator

import numpy as np

from speech_mtl.backend import compile_stream
from speech_mtl.datatypes import BLANK, TRANSCRIPT, Hypothesis
from speech_mtl.decoding.recognizer import Recognizer, token_log_probabilities
from speech_mtl.models.multitask import MultilingualModel

PAUSE_S = 0.6
"""A segment ends where no token is found for so long."""


def latencies_s(model: MultilingualModel) -> np.ndarray:
    """(C,) seconds from the middle of each frame of a chunk to the last sample that is needed for it.

    These are the rest of its chunk, the reach of the subsampling and the analysis window beyond, and half a window.
    The time of the computation comes on top.
    """
    size, _ = model.stretch()
    return size / model.features.sample_rate_hz - model.frame_times_s(size)


class FrameStream:
    """Samples of one stream -> log-probabilities of tokens, chunk by chunk: those of the whole utterance.

    Memory, and the time of a chunk, do not grow with the length of the stream.

    Args:
        model: A network whose encoder has chunks.
        language: As the model calls it.
        num_tokens: V, size of the language's vocabulary.
    """

    def __init__(self, model: MultilingualModel, language: str, num_tokens: int):
        self._size, self._step = model.stretch()
        self._num_encoder_frames, self._num_tokens = model.num_encoder_frames, num_tokens
        self._language_ids = np.array([model.languages.index(language)], "int32")
        self._forward = compile_stream(model, (language,), (TRANSCRIPT,))
        # Compiled now, for the first chunk and for those that follow, and not when the first speech waits.
        self._arrays = None
        for _ in range(2):
            self._advance(np.zeros(self._size, "float32"))
        self._restart()

    def _restart(self) -> None:
        self._arrays, self._waiting = None, np.zeros(0, "float32")

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes (S,) float32 samples, any number of them, at the model's rate.

        Returns:
            (E, V) of the frames of all chunks that are whole now; E is often 0.
        """
        self._waiting = np.concatenate([self._waiting, samples])
        found = [np.zeros((0, self._num_tokens), "float32")]
        while len(self._waiting) >= self._size:
            found.append(self._advance(self._waiting[: self._size]))
            self._waiting = self._waiting[self._step :]
        return np.concatenate(found)

    def end(self) -> np.ndarray:
        """(E, V) of the frames that are left: the stream is over, and another one can begin."""
        found = np.zeros((0, self._num_tokens), "float32")
        if self._num_encoder_frames(len(self._waiting)) > 0:
            found = self._advance(self._waiting)
        self._restart()
        return found

    def _advance(self, samples: np.ndarray) -> np.ndarray:
        waveforms = np.pad(samples, (0, self._size - len(samples)))[None].astype("float32")
        num_samples = np.array([len(samples)], "int32")
        outputs, self._arrays = self._forward(waveforms, num_samples, self._language_ids, self._arrays)
        return token_log_probabilities(outputs, 0, self._num_tokens)


class Stream:
    """Recognises one stream of speech: segments of it as they end, and the one that goes on.

    A segment ends at a pause, or where its longest pause was once it is too long. Each is decoded by itself; with
    greedy decoding, tokens are those of the whole stream.

    Args:
        recognizer: One whose encoder has chunks.
        language: BCP 47 tag.
        name: The `id` of its hypotheses.
        longest_s: The most seconds of a segment.

    Raises:
        InputError: The language has no output layer.
    """

    def __init__(self, recognizer: Recognizer, language: str, name: str = "stream", longest_s: float = 30.0):
        self._recognizer, self._name = recognizer, name
        self._language = recognizer.own_name(language)
        self.frames = FrameStream(self.model, self._language, len(recognizer.tokenizers[self._language]))
        step_s = self.model.frame_step_s
        self._pause, self._longest = (max(2, round(seconds / step_s)) for seconds in (PAUSE_S, longest_s))
        self._begin(self.frames.end(), 0)

    def _begin(self, segment: np.ndarray, first: int) -> None:
        self._segment, self._first = segment, first

    @property
    def model(self) -> MultilingualModel:
        """The network."""
        return self._recognizer.model

    @property
    def is_settled(self) -> bool:
        """Whether tokens of `partial` stay as they are when more follow, but for the last one."""
        return self._recognizer.decoder(self._language).is_settled

    @property
    def num_frames(self) -> int:
        """Encoder frames so far."""
        return self._first + len(self._segment)

    @property
    def partial(self) -> Hypothesis:
        """The segment that goes on, as far as it is known."""
        return self._decoded(self._segment)

    def push(self, samples: np.ndarray) -> list[Hypothesis]:
        """Takes (S,) float32 samples, any number of them; gives the segments that have ended now, in their order."""
        self._segment = np.concatenate([self._segment, self.frames.push(samples)])
        return list(self._ended())

    def end(self) -> list[Hypothesis]:
        """The segments that are left: the stream is over, and another one can begin."""
        self._segment = np.concatenate([self._segment, self.frames.end()])
        found = [*self._ended(), self.partial]
        self._begin(self._segment[:0], 0)
        return [segment for segment in found if segment.tokens]

    def _ended(self) -> Iterator[Hypothesis]:
        while (size := self._cut()) is not None:
            found = self._decoded(self._segment[:size])
            if found.tokens:  # else it is what lies before the first one
                yield found
            self._begin(self._segment[size:], self._first + size)

    def _cut(self) -> int | None:
        """Frames from the start of the segment to its end, if it has one."""
        size, path = len(self._segment), self._segment.argmax(axis=1)
        spoken = np.flatnonzero(path != BLANK)
        if len(spoken) == 0 or spoken[0] > self._pause:  # as much is kept as lies before any later segment
            begin = size if len(spoken) == 0 else int(spoken[0])
            return begin - self._pause // 2 if begin > self._pause else None
        gaps = np.diff(spoken, append=size)
        if (gaps > self._pause).any():
            return int(spoken[(gaps > self._pause).argmax()]) + self._pause // 2
        if size <= self._longest:
            return None
        ends_token = np.diff(path, append=BLANK)[spoken] != 0
        widest = np.where(ends_token & (spoken >= self._longest // 2), gaps, 0).argmax()
        return int(spoken[widest] + (gaps[widest] + 1) // 2)

    def _decoded(self, segment: np.ndarray) -> Hypothesis:
        step_s = self.model.frame_step_s
        size = self.model.stretch()[0]
        num_samples = size + round(len(segment) * step_s * self._recognizer.sample_rate_hz)  # of more frames than these
        decoded = self._recognizer.decoder(self._language).decode(segment)
        return self._recognizer.hypothesis(self._name, self._language, decoded, num_samples).later(self._first * step_s)
