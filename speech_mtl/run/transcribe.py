"""Recognises recordings that are in no manifest, of any length."""

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from speech_mtl.data.audio import usable
from speech_mtl.data.audio_file import audio_under
from speech_mtl.data.place import Place, place_of
from speech_mtl.data.segments import Segment
from speech_mtl.datatypes import Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.language_detection import LanguageDetector
from speech_mtl.run.recordings import segment_groups
from speech_mtl.screen import Screen
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.targets.target import ScoredTarget


class Transcriber:
    """Recognises recordings with a trained run, which is loaded once.

    A recording up to the run's `data.max_duration_s` is recognised as it is, as one utterance. A longer one is cut into
    segments at its pauses while it is read; see `run.recordings`.

    Args:
        decoding: How hypotheses are found; as in the run's settings if None.
        screen: For messages on language detection.
        calibrated: Whether confidences are calibrated, as far as the run can.
        languages: What is to be recognised; all that the run has if none is given.

    Raises:
        InputError: The run is not trained.
    """

    def __init__(
        self,
        run: Path,
        decoding: DecodingSettings | None = None,
        screen: Screen | None = None,
        calibrated: bool = True,
        languages: Sequence[str] = (),
    ):
        opened = Run(run)
        self.data = opened.recipe().data
        self.recognizer = load_recognizer(opened, decoding, calibrated, languages)
        self.detector = LanguageDetector(opened, self.recognizer, screen or Screen())

    def among(self, languages: Sequence[str] = ()) -> list[str]:
        """The run's names of these languages; all that it has if none is given.

        Raises:
            InputError: It has no output layer for one of them.
        """
        return list(dict.fromkeys(map(self.recognizer.own_name, languages or self.recognizer.tokenizers)))

    def transcribe(
        self,
        audio: Path | np.ndarray,
        language: str | None = None,
        *,
        languages: Sequence[str] = (),
        sample_rate_hz: int | None = None,
        name: str | None = None,
        progress: Callable[[float], object] = lambda _: None,
    ) -> list[Hypothesis]:
        """Recognises a recording.

        Args:
            audio: An audio file, or a waveform (S,) of floats in [-1, 1].
            language: What is spoken; detected from the first speech if None.
            languages: The languages among which it is detected; all of the run if none.
            sample_rate_hz: Rate of a waveform; the run's if None.
            name: The id of the hypotheses; the path if None.
            progress: Called now and then with the seconds that were done since.

        Returns:
            In the order of time: in a long recording one hypothesis for each segment with words in it,
            in a short one a single hypothesis. None in silence.

        Raises:
            InputError: The audio cannot be used, or a language has no output layer.
        """
        names, found = self.among([language] if language else languages), []
        if len(names) > 1:
            self.detector.calibrate()
        name = name or (str(audio) if isinstance(audio, Path) else "audio")
        problem, action = f"{name} cannot be transcribed", "give another file, or convert this one"
        with usable(name, audio, problem, action):
            for group in segment_groups(
                audio, name, self.data, self.recognizer.min_samples, sample_rate_hz=sample_rate_hz, progress=progress
            ):
                if len(names) > 1:
                    names = [next(iter(self.detector.detect([segment.waveform for segment in group], names)))]
                found += self._recognized(group, names[0], name)
        return found

    def _recognized(self, group: Sequence[Segment], language: str, name: str) -> list[Hypothesis]:
        waveforms, names = [segment.waveform for segment in group], [name] * len(group)
        hypotheses = self.recognizer.transcribe(waveforms, language, names, self.data.batch_s)
        return [
            hypothesis.later(segment.start_s)
            for hypothesis, segment in zip(hypotheses, group, strict=True)
            if hypothesis.text or segment.whole
        ]


def audio_files(given: Sequence[Path]) -> list[Path]:
    """Lists audio files: given files, those under given folders, and those that match patterns such as `*.wav`.

    Each comes as often as it is given, and where it is given; those of a folder or pattern by name. Hidden files and
    folders inside folders are left out. Paths that are missing, or hold nothing, stay as they are, to be refused by
    name.
    """
    found: list[Path] = []
    for path in given:
        # These, unlike those of Path, stand names that are too long.
        is_there = os.path.exists(path)  # noqa: PTH110
        matches = [] if is_there else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        for match in matches or [path]:
            found += (os.path.isdir(match) and audio_under(match)) or [match]  # noqa: PTH112
    return found


def label_values(tasks: Mapping[str, ScoredTarget], hypothesis: Hypothesis) -> dict[str, Any]:
    """The predictions of tasks other than transcripts, by name; none of labels of every frame."""
    return {name: task.decode(hypothesis.labels[name]) for name, task in tasks.items() if task.is_shown}


def transcript_paths(files: Sequence[Path], folder: Path, ending: str) -> dict[Path, Path]:
    """Paths of transcripts in a folder, with the subfolders that the audio files have below their common one.

    Raises:
        InputError: Two files would have their transcripts in the same place, or something lies there already.
    """
    absolute = {path: Path(os.path.abspath(path)) for path in files}  # noqa: PTH100 resolve() follows links
    common = os.path.commonpath([path.parent for path in absolute.values()]) if files else ""
    found, taken = {}, {}
    for path, there in absolute.items():
        inside = folder / there.relative_to(common)
        is_part = place_of(path) != Place(path)  # others of its file are named apart behind the mark
        target = inside.with_name(f"{inside.name}.{ending}") if is_part else inside.with_suffix(f".{ending}")
        other = taken.setdefault(normalize("NFC", str(target)).casefold(), path)
        if absolute[other] != there or os.path.lexists(target):
            raise InputError(
                f"The transcript of {path} would replace another file",
                expected="a new place for the transcript of each file",
                received=f"{target}, which "
                + ("is there already" if absolute[other] == there else f"is that of {other}"),
                action="choose another folder with --out, or rename or remove one of these files",
            )
        found[path] = target
    return found
