"""Finds when each word of a known text is spoken."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from speech_mtl.data.audio import AudioError, read_audio
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.decoding.viterbi import align
from speech_mtl.errors import InputError
from speech_mtl.files import read_text
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.transcribe import audio_files
from speech_mtl.settings.data import DataSettings

POOR_FIT = 3.0
"""Log-probability of a token below that of the best path from which on the text seems to be another one.

In the validation sets of eleven languages of three runs 99 % of transcripts stay below 2.9, and 95 % of the texts of
other utterances come above 3.0, but in one language that is hardly learnt.
"""


class Spoken(NamedTuple):
    """Audio and its text: the text itself, or the file that holds it."""

    audio: Path
    text: str | Path


class Aligned(NamedTuple):
    """A text with its times.

    Attributes:
        hypothesis: Its text is the one given, as it is written if that differs from its normal form in case and
            punctuation alone.
        misfit: Log-probability of the most probable path less that of the text, by its tokens; see `POOR_FIT`.
    """

    hypothesis: Hypothesis
    misfit: float


def spoken(given: Sequence[Path]) -> list[Spoken]:
    """The recordings and texts in files and folders as they are typed.

    A text file belongs to the audio file before it. Other audio files, also those in folders, have theirs beside them,
    with the same name and the ending `.txt`. A manifest, `.jsonl`, names audio and holds texts.

    Raises:
        InputError: A text file does not follow an audio file, or a manifest cannot be read.
    """
    found: list[Spoken] = []
    for path, before in zip(given, [None, *given], strict=False):
        if path.suffix.lower() == ".jsonl":
            found += [Spoken(utterance.audio, utterance.text or "") for utterance in read_manifest(path)]
        elif path.suffix.lower() != ".txt":
            found += [Spoken(audio, audio.with_suffix(".txt")) for audio in audio_files([path])]
        elif before is None or before.suffix.lower() in (".txt", ".jsonl") or os.path.isdir(before):  # noqa: PTH112
            raise InputError(
                f"{path} does not follow its audio",
                expected="a text file after an audio file",
                received=f"{path} " + ("first" if before is None else f"after {before}"),
                action="give AUDIO TEXT; texts of the same name beside the audio need not be named",
            )
        else:
            found[-1] = found[-1]._replace(text=path)
    return found


def align_files(run: Run, pairs: Iterable[Spoken], language: str) -> Iterator[tuple[Path, Aligned | InputError]]:
    """Yields for each audio file when its text is spoken, or why that cannot be found, as soon as it is known.

    Raises:
        InputError: The run is not trained, or the language has no output layer.
    """
    data, recognizer = run.recipe().data, load_recognizer(run, calibrated=False)
    language = recognizer.own_name(language)
    for pair in pairs:
        try:
            yield pair.audio, _aligned(recognizer, data, pair, language)
        except InputError as error:
            yield pair.audio, error


def _aligned(recognizer: Recognizer, data: DataSettings, pair: Spoken, language: str) -> Aligned:
    tokenizer = recognizer.tokenizers[language]
    text = pair.text if isinstance(pair.text, str) else read_text(pair.text, "write what is spoken into that file")
    numbers = tokenizer.encode(text)
    if not numbers:
        raise InputError(
            "There is no text to align", expected="words", received=repr(text[:80]), action="write what is spoken"
        )
    try:
        waveform = read_audio(pair.audio, data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
    except AudioError as error:
        raise InputError(
            "The audio cannot be used",
            expected=f"an audio file with {data.min_duration_s:g} to {data.max_duration_s:g} s of speech",
            received=str(error),
            action="give another file, or cut a longer one, and its text, into pieces",
        ) from None
    (log_probabilities,) = recognizer.log_probabilities([waveform], language)
    found = align(log_probabilities, numbers)
    best = float(log_probabilities.max(axis=1).mean())
    hypothesis = recognizer.hypothesis(str(pair.audio), language, found, len(waveform))
    misfit = (best - found.score) * len(log_probabilities) / len(numbers)
    return Aligned(replace(hypothesis, text=_as_written(text, tokenizer)), misfit)


def _as_written(text: str, tokenizer: Tokenizer) -> str:
    """A text with its case and punctuation; in its normal form if that differs in more, or has no spaces."""
    normal, kept = tokenizer.normalize(text), " ".join(word for word in text.split() if tokenizer.normalize(word))
    return kept if tokenizer.spaced and _letters(kept.lower()) == _letters(normal) else normal


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text)
