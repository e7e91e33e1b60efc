"""Manifests: one JSON line an utterance, in `DATA_DIR/LANGUAGE/{train,dev,test}.jsonl`."""

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import replacing

REQUIRED = {"id": str, "audio": str, "language": str, "text": (str, type(None)), "duration_s": (int, float)}
OPTIONAL = {"speaker": (str, type(None)), "labels": (dict, type(None))}
FORMS = {"duration_s": "a number of seconds", "text": "a string, or null if unknown", "labels": "an object"}
"""What a field should be, where it is not a string."""


def manifest_path(data_dir: Path, language: str, split: str) -> Path:
    """Where the manifest of a language's split lies."""
    return data_dir / language / f"{split}.jsonl"


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> int:
    """Writes a manifest (under a temporary name first) and returns the number of utterances.

    Audio paths are stored relative to the manifest where the file lies in the same DATA_DIR, else absolute.
    """
    data_dir = path.parent.parent.resolve()
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            audio = utterance.audio.resolve()
            if audio.is_relative_to(data_dir):
                audio = Path(os.path.relpath(audio, path.parent.resolve()))
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
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
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
            expected="a file with one JSON record a line, made by a script in data_scripts/",
            received="nothing at that path",
            action="run the recipe's data script first, or set data.dir to the folder that holds LANGUAGE/train.jsonl",
        )
    seen: set[str] = set()
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            utterance = _parse(line, path, number)
            if utterance.id in seen:
                raise InputError(
                    f"{path}:{number}: the id {utterance.id!r} comes twice",
                    expected="ids that are unique within a manifest",
                    received=utterance.id,
                    action="rename or remove one of the two lines",
                )
            seen.add(utterance.id)
            yield utterance
    if not seen:
        raise InputError(
            f"The manifest {path} is empty",
            expected="at least one utterance",
            received="0 lines",
            action="run the recipe's data script again",
        )


def _parse(line: bytes, path: Path, number: int) -> Utterance:
    where = f"{path}:{number}"
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {error.start + 1} of the line)",
            expected="text in UTF-8",
            received=repr(line[max(0, error.start - 20) : error.end + 20]),
            action="convert the file, such as with `iconv -f CP1250 -t UTF-8`, or make it again with its data script",
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: not a JSON record ({error.msg}, column {error.colno})",
            expected='a line such as {"id": ..., "audio": ..., "language": ..., "text": ..., "duration_s": ...}',
            received=line.decode("utf-8").strip()[:80] or "an empty line",
            action="mend or remove the line",
        ) from None
    if not isinstance(record, dict):
        raise InputError(
            f"{where}: not a JSON record",
            expected="an object with the fields " + ", ".join(REQUIRED),
            received=type(record).__name__,
            action="mend or remove the line",
        )
    for field, kind in (REQUIRED | OPTIONAL).items():
        if field not in record and field in OPTIONAL:
            continue
        if field not in record or not isinstance(record[field], kind) or isinstance(record[field], bool):
            raise InputError(
                f"{where}: the field {field!r} is {'missing' if field not in record else 'of the wrong type'}",
                expected=FORMS.get(field, "a string"),
                received=repr(record.get(field, "no such field")),
                action="mend the line, or make the manifest again with its data script",
            )
    if not 0 < record["duration_s"] < math.inf:
        raise InputError(
            f"{where}: the field 'duration_s' is not a duration",
            expected="a positive number of seconds",
            received=str(record["duration_s"]),
            action="mend the line, or make the manifest again with its data script",
        )
    return Utterance(
        id=record["id"],
        audio=path.parent / record["audio"],
        language=record["language"],
        text=record["text"],
        duration_s=float(record["duration_s"]),
        speaker=record.get("speaker"),
        labels=record.get("labels") or {},
        source=where,
    )
