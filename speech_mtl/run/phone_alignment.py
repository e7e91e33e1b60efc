"""Finds when each phone of transcripts is spoken, by the shared phones of a run."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from speech_mtl.data.audio import read_audio
from speech_mtl.data.place import AudioError
from speech_mtl.datatypes import Utterance
from speech_mtl.decoding.decoder import Decoded
from speech_mtl.decoding.viterbi import align
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.targets.shared_phones import SharedPhones

REACH_S = 0.06
"""How far a phone reaches beyond the frames in which the path is at it, at most half-way to its neighbour.

Networks trained with CTC emit a token in few frames, and blanks in the rest of it; phones last some 40 to 150 ms.
"""

BATCH = 16
"""Utterances that are aligned at once."""


class PhoneSegment(NamedTuple):
    """A stretch of an utterance, which begins where the one before ends: a phone; None: unknown."""

    end_s: float
    phone: str | None


class PhoneAligner:
    """Aligns the phones of transcripts with their audio.

    Args:
        run: A run with a task of the kind `phones`.
        language: Of the utterances, as the run calls it or in another form.

    Raises:
        InputError: The run is not trained, has no phones, or none of the language.
    """

    def __init__(self, run: Run, language: str):
        self.data, self.recognizer = run.recipe().data, load_recognizer(run, calibrated=False)
        self.language = self.recognizer.own_name(language)
        tasks = [task for task in self.recognizer.tasks.values() if isinstance(task, SharedPhones)]
        own = [task for task in tasks if task.is_for(self.language)]
        if not own:
            raise InputError(
                f"{run.path} has no phones of {self.language}",
                expected="a run with a task of the kind phones, trained on the language",
                received=f"tasks {', '.join(self.recognizer.tasks) or 'none'}",
                action="train with 'tasks={phones: {kind: phones}}'",
            )
        self.task = own[0]

    def align(self, utterances: Iterable[Utterance]) -> Iterator[tuple[Utterance, list[PhoneSegment] | str]]:
        """Yields each utterance with its phones up to the end of the last, or why it has none."""
        left = iter(utterances)
        while some := list(islice(left, BATCH)):
            read = {i: self._read(utterance) for i, utterance in enumerate(some)}
            usable = {i: pair for i, pair in read.items() if not isinstance(pair, str)}
            outputs = self.recognizer.log_probabilities(
                [waveform for waveform, _ in usable.values()], self.language, target=self.task.name
            )
            found: dict[int, list[PhoneSegment] | str] = {i: pair for i, pair in read.items() if isinstance(pair, str)}
            for (i, (waveform, numbers)), own in zip(usable.items(), outputs, strict=True):
                found[i] = self._segments(own, numbers, len(waveform))
            yield from ((utterance, found[i]) for i, utterance in enumerate(some))

    def _read(self, utterance: Utterance) -> tuple[np.ndarray, list[int]] | str:
        """The waveform and the numbers of the phones; or why there is none."""
        numbers = self.task.encode(utterance, self.language)
        if numbers is None:
            return "no phones: no transcript, or one that cannot be read"
        data = self.data
        try:
            waveform = read_audio(utterance.audio, data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
        except AudioError as error:
            return str(error)
        if len(waveform) < self.recognizer.min_samples:
            return f"{utterance.audio} is too short"
        return waveform, numbers.tolist()

    def _segments(self, log_probabilities: np.ndarray, numbers: list[int], num_samples: int):
        try:
            found = align(log_probabilities, numbers)
        except InputError as error:
            return error.problem
        return phone_segments(found, self.task.vocabulary, self.recognizer.model.frame_times_s(num_samples))


def phone_segments(found: Decoded, vocabulary: list[str], middles_s: np.ndarray) -> list[PhoneSegment]:
    """Segments of aligned phones, which reach up to `REACH_S` beyond their frames; what lies between is unknown.

    Args:
        vocabulary: By number.
        middles_s: (E,) of the frames.
    """
    half = (middles_s[1] - middles_s[0]) / 2 if len(middles_s) > 1 else 0.0
    starts = np.array([max(middles_s[token.first] - half, 0.0) for token in found.tokens])
    ends = np.array([middles_s[token.last] + half for token in found.tokens])
    reach = np.minimum(REACH_S, np.maximum(starts[1:] - ends[:-1], 0.0) / 2)
    starts -= np.concatenate([[min(REACH_S, starts[0])], reach])
    ends += np.concatenate([reach, [0.0]])
    segments, before_s = [], 0.0
    for token, start_s, end_s in zip(found.tokens, starts.round(3), ends.round(3), strict=True):
        if start_s > before_s + 0.001:
            segments.append(PhoneSegment(float(start_s), None))
        before_s = float(end_s)
        segments.append(PhoneSegment(before_s, vocabulary[token.number]))
    return segments
