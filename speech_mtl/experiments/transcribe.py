"""Recognises audio files that are in no manifest."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from speech_mtl.data.audio import AudioError, read_audio
from speech_mtl.datatypes import Hypothesis
from speech_mtl.errors import InputError
from speech_mtl.runs import Run
from speech_mtl.tasks import Task


def transcribe_files(run: Run, files: Sequence[Path], language: str) -> Iterator[tuple[Path, Hypothesis]]:
    """Yields what is said in each file. All files are looked at before the first is recognised.

    Raises:
        InputError: The run is not trained, the language has no output layer, or a file cannot be used.
    """
    data = run.recipe().data
    recognizer = run.load()
    recognizer.language_id(language)
    for path in files:
        _read(path, data)
    for path in files:
        (hypothesis,) = recognizer.transcribe([_read(path, data)], language, ids=[str(path)])
        yield path, hypothesis


def label_texts(tasks: Mapping[str, Task], hypothesis: Hypothesis) -> list[str]:
    """What the tasks besides transcripts say, as `emotion=calm`; of those over frames nothing."""
    return [
        f"{name}={json.dumps(task.decode(hypothesis.labels[name]), ensure_ascii=False)}".replace('"', "")
        for name, task in tasks.items()
        if not task.over_frames
    ]


def _read(path: Path, data):
    try:
        return read_audio(path, data.sample_rate_hz, data.min_duration_s, data.max_duration_s)
    except AudioError as error:
        raise InputError(
            f"{path} cannot be transcribed: it is {error.reason}",
            expected=f"an audio file with {data.min_duration_s:g} to {data.max_duration_s:g} s of speech",
            received=str(error),
            action="give another file, or cut a longer one into pieces",
        ) from None
