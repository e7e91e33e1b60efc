"""Kaldi data folders: `{train,dev,test}/{wav.scp,text,utt2spk}`, and speaker labels from `spk2age` and `spk2gender`.

Where there is a file `segments`, utterances are stretches of the recordings in `wav.scp`. Lines are brought together by
their ids, whatever their order. `spk2utt` is not read: `utt2spk` has the same content.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_scripts.command_line import SHOWN, corpus_app
from data_scripts.corpus import Corpus, Part, Record, cut, existing_folder, gender
from data_scripts.tables import Row, Unusable, read_keyed_table
from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import InputError, printable

TABLES = {"wav.scp": "audio", "text": "text", "utt2spk": "speaker"}
"""The files of a split, and the field of an utterance in each."""

SEGMENTS = "segments"
"""The optional file with utterances that are stretches of recordings."""

FIELDS = {**TABLES, SEGMENTS: "segment"}

LABELS = {"age": "spk2age", "gender": "spk2gender"}
"""Labels of utterances, and the optional files that give them for speakers."""

LAYOUT = "{train,dev,test}/ or data/{train,dev,test}/ with " + ", ".join(TABLES)

NO_PATH = re.compile(r"\|$|^\||^-$|:\d+(\[[\d:,]*\])?$")
"""What stands for a command, a stream or a place in an archive where there may be a path."""

Entries = dict[str, Row]
"""Lines of a file by their ids."""


def records(part: Part) -> list[Record | Unusable] | None:
    """The utterances of which a split's files speak.

    Raises:
        InputError: The folder is none of Kaldi's, a file is missing, or audio comes out of a command or an archive: no
            command is run.
    """
    corpus = existing_folder(part.corpus, LAYOUT)
    folder = _data_folder(corpus) / part.split
    if not os.path.lexists(folder):
        return None
    found: list[Record | Unusable] = []
    tables = {name: _entries(folder / name, found) for name in TABLES}
    recordings: Entries = {}
    if os.path.lexists(folder / SEGMENTS):
        recordings = tables.pop("wav.scp")
        tables = {SEGMENTS: _entries(folder / SEGMENTS, found), **tables}
    speakers = {id: row.cells["value"] for id, row in tables["utt2spk"].items()}
    unknown = _are_unknown(speakers, folder / "utt2spk", part)
    labels = {
        label: _of_speakers(folder / name, label, speakers.values(), found, part)
        for label, name in LABELS.items()
        if os.path.lexists(folder / name)
    }
    ids = dict.fromkeys(id for table in tables.values() for id in table)
    for id in ids:
        rows = {name: table[id] for name, table in tables.items() if id in table}
        speaker = speakers.get(id)
        own = {label: values.get(speaker) for label, values in labels.items()}
        if problem := _unusable(id, rows, tables):
            found.append(problem)
            continue
        record = Record(id, corpus, rows["text"].cells["value"], None if unknown else speaker, "", own)
        if SEGMENTS in rows:
            found.append(_segment(record, rows[SEGMENTS], recordings, corpus))
        else:
            found.append(replace(record, audio=_audio(rows["wav.scp"], corpus), source=rows["wav.scp"].source))
    return found


def _data_folder(corpus: Path) -> Path:
    """The folder that holds those of the splits."""
    places = [
        place
        for place in (corpus, corpus / "data")
        if any(os.path.lexists(place / split / "wav.scp") for split in SPLITS)
    ]
    if len(places) == 1:
        return places[0]
    raise InputError(
        f"{corpus}: {'Kaldi data folders in two places' if places else 'no Kaldi data folders'}",
        expected=LAYOUT,
        received=" and ".join(map(str, places)) or "no wav.scp in any split's folder",
        action="remove those that are not to be read"
        if places
        else "give the folder to which paths in wav.scp are relative, and call the splits' folders train, dev and test",
    )


def _entries(path: Path, unusable: list[Record | Unusable]) -> Entries:
    """The lines of a file; those that cannot be read, or repeat an id, are added to `unusable`."""
    entries: Entries = {}
    for row in read_keyed_table(path).rows:
        if isinstance(row, Unusable):
            unusable.append(row)
        elif row.cells["key"] in entries:
            id, first = row.cells["key"], entries[row.cells["key"]].source
            unusable.append(Unusable(row.source, "id comes twice", f"the id {id!r} comes twice, first in {first}"))
        else:
            entries[row.cells["key"]] = row
    return entries


def _are_unknown(speakers: Mapping[str, str], path: Path, part: Part) -> bool:
    """Whether every utterance is written as its own speaker, as Kaldi does where nobody knows who speaks."""
    unknown = bool(speakers) and all(id == speaker for id, speaker in speakers.items())
    if unknown:
        part.screen.say(f"{path}: every utterance has its own id as speaker, so the speakers count as unknown")
    return unknown


def _of_speakers(
    path: Path, label: str, speakers: Collection[str], unusable: list[Record | Unusable], part: Part
) -> Mapping[str | None, Any]:
    """The label of each speaker in a file, with its type; reports speakers without one."""
    entries: dict[str | None, Any] = {}
    for speaker, row in _entries(path, unusable).items():
        if problem := _problem(speaker, row, label, one_word=True):
            unusable.append(problem)
        else:
            entries[speaker] = gender(row.cells["value"]) if label == "gender" else row.value("value")
    if missing := sorted(set(speakers) - entries.keys()):
        names = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else "")
        part.screen.warn(
            printable(f"{path}: no {label} of {len(missing):,} of {len(set(speakers)):,} speakers: {names}")
        )
    return entries


def _unusable(id: str, rows: Mapping[str, Row], tables: Iterable[str]) -> Unusable | None:
    """What keeps an utterance from being used, going by its lines in the tables."""
    for name in tables:
        if name not in rows:
            there = next(iter(rows.values()))
            return Unusable(there.source, f"not in {name}", f"the id {id!r} is not in {name}")
        if problem := _problem(id, rows[name], FIELDS[name], one_word=name == "utt2spk"):
            return problem
    return None


def _problem(id: str, row: Row, what: str, *, one_word: bool) -> Unusable | None:
    value = row.cells["value"]
    if not value.strip():
        return Unusable(row.source, f"without {what}", f"the id {id!r} has no {what}")
    if "\r" in value:
        return Unusable(
            row.source, "carriage return in a line", f"a carriage return \\r stands in the {what} of {id!r}"
        )
    if one_word and len(value.split()) > 1:
        return Unusable(row.source, f"more than one {what}", f"the id {id!r} has more than one {what}: {value}")
    return None


def _segment(record: Record, row: Row, recordings: Entries, corpus: Path) -> Record | Unusable:
    """The utterance of a line of `segments`: its recording, where it begins and ends, and perhaps its channel."""
    recording, *rest = row.cells["value"].split()
    try:
        start_s, end_s, channel = float(rest[0]), float(rest[1]), int(rest[2]) if len(rest) > 2 else None
    except (ValueError, IndexError):
        return Unusable(row.source, "not a segment", f"not `recording start end`: {row.cells['value']!r}")
    if recording not in recordings or not recordings[recording].cells["value"].strip():
        return Unusable(row.source, "not in wav.scp", f"the recording {recording!r} has no audio in wav.scp")
    return cut(replace(record, audio=_audio(recordings[recording], corpus), source=row.source), start_s, end_s, channel)


def _audio(row: Row, corpus: Path) -> Path:
    """The audio file that a line of `wav.scp` names."""
    name = row.cells["value"]
    _refuse_no_path(row.source, name)
    top = Path(os.path.normpath(corpus.absolute()))
    audio = Path(os.path.normpath(top / name))
    if not os.path.lexists(audio) and os.path.lexists(top.parent / name):
        raise InputError(
            f"{row.source}: a path that begins above the corpus",
            expected=f"a path relative to {corpus}",
            received=name,
            action=f"give the folder above, {top.parent}",
        )
    return audio


def _refuse_no_path(where: str, name: str) -> None:
    if NO_PATH.search(name):
        raise InputError(
            f"{where}: a command or a place in an archive, which is not opened",
            expected="the path of an audio file, relative to the corpus",
            received=name,
            action="write the audio to a file of the corpus, as Kaldi's `wav-copy` does, and name that file",
        )


CORPUS = Corpus(
    title="Kaldi data folders",
    layout=LAYOUT,
    example="python -m data_scripts.kaldi corpora/alffa_amharic data --language am",
    records=records,
)
app = corpus_app(CORPUS)

if __name__ == "__main__":
    app()
