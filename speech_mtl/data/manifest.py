"""Manifests: one JSON line an utterance, in `DATA_DIR/LANGUAGE/{train,dev,test}.jsonl`; see `data.index`, too."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from speech_mtl.data.place import Address, located, resolved
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import lines_or_errors, parse_json, replacing

FIX_LINE = "fix or remove the line, or make the manifest again with its data script"

LONGEST_S = 1e6
"""Seconds, some eleven days: no utterance lasts longer."""


def _kept_as_path(audio: str) -> str:
    if "://" in audio and not audio.startswith("file://") and str(Address(audio)) != audio:
        raise ValueError("an address SCHEME://HOST/... without empty parts")
    return audio


Name = Annotated[str, Field(min_length=1, pattern="^[^\0]*$"), AfterValidator(_kept_as_path)]
"""A valid file name or address."""


class Line(TypedDict):
    """A line of a manifest; other fields are left alone."""

    id: Annotated[str, Field(min_length=1)]
    audio: Name
    language: str
    text: str | None
    duration_s: Annotated[float, Field(gt=0, le=LONGEST_S)]
    speaker: NotRequired[str | None]
    labels: NotRequired[dict[str, Any] | None]


def manifest_path(data_dir: Path, language: str, split: str) -> Path:
    """Path of the manifest of a language's split."""
    return data_dir / language / f"{split}.jsonl"


def most_skipped(num_utterances: int, allowed: float) -> float:
    """Number of utterances that may be unusable: a fraction of all, at least one unless the fraction is 0."""
    return max(1.0, allowed * num_utterances) if allowed else 0.0


def too_many_skipped(num_skipped: int, num_utterances: int, allowed: float) -> bool:
    """Whether more utterances are unusable than may be: one alone never is too many, unless none is allowed."""
    return num_skipped > most_skipped(num_utterances, allowed) or num_skipped >= num_utterances


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
            action="fix the label, or leave it out",
        ) from None
    parse_json(line, Line, where, FIX_LINE)
    return line


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> int:
    """Writes a manifest (under a temporary name first) and returns the number of utterances.

    Audio paths are stored relative to the manifest where the file lies in the same DATA_DIR, else absolute.

    Raises:
        InputError: `read_manifest` would refuse one of them; ids are not compared.
    """
    data_dir = path.parent.parent.resolve()
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for utterance in utterances:
            audio = resolved(utterance.audio)
            if audio.is_relative_to(data_dir):
                audio = Path(os.path.relpath(audio, path.parent.resolve()))
            file.write(manifest_line(utterance, audio) + "\n")
            count += 1
    return count


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Parses a manifest, and yields its utterances, one line at a time.

    Raises:
        InputError: The file is missing or empty, or a line is not a record with the required fields, or an id comes
            twice.
    """
    seen: set[str] = set()
    for position, (where, _, line) in enumerate(read_checked_lines(path)):
        if line["id"] in seen:
            raise id_twice(where, line["id"])
        seen.add(line["id"])
        yield utterance_of(path, position, line)


def inspect_manifest(path: Path) -> Iterator[tuple[str, Utterance | InputError]]:
    """Parses a manifest as `read_manifest` does, but yields what is wrong with a line, and parses the next one.

    Yields:
        `file:line`, and the utterance or the error. Ids are not compared.

    Raises:
        InputError: The file is missing or empty.
    """
    for position, (where, _, line) in enumerate(_parsed(path)):
        yield where, line if isinstance(line, InputError) else utterance_of(path, position, line)


def read_checked_lines(path: Path) -> Iterator[tuple[str, str, Line]]:
    """`file:line` of each line of a manifest, its text with its end, and its fields; ids are not compared.

    Raises:
        InputError: As for `read_manifest`.
    """
    for where, text, line in _parsed(path):
        if isinstance(line, InputError):
            raise line
        yield where, text, line


def _parsed(path: Path) -> Iterator[tuple[str, str, Line | InputError]]:
    refuse_no_manifest(path)
    where = None
    for where, text in lines_or_errors(path, FIX_LINE):
        if isinstance(text, InputError):
            yield where, "", text
            continue
        try:
            line = parse_json(text, Line, where, FIX_LINE)
        except InputError as error:
            line = error
        yield where, text, line
    if where is None:
        raise InputError(
            f"The manifest {path} is empty",
            expected="at least one utterance",
            received="0 lines",
            action="run the recipe's data script again",
        )


def refuse_no_manifest(path: Path) -> None:
    """Checks that there is a file.

    Raises:
        InputError: There is none.
    """
    if not path.is_file():
        raise InputError(
            f"There is no manifest {path}",
            expected="a file with one JSON record a line, as `python -m data_scripts.audiofolder` makes it",
            received="nothing at that path",
            action="run the recipe's data script first, or set data.dir to the folder that holds LANGUAGE/train.jsonl; "
            "where there is only training speech, `speech-mtl data split` makes dev.jsonl and test.jsonl from it",
        )


def id_twice(where: str, name: str) -> InputError:
    """The error to raise at a line whose id an earlier line of the manifest has."""
    return InputError(
        f"{where}: the id {name!r} comes twice",
        expected="ids that are unique within a manifest",
        received=name,
        action="rename or remove one of the two lines",
    )


def utterance_of(path: Path, position: int, line: Line) -> Utterance:
    """The utterance of a checked line of a manifest."""
    own = line["id"], located(line["audio"], path.parent), line["language"], line["text"], float(line["duration_s"])
    return Utterance(*own, line.get("speaker") or None, line.get("labels") or {}, line_name(path, position))


def line_name(path: Path, position: int) -> str:
    """`file:line` of an utterance of a manifest."""
    return f"{path}:{position + 1}"


def line_number(name: str) -> int:
    """The line, from 1, that a name by `line_name` ends with."""
    return int(name.rpartition(":")[2])
