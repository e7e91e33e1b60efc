"""Manifests: one JSON line an utterance, in `DATA_DIR/LANGUAGE/{train,dev,test}.jsonl`."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import parse_json, read_json_lines, replacing

MEND_LINE = "mend or remove the line, or make the manifest again with its data script"

Name = Annotated[str, Field(min_length=1, pattern="^[^\0]*$")]
"""What a file can be called."""


class Line(TypedDict):
    """A line of a manifest; other fields are left alone."""

    id: str
    audio: Name
    language: str
    text: str | None
    duration_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    speaker: NotRequired[str | None]
    labels: NotRequired[dict[str, Any] | None]


def manifest_path(data_dir: Path, language: str, split: str) -> Path:
    """Where the manifest of a language's split lies."""
    return data_dir / language / f"{split}.jsonl"


def most_skipped(num_utterances: int, allowed: float) -> float:
    """How many of so many utterances may be unusable: a share, but always a single one, unless that share is 0."""
    return max(1.0, allowed * num_utterances) if allowed else 0.0


def manifest_line(utterance: Utterance, audio: Path) -> str:
    """An utterance as a line of a manifest, with this path of its audio; in a form that `read_manifest` takes.

    Raises:
        InputError: The manifest would not be readable with it.
    """
    record = {
        "id": utterance.id,
        "audio": str(audio),
        "language": utterance.language,
        "text": utterance.text,
        "duration_s": round(utterance.duration_s, 4),
        "speaker": utterance.speaker,
    }
    if utterance.labels:
        record["labels"] = dict(utterance.labels)
    where = utterance.source or utterance.id
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{where}: a label that JSON cannot hold",
            expected="text, finite numbers, true, false, null, and lists and objects of these",
            received=error,
            action="mend the label, or leave it out",
        ) from None
    parse_json(line, Line, where, MEND_LINE)
    return line


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> int:
    """Writes a manifest (under a temporary name first) and returns the number of utterances.

    Audio paths are stored relative to the manifest where the file lies in the same DATA_DIR, else absolute.

    Raises:
        InputError: `read_manifest` would refuse one of them.
    """
    data_dir = path.parent.parent.resolve()
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            audio = utterance.audio.resolve()
            if audio.is_relative_to(data_dir):
                audio = Path(os.path.relpath(audio, path.parent.resolve()))
            file.write(manifest_line(utterance, audio) + "\n")
            count += 1
    return count


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Yields the utterances of a manifest, one line at a time.

    Raises:
        InputError: The file is missing or empty, or a line is not a record with the required fields, or an id comes
            twice.
    """
    if not path.is_file():
        raise InputError(
            f"There is no manifest {path}",
            expected="a file with one JSON record a line, as `python -m data_scripts.audiofolder` makes it",
            received="nothing at that path",
            action="run the recipe's data script first, or set data.dir to the folder that holds LANGUAGE/train.jsonl",
        )
    seen: set[str] = set()
    for where, line in read_json_lines(path, Line, MEND_LINE):
        if line["id"] in seen:
            raise InputError(
                f"{where}: the id {line['id']!r} comes twice",
                expected="ids that are unique within a manifest",
                received=line["id"],
                action="rename or remove one of the two lines",
            )
        seen.add(line["id"])
        yield Utterance(
            id=line["id"],
            audio=path.parent / line["audio"],
            language=line["language"],
            text=line["text"],
            duration_s=line["duration_s"],
            speaker=line.get("speaker"),
            labels=line.get("labels") or {},
            source=where,
        )
    if not seen:
        raise InputError(
            f"The manifest {path} is empty",
            expected="at least one utterance",
            received="0 lines",
            action="run the recipe's data script again",
        )
