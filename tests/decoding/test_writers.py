"""Every format, found by itself, and each read back."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from speech_mtl.datatypes import Alternative, Hypothesis, Token
from speech_mtl.decoding.words import words
from speech_mtl.decoding.writers import CUE_LETTERS, CUE_S, SUBTITLES, WRITERS, find_writer
from speech_mtl.errors import InputError

LABELS: Mapping[str, Any] = {"mood": "calm", "sounds": {"music": 1}}


def recognised(
    text: str, name: str = "a.wav", letter_s: float = 0.1, start_s: float = 0.0, spaced: bool = True
) -> Hypothesis:
    """Every letter is a token of the same length; their probabilities fall."""
    tokens = (
        Token(letter, start_s + i * letter_s, start_s + (i + 1) * letter_s, -0.01 * i) for i, letter in enumerate(text)
    )
    return Hypothesis(name, "en", text, -0.12345, {}, tuple(tokens), spaced)


SENTENCE = " ".join(f"word{i}" for i in range(40))
HYPOTHESES = [
    recognised(""),
    recognised("the quick brown fox"),
    recognised(SENTENCE, letter_s=0.04),
    recognised("slow words", letter_s=1.5),
    recognised("你好吗", spaced=False),
    recognised("a & b <i>", "/tmp/ä name%20;; x.wav", start_s=3723.4567),
]

for_every_format = pytest.mark.parametrize("name", WRITERS)


@for_every_format
def test_a_format_is_described_and_writes_whole_lines(name: str):
    assert (WRITERS[name].__doc__ or "").endswith((".", ".\n    "))
    for hypothesis in HYPOTHESES:
        text = WRITERS[name]([hypothesis], [{}])
        assert text == "" or text.endswith("\n")
        for word in words(hypothesis):
            assert word.text in text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")


@for_every_format
def test_several_hypotheses_of_a_recording_come_after_one_another(name: str):
    first, second = recognised("one", start_s=0.0), recognised("two", start_s=30.0)
    text = WRITERS[name]([first, second], [{}, {}])
    assert text.index("one") < text.index("two")
    if name not in SUBTITLES:
        assert text == WRITERS[name]([first], [{}]) + WRITERS[name]([second], [{}])


@for_every_format
def test_names_that_are_no_text_are_written(name: str):
    text = WRITERS[name]([recognised("abc", "a\udcff\x9b\n.wav")], [{}])
    assert len(text.encode().splitlines()) == len(text.split("\n")) - 1


@for_every_format
def test_a_format_has_a_place_for_labels_and_for_several_recordings_or_is_refused(name: str):
    assert find_writer(name) is WRITERS[name]
    has_labels = "calm" in WRITERS[name]([recognised("abc")], [LABELS])
    cases: list[tuple[bool, dict[str, Any]]] = [(has_labels, {"labels": True})]
    cases.append((name not in SUBTITLES, {"num_recordings_a_file": 2}))
    for keeps, arguments in cases:
        if keeps:
            assert find_writer(name, **arguments) is WRITERS[name]
        else:
            with pytest.raises(InputError, match=f"format {name} h") as caught:
                find_writer(name, **arguments)
            assert name not in caught.value.expected


def test_an_unknown_format_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no format 'doc'") as caught:
        find_writer("doc")
    assert caught.value.expected == "one of " + ", ".join(WRITERS)


def test_txt_is_the_text():
    assert WRITERS["txt"](HYPOTHESES[:2], [{}, {}]) == "\nthe quick brown fox\n"


def test_tsv_has_recording_text_and_labels():
    assert next(iter(WRITERS)) == "tsv"
    hypothesis = recognised("the fox", "a\tb.wav")
    assert WRITERS["tsv"]([hypothesis], [LABELS]) == "a\\tb.wav\tthe fox\tmood=calm\tsounds={music: 1}\n"


def test_json_is_read_back():
    hypotheses = [*HYPOTHESES, recognised("x", "a\udcff\x9b\n.wav")]
    lines = WRITERS["json"](hypotheses, [LABELS] * len(hypotheses)).splitlines()
    assert all("alternatives" not in json.loads(line) for line in lines)
    others = replace(hypotheses[0], alternatives=(Alternative("b", -0.51234),))
    assert json.loads(WRITERS["json"]([others], [LABELS]))["alternatives"] == [{"text": "b", "score": -0.5123}]
    for line, hypothesis in zip(lines, hypotheses, strict=True):
        record = json.loads(line)
        assert (record["id"], record["text"], record["language"]) == (hypothesis.id, hypothesis.text, "en")
        assert record["score"] == pytest.approx(hypothesis.score, abs=1e-4)
        assert record["labels"] == LABELS
        assert [tuple(token.values()) for token in record["tokens"]] == [
            (token.text, *(pytest.approx(value, abs=1e-4) for value in token[1:])) for token in hypothesis.tokens
        ]
        assert [word["text"] for word in record["words"]] == [word.text for word in words(hypothesis)]
        assert all(0 < word["confidence"] <= 1 for word in record["words"])


def test_ctm_has_six_columns_a_word():
    for hypothesis in HYPOTHESES:
        lines = WRITERS["ctm"]([hypothesis], [{}]).splitlines()
        for line, word in zip(lines, words(hypothesis), strict=True):
            name, channel, start_s, duration_s, text, confidence = line.split(" ")
            assert (unquote(name), channel, text) == (hypothesis.id, "1", word.text)
            assert not line.startswith(";")
            numbers = (float(start_s), float(duration_s), float(confidence))
            expected = (word.start_s, word.end_s - word.start_s, word.confidence)
            assert numbers == pytest.approx(expected, abs=6e-4)


def cues(text: str, separator: str) -> list[tuple[float, float, str]]:
    """Reads subtitles: blocks between empty lines, whose second to last line has the times."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        *_, times, words_of_cue = block.split("\n")
        clock = rf"(\d{{2,}}):([0-5]\d):([0-5]\d){re.escape(separator)}(\d{{3}})"
        match = re.fullmatch(f"{clock} --> {clock}", times)
        assert match, times
        hours, minutes, seconds, thousandths = (list(map(int, match.groups()[i::4])) for i in range(4))
        start_s, end_s = (hours[i] * 3600 + minutes[i] * 60 + seconds[i] + thousandths[i] / 1000 for i in (0, 1))
        found.append((start_s, end_s, words_of_cue))
    return found


@pytest.mark.parametrize("hypothesis", HYPOTHESES, ids=lambda one: one.text[:9])
@pytest.mark.parametrize("name", SUBTITLES)
def test_subtitles_are_read_back(name: str, hypothesis: Hypothesis):
    text = WRITERS[name]([hypothesis], [{}])
    if name == "vtt":
        assert text.startswith("WEBVTT\n\n")
        text = text.removeprefix("WEBVTT\n\n")
        assert not re.search("<(?!i)|&(?!amp;|lt;|gt;)", text)
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    found, spoken = cues(text, {"srt": ",", "vtt": "."}[name]) if hypothesis.text else [], words(hypothesis)
    if name == "srt" and found:
        numbers = [block.split("\n")[0] for block in text.removesuffix("\n\n").split("\n\n")]
        assert numbers == [str(i + 1) for i in range(len(found))]
    assert (" " if hypothesis.spaced else "").join(cue for _, _, cue in found) == hypothesis.text
    edges = [edge for start_s, end_s, _ in found for edge in (start_s, end_s)]
    assert edges == sorted(edges)
    assert (
        [edges[0], edges[-1]] == pytest.approx([spoken[0].start_s, spoken[-1].end_s], abs=1e-3) if spoken else not edges
    )
    for start_s, end_s, cue in found:
        assert start_s < end_s
        assert len(cue) <= CUE_LETTERS
        assert end_s - start_s <= CUE_S + 1e-3 or " " not in cue


def test_a_pause_begins_another_subtitle():
    before, after = recognised("before it").tokens, recognised("after it", start_s=2.1).tokens
    gap = Token(" ", 0.9, 0.94, -0.1)
    for pause_s, number in ((1.3, 2), (0.9, 1)):
        moved = (
            token._replace(start_s=token.start_s - 1.2 + pause_s, end_s=token.end_s - 1.2 + pause_s) for token in after
        )
        hypothesis = Hypothesis("a", "en", "before it after it", -1.0, {}, (*before, gap, *moved))
        assert len(cues(WRITERS["srt"]([hypothesis], [{}]), ",")) == number


def test_clocks_carry():
    hypothesis = Hypothesis("a", "en", "x", -1.0, {}, (Token("x", 59.9996, 3599.9999, math.log(0.5)),))
    assert "00:01:00,000 --> 01:00:00,000\nx\n" in WRITERS["srt"]([hypothesis], [{}])
