"""Manifests: one JSON line an utterance, in `DATA_DIR/LANGUAGE/{train,dev,test}.jsonl`; and an index of each.

A manifest is parsed and checked once, where `open_manifest` first meets its content. From then on its utterances come
from the index.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from speech_mtl.data.place import resolved
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import Bits64, NotNegative, lines_or_errors, parse_json, read_json, replacing, write_text

FORMAT = 2
"""Raised when the layout of an index or the check of lines changes, so that old ones are not used."""

START_AGAIN = "start again: the manifest is then parsed anew"

FIX_LINE = "fix or remove the line, or make the manifest again with its data script"

LONGEST_S = 1e6
"""Seconds, some eleven days: no utterance lasts longer."""

Name = Annotated[str, Field(min_length=1, pattern="^[^\0]*$")]
"""A valid file name."""


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
        InputError: `read_manifest` would refuse one of them.
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
    _refuse_no_file(path)
    for position, fields in enumerate(_checked(path)):
        yield _utterance(path, position, fields)


def inspect_manifest(path: Path) -> Iterator[tuple[str, Utterance | InputError]]:
    """Parses a manifest as `read_manifest` does, but yields what is wrong with a line, and parses the next one.

    Yields:
        `file:line`, and the utterance or the error. Ids are not compared.

    Raises:
        InputError: The file is missing or empty.
    """
    _refuse_no_file(path)
    position = -1
    for position, (where, fields) in enumerate(_parsed(path)):
        yield where, fields if isinstance(fields, InputError) else _utterance(path, position, fields)
    if position < 0:
        raise _empty(path)


def _refuse_no_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(
            f"There is no manifest {path}",
            expected="a file with one JSON record a line, as `python -m data_scripts.audiofolder` makes it",
            received="nothing at that path",
            action="run the recipe's data script first, or set data.dir to the folder that holds LANGUAGE/train.jsonl",
        )


def _checked(path: Path) -> Iterator[list]:
    """The fields of each line, in the order of those of `Utterance`."""
    seen: set[str] = set()
    for where, fields in _parsed(path):
        if isinstance(fields, InputError):
            raise fields
        if fields[0] in seen:
            raise id_twice(where, fields[0])
        seen.add(fields[0])
        yield fields
    if not seen:
        raise _empty(path)


def _parsed(path: Path) -> Iterator[tuple[str, list | InputError]]:
    """`file:line` and the fields of each line, or what is wrong with it."""
    for where, text in lines_or_errors(path, FIX_LINE):
        if isinstance(text, InputError):
            yield where, text
            continue
        try:
            line = parse_json(text, Line, where, FIX_LINE)
        except InputError as error:
            yield where, error
            continue
        own = line["id"], line["audio"], line["language"], line["text"], line["duration_s"]
        yield where, [*own, line.get("speaker") or None, line.get("labels") or {}]


def id_twice(where: str, name: str) -> InputError:
    """The error to raise at a line whose id an earlier line of the manifest has."""
    return InputError(
        f"{where}: the id {name!r} comes twice",
        expected="ids that are unique within a manifest",
        received=name,
        action="rename or remove one of the two lines",
    )


def _empty(path: Path) -> InputError:
    return InputError(
        f"The manifest {path} is empty",
        expected="at least one utterance",
        received="0 lines",
        action="run the recipe's data script again",
    )


def _utterance(path: Path, position: int, fields: list) -> Utterance:
    name, audio, language, text, duration_s, speaker, labels = fields
    where = line_name(path, position)
    return Utterance(name, path.parent / audio, language, text, duration_s, speaker, labels, where)


def line_name(path: Path, position: int) -> str:
    """`file:line` of an utterance of a manifest."""
    return f"{path}:{position + 1}"


def line_number(name: str) -> int:
    """The line, from 1, that a name by `line_name` ends with."""
    return int(name.rpartition(":")[2])


class _Head(TypedDict):
    """Header of an index: shows that it is complete, and holds properties of all utterances."""

    crc32: NotNegative
    durations_s: list[float]
    digests: list[Bits64]
    untranscribed: list[NotNegative]
    languages: dict[str, NotNegative]


class Manifest:
    """A manifest that has been parsed: its utterances by position, from its index.

    Attributes:
        path: The manifest.
        durations_s: Seconds of each utterance.
        digests: Of the fields of each, except the path of its audio; 64 bits.
        untranscribed: Positions of those whose text is null.
        languages: With the position of the first utterance of each.

    Raises:
        InputError: The index is missing or damaged.
    """

    def __init__(self, path: Path, index: Path):
        head = read_json(index.with_suffix(".json"), _Head, START_AGAIN)
        self.path, self._index = path, index
        self.durations_s, self.digests, self.languages = head["durations_s"], head["digests"], head["languages"]
        self.untranscribed = head["untranscribed"]
        crc32 = 0
        if index.is_file():
            with index.open("rb") as file:
                while block := file.read(1 << 20):
                    crc32 = zlib.crc32(block, crc32)
        if crc32 != head["crc32"]:
            raise self._damaged()

    def __len__(self) -> int:
        return len(self.durations_s)

    def __str__(self) -> str:
        return str(self.path)

    def at(self, positions: Iterable[int]) -> Iterator[Utterance]:
        """The utterances at ascending positions; none for those beyond the last.

        Raises:
            InputError: The index was damaged since it was opened.
        """
        with self._index.open("rb") as file:
            lines = enumerate(file)
            for wanted in map(int, positions):
                if wanted >= len(self):
                    return
                line = next((line for position, line in lines if position == wanted), b"")
                try:
                    fields = json.loads(line)
                except ValueError:
                    raise self._damaged() from None
                yield _utterance(self.path, wanted, fields)

    def _damaged(self) -> InputError:
        return InputError(
            f"The index {self._index} of {self.path} is damaged",
            expected="a file that stays as it was written",
            received="other content",
            action=START_AGAIN,
        )


def open_manifest(path: Path, cache_dir: Path) -> Manifest:
    """Opens a manifest by its index, which is written first where there is none of this content, or a damaged one.

    Args:
        path: The manifest.
        cache_dir: Folder of all indexes.

    Raises:
        InputError: As for `read_manifest`, or the manifest changed while it was read.
    """
    _refuse_no_file(path)
    digest = _content_digest(path)
    index = cache_dir / f"manifest-{digest}.index"
    if index.with_suffix(".json").exists():
        try:
            return Manifest(path, index)
        except InputError as error:
            logging.getLogger(__name__).warning("%s; the manifest is parsed anew", error.problem)
    _write_index(path, index, digest)
    return Manifest(path, index)


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha256(b"%d" % FORMAT)).hexdigest()[:16]


def _write_index(path: Path, index: Path, digest: str) -> None:
    head: _Head = {"crc32": 0, "durations_s": [], "digests": [], "untranscribed": [], "languages": {}}
    with replacing(index) as temporary, temporary.open("wb") as file:
        for position, fields in enumerate(_checked(path)):
            name, _, language, text, duration_s, speaker, labels = fields
            line = json.dumps(fields, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            head["crc32"] = zlib.crc32(line, head["crc32"])
            head["durations_s"].append(duration_s)
            head["digests"].append(_digest([name, language, text, speaker, labels, round(duration_s, 4)]))
            head["languages"].setdefault(language, position)
            if text is None:
                head["untranscribed"].append(position)
        if _content_digest(path) != digest:
            raise InputError(
                f"{path} changed while it was read",
                expected="a file that stays as it is",
                received="another content",
                action="start again when nothing writes to it any more",
            )
    write_text(index.with_suffix(".json"), json.dumps(head))


def _digest(fields: list) -> int:
    text = json.dumps(fields, sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
