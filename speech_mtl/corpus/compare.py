"""Compares manifests with one another: ids, audio, texts, speakers and sample rates that several have."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from speech_mtl.corpus.findings import Findings, Level
from speech_mtl.corpus.manifests import ManifestFile, readable
from speech_mtl.data.leaks import comparable_text, same_audio, same_sentence, speakers_line, too_many_leaks
from speech_mtl.data.manifest import id_twice, line_number
from speech_mtl.errors import InputError
from speech_mtl.files import digest_of
from speech_mtl.screen import Wrap


@dataclass
class Checked:
    """A manifest that has been checked.

    Attributes:
        findings: Where findings go.
        num_lines: Lines, good or not.
        duration_s: Seconds of speech, by the manifest.
        ids: Digest of the id of each line that could be read.
        audio_lines, audio: Number and digest of the audio of each utterance with audio.
        sample_rates_hz: How many files have each.
        speakers: Who speaks.
        num_left_out: How many training leaves out: of audio, of text.
        num_texts: Utterances that training can use, with a transcript or label.
    """

    file: ManifestFile
    findings: Findings
    num_lines: int = 0
    duration_s: float = 0.0
    ids: array = field(default_factory=lambda: array("Q"))
    audio_lines: array = field(default_factory=lambda: array("Q"))
    audio: array = field(default_factory=lambda: array("Q"))
    sample_rates_hz: Counter[int] = field(default_factory=Counter)
    speakers: set[str | None] = field(default_factory=set)
    num_left_out: Counter[str] = field(default_factory=Counter)
    num_texts: int = 0

    def add(self, level: Level, kind: str, line: int, message: str) -> None:
        """Adds a finding; line 0 is all of the manifest."""
        self.findings.add(level, kind, self.file.path, line, message)

    def add_error(self, kind: str, line: int, error: InputError) -> None:
        """Adds what training refuses."""
        self.findings.add_error(kind, self.file.path, line, error)


def compare(checked: Sequence[Checked], allow_leaks: float, wrap: Wrap) -> None:
    """Compares manifests.

    Args:
        checked: What is known of each.
        allow_leaks: Largest fraction of a dev or test split whose audio may be in training.
        wrap: Shows a bar.
    """
    _compare_ids(checked)
    _compare_audio(checked, allow_leaks)
    _compare_texts(checked, wrap)
    _compare_speakers(checked)
    _compare_sample_rates(checked)


def _compare_ids(checked: Sequence[Checked]) -> None:
    every = np.sort(np.concatenate([np.frombuffer(one.ids, np.uint64) for one in checked] or [np.zeros(0, np.uint64)]))
    repeated = set(every[1:][every[1:] == every[:-1]].tolist())
    if not repeated:
        return
    first: dict[str, str] = {}
    for one in checked:
        seen: set[str] = set()
        for utterance in readable([one.file]):
            if digest_of(utterance.id.encode()) not in repeated:
                continue
            line = line_number(utterance.source)
            if utterance.id in seen:
                one.add_error("id twice", line, id_twice(utterance.source, utterance.id))
            elif utterance.id in first:
                message = f"the id {utterance.id!r} is also that of {first[utterance.id]}"
                one.add("note", "id in two manifests", line, message)
            seen.add(utterance.id)
            first.setdefault(utterance.id, utterance.source)


def _compare_audio(checked: Sequence[Checked], allowed: float) -> None:
    training = [one for one in checked if one.file.split == "train"]
    digests = [np.frombuffer(one.audio, np.uint64) for one in training]
    for held_out in (one for one in checked if one.file.split != "train"):
        found: dict[int, str] = {}
        for one, known in zip(training, digests, strict=True):
            places = same_audio(np.frombuffer(held_out.audio, np.uint64), known)
            for line, place in zip(held_out.audio_lines, places.tolist(), strict=True):
                if place >= 0:
                    found.setdefault(line, f"{one.file.path}:{one.audio_lines[place]}")
        for line, other in found.items():
            held_out.add("note", "audio in training", line, f"the audio is that of {other}")
        if too_many_leaks(len(found), len(held_out.audio), allowed):
            message = f"{len(found)} of {len(held_out.audio)} utterances have audio that is in training"
            message += f"; expected: at most {allowed:.0%}"
            held_out.add("refused", "too much audio in training", 0, message)


def _compare_texts(checked: Sequence[Checked], wrap: Wrap) -> None:
    training = [one.file for one in checked if one.file.split == "train"]
    held_out = [one for one in checked if one.file.split != "train"]
    if not held_out or not training:
        return
    utterances = wrap(readable(training), "Comparing texts", sum(file.num_lines() for file in training))
    found = same_sentence(readable([one.file for one in held_out]), utterances, comparable_text, any_speaker=True)
    for one in held_out:
        for utterance in readable([one.file]):
            if other := found.get(utterance.source):
                speaker = "by the same speaker" if utterance.speaker == other.speaker else "by another speaker"
                speaker = "by an unknown speaker" if None in (utterance.speaker, other.speaker) else speaker
                message = f"the text is that of {other.source}, {speaker}"
                one.add("note", "text in training", line_number(utterance.source), message)


def _compare_speakers(checked: Sequence[Checked]) -> None:
    known: dict[str, set[str | None]] = {}
    for one in checked:
        if one.file.split == "train":
            known.setdefault(one.file.language, set()).update(one.speakers)
    for one in checked:
        if one.file.split != "train" and (line := speakers_line(list(one.speakers), known.get(one.file.language, ()))):
            one.add("note", "speakers in training", 0, f"{line}, so its errors are not those of new speakers")


def _compare_sample_rates(checked: Sequence[Checked]) -> None:
    rates: Counter[tuple[str, int]] = Counter()
    for one in checked:
        rates.update({(one.file.language, rate): number for rate, number in one.sample_rates_hz.items()})
    if len({rate for _, rate in rates}) > 1:
        listed = ", ".join(f"{language}: {number:,} of {rate:,} Hz" for (language, rate), number in rates.items())
        checked[0].add("note", "mixed sample rates", 0, listed)
