"""Every format, found by itself, and each read back."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from speech_mtl.datatypes import Alternative, Calibration, Hypothesis, Token
from speech_mtl.decoding.words import words
from speech_mtl.decoding.writers import ANNOTATION, CONFIDENT, CUE_LETTERS, CUE_S, ONE_RECORDING, WRITERS, find_writer
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

for_every_format = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(
                    find_spec(ANNOTATION[name][1].partition(".")[0]) is None, reason=f"without {ANNOTATION[name][1]}"
                )
            ]
            if name in ANNOTATION
            else [],
        )
        for name in WRITERS
    ],
)


@for_every_format
def test_a_format_is_described_and_writes_whole_lines(name: str):
    assert (WRITERS[name].__doc__ or "").endswith((".", ".\n    "))
    for hypothesis in HYPOTHESES:
        text = WRITERS[name]([hypothesis], [{}], 1.0)
        assert text == "" or text.endswith("\n")
        for word in words(hypothesis):
            assert word.text in text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")


@for_every_format
def test_several_hypotheses_of_a_recording_come_after_one_another(name: str):
    first, second = recognised("one", start_s=0.0), recognised("two", start_s=30.0)
    text = WRITERS[name]([first, second], [{}, {}], 1.0)
    assert text.index("one") < text.index("two")
    if name not in ONE_RECORDING:
        assert text == WRITERS[name]([first], [{}], 1.0) + WRITERS[name]([second], [{}], 1.0)


@for_every_format
def test_a_format_is_named_if_it_has_confidences(name: str):
    plain = recognised("one two")
    calibrated = replace(plain, calibration=Calibration(1.0, 0.0, -1.0))
    texts = [re.sub(' DATE="[^"]*"', "", WRITERS[name]([one], [{}], 1.0)) for one in (plain, calibrated)]
    assert (texts[0] != texts[1]) == (name in CONFIDENT)


@for_every_format
def test_names_that_are_no_text_are_written(name: str):
    text = WRITERS[name]([recognised("abc", "a\udcff\x9b\n.wav")], [{}], 1.0)
    assert len(text.encode().splitlines()) == len(text.split("\n")) - 1


@for_every_format
def test_a_format_has_a_place_for_labels_and_for_several_recordings_or_is_refused(name: str):
    assert find_writer(name) is WRITERS[name]
    has_labels = "calm" in WRITERS[name]([recognised("abc")], [LABELS], 1.0)
    cases: list[tuple[bool, dict[str, Any]]] = [(has_labels, {"labels": True})]
    cases.append((name not in ONE_RECORDING, {"num_recordings_a_file": 2}))
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
    assert WRITERS["txt"](HYPOTHESES[:2], [{}, {}], 1.0) == "\nthe quick brown fox\n"


def test_tsv_has_recording_text_and_labels():
    assert next(iter(WRITERS)) == "tsv"
    hypothesis = recognised("the fox", "a\tb.wav")
    assert WRITERS["tsv"]([hypothesis], [LABELS], 1.0) == "a\\tb.wav\tthe fox\tmood=calm\tsounds={music: 1}\n"


def test_json_is_read_back():
    hypotheses = [*HYPOTHESES, recognised("x", "a\udcff\x9b\n.wav")]
    lines = WRITERS["json"](hypotheses, [LABELS] * len(hypotheses), 1.0).splitlines()
    assert all("alternatives" not in json.loads(line) for line in lines)
    others = replace(hypotheses[0], alternatives=(Alternative("b", -0.51234),))
    assert json.loads(WRITERS["json"]([others], [LABELS], 1.0))["alternatives"] == [{"text": "b", "score": -0.5123}]
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
        lines = WRITERS["ctm"]([hypothesis], [{}], 1.0).splitlines()
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
@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_subtitles_are_read_back(name: str, hypothesis: Hypothesis):
    text = WRITERS[name]([hypothesis], [{}], 1.0)
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
        assert len(cues(WRITERS["srt"]([hypothesis], [{}], 1.0), ",")) == number


def test_clocks_carry():
    hypothesis = Hypothesis("a", "en", "x", -1.0, {}, (Token("x", 60.0396, 3599.9599, math.log(0.5)),))
    assert "00:01:00,000 --> 01:00:00,000\nx\n" in WRITERS["srt"]([hypothesis], [{}], 1.0)


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_format_whose_package_is_missing_or_broken_is_refused_before_anything_is_recognised(
    monkeypatch: pytest.MonkeyPatch, is_broken: bool
):
    def failing(module: str) -> None:
        raise ImportError("a symbol") if is_broken else ModuleNotFoundError(name=module.partition(".")[0])

    monkeypatch.setattr("speech_mtl.errors.import_module", failing)
    why = "cannot be imported" if is_broken else "is not installed"
    for name, (_, module) in ANNOTATION.items():
        package = module.partition(".")[0]
        with pytest.raises(InputError, match=f"Writing {name} needs the package '{package}', which {why}") as caught:
            find_writer(name)
        assert "speech-mtl[annotation]" in caught.value.action


def of_recording() -> list[Hypothesis]:
    """Two stretches of a recording that is longer than both, with what has to be escaped."""
    return [
        Hypothesis(
            "no such/a \u00e4.wav", "en", text, -1.0, {}, recognised(text, start_s=start_s).tokens, True, 12.3456
        )
        for text, start_s in (('the "quick" & <b>', 0.5), ("fox", 7.0), ("", 9.0))
    ]


def intervals(hypotheses: list[Hypothesis]) -> dict[str, list[tuple[float, float, str]]]:
    """What both formats hold, in seconds."""
    found = [words(hypothesis) for hypothesis in hypotheses]
    return {
        "text": [
            (round(own[0].start_s, 3), round(own[-1].end_s, 3), hypothesis.text)
            for own, hypothesis in zip(found, hypotheses, strict=True)
            if own
        ],
        "words": [(round(word.start_s, 3), round(word.end_s, 3), word.text) for own in found for word in own],
    }


def test_textgrid_is_read_back(tmp_path: Path):
    textgrid = pytest.importorskip("praatio.textgrid")
    path = tmp_path / "a.TextGrid"
    path.write_text(WRITERS["TextGrid"](of_recording(), [{}] * 3, 20.5), encoding="utf-8")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    assert grid.maxTimestamp == 20.5
    assert {tier.name: [tuple(entry) for entry in tier.entries] for tier in grid.tiers} == intervals(of_recording())
    filled = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    for tier in filled.tiers:  # Praat wants every moment in an interval
        assert [entry.start for entry in tier.entries] == [0.0, *(entry.end for entry in tier.entries[:-1])]
        assert tier.entries[-1].end == 20.5


def test_eaf_is_read_back(tmp_path: Path):
    elan = pytest.importorskip("pympi.Elan")
    path = tmp_path / "a.eaf"
    path.write_text(WRITERS["eaf"](of_recording(), [{}] * 3, 20.5), encoding="utf-8")
    read = elan.Eaf(str(path))
    tiers = {name: read.get_annotation_data_for_tier(name) for name in read.get_tier_names()}
    assert {
        name: [(start / 1000, end / 1000, text) for start, end, text in own] for name, own in tiers.items()
    } == intervals(of_recording())
    assert read.get_parameters_for_tier("words")["PARENT_REF"] == "text"
    (media,) = read.get_linked_files()
    assert media["MEDIA_URL"] == "file://" + (Path.cwd() / "no such" / "a \u00e4.wav").as_posix()
    assert media["RELATIVE_MEDIA_URL"] == "./a \u00e4.wav"


@pytest.mark.parametrize("name", ANNOTATION)
def test_words_that_share_a_token_do_not_overlap(name: str):
    pytest.importorskip(ANNOTATION[name][1])
    hypothesis = Hypothesis("a", "en", "a b c", -1.0, {}, (Token("a b c", 1.0, 1.0004, -0.1),))
    text = WRITERS[name]([hypothesis, hypothesis], [{}, {}], 1.0)
    numbers = re.findall(r'TIME_VALUE="(\d+)"|xm(?:in|ax) = ([\d.]+)', text)
    assert len({milliseconds or round(float(seconds) * 1000) for milliseconds, seconds in numbers} - {0}) == 7


@pytest.mark.parametrize(("duration_s", "end_s"), [(0.0, 0.001), (61.25, 61.25)])
def test_a_textgrid_of_silence_is_as_long_as_the_recording(tmp_path: Path, duration_s: float, end_s: float):
    textgrid = pytest.importorskip("praatio.textgrid")
    path = tmp_path / "a.TextGrid"
    path.write_text(WRITERS["TextGrid"]([], [], duration_s), encoding="utf-8")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True)
    assert [tier.maxTimestamp for tier in grid.tiers] == [end_s, end_s]
    assert [[tuple(entry) for entry in tier.entries] for tier in grid.tiers] == [[(0.0, end_s, "")]] * 2
