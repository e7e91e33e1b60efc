"""Finds when each word of a known text is spoken."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speech_mtl.data.audio import SPEECH, usable
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import BLANK, Hypothesis, Token
from speech_mtl.decoding.decoder import Decoded
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.decoding.viterbi import align
from speech_mtl.errors import InputError
from speech_mtl.files import read_text
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.recordings import segment_groups
from speech_mtl.run.transcribe import audio_files
from speech_mtl.settings.data import DataSettings

POOR_FIT = 3.0
"""Log-probability of a token below that of the best path from which on the text seems to be another one.

In the validation sets of eleven languages of three runs 99 % of transcripts stay below 2.9, and 95 % of the texts of
other utterances come above 3.0, but in one language that is hardly learnt.
"""

FEWEST_TOKENS = 10
"""A segment of a long recording is judged as if it had so many tokens at least: a breath or a word tells little."""

NEAR_S = 5.0
"""Seconds between two such segments that are named as one stretch."""

_UNUSABLE = "The audio cannot be used"


class Spoken(NamedTuple):
    """Audio and its text: the text itself, or the file that holds it."""

    audio: Path
    text: str | Path


class Stretch(NamedTuple):
    """A part of a recording, in seconds from its start."""

    start_s: float
    end_s: float


class Aligned(NamedTuple):
    """A text with its times.

    Attributes:
        hypotheses: In the order of time, one for each segment of the recording with words in it; one if it is short.
            Their texts are the one given, as it is written if that differs from its normal form in case and
            punctuation alone.
        misfit: Log-probability of the most probable path less that of the text, by its tokens; see `POOR_FIT`.
        doubtful: The stretches of a long recording where this is above `POOR_FIT`.
        duration_s: Seconds of the recording.
    """

    hypotheses: list[Hypothesis]
    misfit: float
    doubtful: list[Stretch]
    duration_s: float


def spoken(given: Sequence[Path]) -> list[Spoken]:
    """The recordings and texts in files and folders as they are typed.

    A text file belongs to the audio file before it. Other audio files, also those in folders, have theirs beside them,
    with the same name and the ending `.txt`. A manifest, `.jsonl`, names audio and holds texts.

    Raises:
        InputError: A text file does not follow an audio file, a folder holds no audio, or a manifest cannot be read.
    """
    found: list[Spoken] = []
    for path, before in zip(given, [None, *given], strict=False):
        if path.suffix.lower() == ".jsonl":
            found += [Spoken(utterance.audio, utterance.text or "") for utterance in read_manifest(path)]
        elif path.suffix.lower() != ".txt":
            files = audio_files([path])
            if empty := [file for file in files if os.path.isdir(file)]:  # noqa: PTH112
                raise InputError(
                    f"{empty[0]} holds no audio files",
                    expected="a folder with recordings and their texts, NAME.wav and NAME.txt",
                    received="none",
                    action="name another folder, or the files",
                )
            found += [Spoken(audio, audio.with_suffix(".txt")) for audio in files]
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
    done_s: list[float] = []
    parts = list(_parts(recognizer, data, pair.audio, language, done_s.append))
    if not parts:
        raise InputError(_UNUSABLE, expected=SPEECH, received="no speech", action="give another file")
    wall = np.where(np.arange(len(tokenizer)) == BLANK, 0.0, -np.inf).astype("float32")[None]
    frames = np.concatenate([rows for part in parts for rows in (part.log_probabilities, wall)])
    ends = np.cumsum([len(part.log_probabilities) + 1 for part in parts])
    found = align(frames, numbers)
    owners = np.searchsorted(ends, [token.first for token in found.tokens], "right")
    path = np.full(len(frames), BLANK)
    for token in found.tokens:
        path[token.first : token.last + 1] = token.number
    misses = frames.max(axis=1) - frames[np.arange(len(frames)), path]
    own, tokens = [], []
    for place, (part, end) in enumerate(zip(parts, ends, strict=True)):
        first, length = int(end) - len(part.log_probabilities) - 1, len(part.log_probabilities)
        inside = [found.tokens[i] for i in range(*np.searchsorted(owners, [place, place + 1]))]
        local = tuple(one._replace(first=one.first - first, last=one.last - first) for one in inside)
        score = float(frames[np.arange(first, first + length), path[first : first + length]].mean())
        timed = recognizer.hypothesis(str(pair.audio), language, Decoded(local, score), part.num_samples)
        own.append(timed.later(part.start_s))
        tokens += own[-1].tokens
    counts, sums = np.bincount(owners, minlength=len(parts)), np.add.reduceat(misses, [0, *ends[:-1]])
    poor = [] if len(parts) == 1 else sums / np.maximum(counts, FEWEST_TOKENS) > POOR_FIT
    doubtful = _joined([Stretch(one.start_s, one.end_s) for one, is_poor in zip(own, poor, strict=False) if is_poor])
    hypotheses = _with_texts(own, tokens, owners, _pieces(text, tokenizer))
    return Aligned(hypotheses, float(misses.sum()) / len(numbers), doubtful, sum(done_s))


class _Part(NamedTuple):
    """A segment of a recording: its start, its length, and (E, V) log-probabilities of its tokens."""

    start_s: float
    num_samples: int
    log_probabilities: np.ndarray


def _parts(
    recognizer: Recognizer, data: DataSettings, audio: Path, language: str, progress: Callable[[float], object]
) -> Iterator[_Part]:
    with usable(str(audio), audio, _UNUSABLE, "give another file, or convert this one"):
        for group in segment_groups(audio, str(audio), data, recognizer.min_samples, progress=progress):
            found = recognizer.log_probabilities([one.waveform for one in group], language, data.batch_s)
            for one, log_probabilities in zip(group, found, strict=True):
                yield _Part(one.start_s, len(one.waveform), log_probabilities)


def _with_texts(
    own: Sequence[Hypothesis], tokens: Sequence[Token], owners: np.ndarray, pieces: Sequence[tuple[int, str]]
) -> list[Hypothesis]:
    """The segments with the pieces of text that begin in them, and the tokens of these."""
    starts = [start for start, _ in pieces]
    places, found = owners[starts], []
    for place, hypothesis in enumerate(own):
        first, end = np.searchsorted(places, [place, place + 1])
        if first < end:
            between = " " if hypothesis.spaced else ""
            inside = tokens[starts[first] : starts[end] if end < len(starts) else None]
            text = between.join(piece for _, piece in pieces[first:end])
            found.append(replace(hypothesis, text=text, tokens=tuple(inside)))
    return found


def _joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches in the order of time; those that are nearer than `NEAR_S` to one another are one."""
    found: list[Stretch] = []
    for one in stretches:
        if found and one.start_s - found[-1].end_s < NEAR_S:
            found[-1] = found[-1]._replace(end_s=one.end_s)
        else:
            found.append(one)
    return found


def _pieces(text: str, tokenizer: Tokenizer) -> list[tuple[int, str]]:
    """The words of a text as it is written, or its characters where no spaces separate words, each with the number of
    its first token. What begins within a token belongs to the word before."""
    written = _as_written(text, tokenizer)
    size = (lambda text: len(_letters(text.lower()))) if tokenizer.spaced else len
    letters = np.cumsum([0, *map(size, tokenizer.pieces(tokenizer.normalize(text)))])
    found: list[tuple[int, str]] = []
    held = 0
    for word in written.split() if tokenizer.spaced else written:
        place = int(np.searchsorted(letters[:-1], held, "right")) - 1
        if not found or (letters[place] == held and place > found[-1][0]):
            found.append((max(place, 0) if found else 0, word))
        else:
            found[-1] = (found[-1][0], found[-1][1] + " " * tokenizer.spaced + word)
        held += size(word)
    return found


def _as_written(text: str, tokenizer: Tokenizer) -> str:
    """A text with its case and punctuation; in its normal form if that differs in more, or has no spaces."""
    normal, kept = tokenizer.normalize(text), " ".join(word for word in text.split() if tokenizer.normalize(word))
    is_alike = tokenizer.spells_text and tokenizer.spaced and _letters(kept.lower()) == _letters(normal)
    return kept if is_alike else normal


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text)
