"""The formats that transcripts are written in.

Each is a function: hypotheses of one recording, in the order of time, the labels of each, by name, and the recording's
seconds -> text that ends with a line feed. To add one, write the function and enter it; tests find it by themselves.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from speech_mtl.datatypes import Alternative, Hypothesis, Token
from speech_mtl.decoding.words import Word, words
from speech_mtl.errors import InputError, cell, refuse_missing

Labels = Sequence[Mapping[str, Any]]

Writer = Callable[[Sequence[Hypothesis], Labels, float], str]

CUE_LETTERS, CUE_S, PAUSE_S = 84, 7.0, 1.0
"""Most letters and seconds of a subtitle, and the pause after which another begins."""


def txt(hypotheses: Sequence[Hypothesis], _: Labels, __: float) -> str:
    """Texts alone, a line each."""
    return _lines(hypothesis.text for hypothesis in hypotheses)


def tsv(hypotheses: Sequence[Hypothesis], labels: Labels, _: float) -> str:
    """The recording, its text and labels as `name=value`, with tabs between them."""
    return _lines(
        "\t".join(map(cell, [hypothesis.id, hypothesis.text, *(f"{name}={_plain(own[name])}" for name in own)]))
        for hypothesis, own in zip(hypotheses, labels, strict=True)
    )


def json_lines(hypotheses: Sequence[Hypothesis], labels: Labels, _: float) -> str:
    """A JSON object a line: the text with its score, words and tokens with their times in seconds, and labels.

    Where the next best texts were asked for, these are its alternatives.
    """
    return _lines(
        _json(
            {
                "id": one.id,
                "language": one.language,
                "text": one.text,
                "score": round(one.score, 4),
                "words": [_record(word) for word in words(one)],
                "tokens": [_record(token) for token in one.tokens],
                "labels": dict(own),
                **({"alternatives": [_record(other) for other in one.alternatives]} if one.alternatives else {}),
            }
        )
        for one, own in zip(hypotheses, labels, strict=True)
    )


def ctm(hypotheses: Sequence[Hypothesis], _: Labels, __: float) -> str:
    """NIST's time-marked words: recording, channel, start, duration, word and confidence.

    Spaces separate these, and `;;` begins a comment: both are percent-encoded in the names of recordings, as is `%`.
    """
    return _lines(
        f"{_name(one.id)} 1 {word.start_s:.3f} {word.end_s - word.start_s:.3f} {word.text} {word.confidence:.3f}"
        for one in hypotheses
        for word in words(one)
    )


def srt(hypotheses: Sequence[Hypothesis], _: Labels, __: float) -> str:
    """SubRip subtitles."""
    cues = enumerate(_cues(hypotheses), 1)
    return "".join(f"{number}\n{_clock(a, ',')} --> {_clock(b, ',')}\n{text}\n\n" for number, (a, b, text) in cues)


def vtt(hypotheses: Sequence[Hypothesis], _: Labels, __: float) -> str:
    """WebVTT subtitles."""
    cues = [
        f"{_clock(start_s, '.')} --> {_clock(end_s, '.')}\n{escape(text, quote=False)}\n\n"
        for start_s, end_s, text in _cues(hypotheses)
    ]
    return "".join(["WEBVTT\n\n", *cues])


def textgrid(hypotheses: Sequence[Hypothesis], _: Labels, duration_s: float) -> str:
    """Praat's TextGrid, with a tier `text` and a tier `words`, both as long as the recording."""
    from praatio.utilities import textgrid_io

    tiers = _tiers(hypotheses)
    end = max(1, round(duration_s * 1000), *(stop for _, stop, _ in tiers["words"])) / 1000  # Praat has no empty time
    grid = {
        "xmin": 0.0,
        "xmax": end,
        "tiers": [
            {
                "class": "IntervalTier",
                "name": name,
                "xmin": 0.0,
                "xmax": end,
                "entries": [(start / 1000, stop / 1000, text) for start, stop, text in intervals],
            }
            for name, intervals in tiers.items()
        ],
    }
    return textgrid_io.getTextgridAsStr(grid, "long_textgrid", includeBlankSpaces=True)


def eaf(hypotheses: Sequence[Hypothesis], _: Labels, __: float) -> str:
    """ELAN's annotations, with a tier `text`, and below it a tier `words`."""
    from pympi.Elan import Eaf, to_string

    elan = Eaf(author="speech-mtl")
    elan.remove_tier("default")
    elan.add_linguistic_type("included", constraints="Included_In")
    elan.add_tier("text")
    elan.add_tier("words", ling="included", parent="text")
    for name in dict.fromkeys(hypothesis.id for hypothesis in hypotheses):
        path = Path(cell(name)).absolute()  # ELAN writes it as it is, and tries the relative one where it is not
        url = "file://" + path.as_posix() if path.as_posix().startswith("/") else "file:///" + path.as_posix()
        mime = "audio/x-wav" if path.suffix.lower() == ".wav" else "audio/*"
        elan.add_linked_file(url, f"./{path.name}", mime)
    for name, intervals in _tiers(hypotheses).items():
        for start, stop, text in intervals:
            elan.add_annotation(name, start, stop, text)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{to_string(elan)}\n'


LABELLED: dict[str, Writer] = {"tsv": tsv, "json": json_lines}
"""Formats that have a place for labels."""

CONFIDENT = ("json", "ctm")
"""Formats with the confidences of words."""

ANNOTATION: dict[str, tuple[Writer, str]] = {
    "TextGrid": (textgrid, "praatio.utilities.textgrid_io"),
    "eaf": (eaf, "pympi.Elan"),
}
"""Formats of programs for annotation, each with the package that it needs; the extra `annotation` has these."""

ONE_RECORDING: dict[str, Writer] = {"srt": srt, "vtt": vtt, **{name: own for name, (own, _) in ANNOTATION.items()}}
"""Formats of one recording a file, as their times have no other."""

WRITERS: dict[str, Writer] = {**LABELLED, "txt": txt, "ctm": ctm, **ONE_RECORDING}
"""Every format, by its name and the ending of its files; the first is the usual one."""


def find_writer(name: str, labels: bool = False, num_recordings_a_file: int = 1) -> Writer:
    """The writer of a format that is to hold labels, and so many recordings in one file.

    Raises:
        InputError: There is none of that name, or it cannot hold them, or its package is not installed.
    """
    if name not in WRITERS:
        fitting, problem = WRITERS.keys(), f"There is no format {name!r}"
    elif labels and name not in LABELLED:
        fitting, problem = LABELLED.keys(), f"The format {name} has no place for labels"
    elif num_recordings_a_file > 1 and name in ONE_RECORDING:
        fitting, problem = WRITERS.keys() - ONE_RECORDING, f"The format {name} holds one recording a file"
    else:
        if name in ANNOTATION:
            refuse_missing(ANNOTATION[name][1], extra="annotation", purpose=f"Writing {name}")
        return WRITERS[name]
    raise InputError(
        problem,
        expected="one of " + ", ".join(one for one in WRITERS if one in fitting),
        received=f"--format {name}" + " --labels" * labels + f" for {num_recordings_a_file} recordings",
        action="name one of these formats; --out FOLDER writes a file for each recording",
    )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _plain(value: Any) -> str:
    """A label as JSON without quotation marks."""
    return json.dumps(value, ensure_ascii=False).replace('"', "")


def _json(value: object) -> str:
    """JSON that every terminal and file takes: what is no letter of UTF-8, and controls of terminals, are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _record(one: Word | Token | Alternative) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in one._asdict().items()}


def _name(recording: str) -> str:
    return re.sub(r"[\s%;]", lambda match: quote(match[0], safe=""), cell(recording))


def _tiers(hypotheses: Iterable[Hypothesis]) -> dict[str, list[tuple[int, int, str]]]:
    """By tier, intervals that neither are empty nor overlap: start and end in milliseconds, and the text.

    What begins before the last one has ended is moved behind it: words that share a token begin at the same time.
    """
    texts, intervals, end = [], [], 0
    for hypothesis in hypotheses:
        first = len(intervals)
        for word in words(hypothesis):
            start = max(end, round(word.start_s * 1000))
            end = max(start + 1, round(word.end_s * 1000))
            intervals.append((start, end, word.text))
        if len(intervals) > first:
            texts.append((intervals[first][0], end, hypothesis.text.strip()))
    return {"text": texts, "words": intervals}


def _cues(hypotheses: Sequence[Hypothesis]) -> Iterator[tuple[float, float, str]]:
    """Subtitles: start and end in seconds, and the text, which is that of the hypotheses from word to word."""
    for hypothesis in hypotheses:
        end = 0
        for group in _grouped(words(hypothesis)):
            start = hypothesis.text.index(group[0].text, end)
            end = start
            for word in group:
                end = hypothesis.text.index(word.text, end) + len(word.text)
            yield group[0].start_s, group[-1].end_s, hypothesis.text[start:end]


def _grouped(found: Iterable[Word]) -> Iterator[list[Word]]:
    """Words by subtitle."""
    group: list[Word] = []
    for word in found:
        letters = sum(len(other.text) + 1 for other in group) + len(word.text)
        if group and (
            letters > CUE_LETTERS or word.end_s - group[0].start_s > CUE_S or word.start_s - group[-1].end_s > PAUSE_S
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _clock(seconds: float, separator: str) -> str:
    """`01:02:03,456`."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{separator}{milliseconds:03}"
