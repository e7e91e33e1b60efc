import json
import logging
import math
from dataclasses import replace
from typing import Any

import pytest

from speech_mtl.datatypes import Calibration, Hypothesis, Token
from speech_mtl.decoding.words import words
from speech_mtl.errors import InputError
from speech_mtl.run.calibration import (
    FEWEST_WORDS,
    RecognizedWord,
    recognized_words,
    save_calibrations,
    saved_calibrations,
)
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.folder import Run
from speech_mtl.screen import Screen
from speech_mtl.settings.decoding import BeamDecoding, DecodingSettings

QUIET = Screen(quiet=True)
WORDS = [RecognizedWord(0.5 + i / 300, 1 + i % 5, i % 3 > 0) for i in range(FEWEST_WORDS)]


OTHER = BeamDecoding(lm="none")
"""Another way to decode."""


@pytest.fixture
def decoding() -> DecodingSettings:
    return DecodingSettings.usual()


@pytest.fixture
def run(with_settings: Any) -> Run:
    return with_settings("calibrated", {})


def recognised(text: str, calibration: Calibration | None = None) -> Hypothesis:
    tokens = tuple(Token(letter, i / 10, (i + 1) / 10, math.log(0.8)) for i, letter in enumerate(text))
    return Hypothesis("x", "aa", text, -1.0, {}, tokens, calibration=calibration)


def test_hits_are_right_and_confidences_are_as_they_were():
    references = ["ab c d", None, "", "a b"]
    hypotheses = [recognised(text, Calibration(1.0, 2.0, 3.0)) for text in ("ab x d e", "ab", "ab", "")]
    found = recognized_words(references, hypotheses)
    assert [(word.num_letters, word.right) for word in found] == [
        *((2, True), (1, False), (1, True), (1, False)),
        (2, False),
    ]
    assert [word.confidence for word in found] == pytest.approx([0.8] * 5)


def test_characters_are_judged_where_spaces_separate_no_words():
    hypothesis = replace(recognised("\u4f60\u597d\u5417"), spaced=False)
    assert [word.right for word in recognized_words(["\u4f60\u597d"], [hypothesis])] == [True, True, False]


def test_what_is_saved_is_found_again_for_the_same_weights_and_decoder(run: Run, decoding: DecodingSettings):
    assert saved_calibrations(run, weights_digest(run), decoding) == {}
    with Screen.to_file(run.path / "told") as screen:
        save_calibrations(run, weights_digest(run), decoding, {"aa": WORDS, "bb": WORDS[1:]}, screen)
    assert "(bb: 99): their confidences are not calibrated" in (run.path / "told").read_text(encoding="utf-8")
    found = saved_calibrations(run, weights_digest(run), decoding)
    assert list(found) == ["aa"]
    (record,) = json.loads(run.calibration_path.read_text(encoding="utf-8"))
    assert (record["num_words"], record["decoder"]) == (FEWEST_WORDS, {"kind": "greedy", "language_model": None})
    assert found["aa"] == (record["slope"], record["length"], record["intercept"])


def test_other_decoders_and_languages_keep_theirs(
    run: Run, decoding: DecodingSettings, caplog: pytest.LogCaptureFixture
):
    save_calibrations(run, weights_digest(run), decoding, {"aa": WORDS, "bb": WORDS}, QUIET)
    before = saved_calibrations(run, weights_digest(run), decoding)
    save_calibrations(run, weights_digest(run), OTHER, {"aa": WORDS[::-1]}, QUIET)
    save_calibrations(run, weights_digest(run), decoding, {"aa": [*WORDS, *WORDS[:50]]}, QUIET)
    after = saved_calibrations(run, weights_digest(run), decoding)
    assert after["bb"] == before["bb"]
    assert after["aa"] != before["aa"]
    assert list(saved_calibrations(run, weights_digest(run), OTHER)) == ["aa"]
    beams = [BeamDecoding(lm="none", num_best=number) for number in (1, 5)]
    save_calibrations(run, weights_digest(run), beams[0], {"aa": WORDS}, QUIET)
    assert list(saved_calibrations(run, weights_digest(run), beams[1])) == ["aa"], "it has the same best text"
    assert not caplog.messages


def test_too_few_words_remove_what_was_there(run: Run, decoding: DecodingSettings):
    save_calibrations(run, weights_digest(run), decoding, {"aa": WORDS}, QUIET)
    save_calibrations(run, weights_digest(run), decoding, {"aa": WORDS[1:]}, QUIET)
    assert not run.calibration_path.exists()


def test_of_other_weights_or_another_decoder_none_is_used_and_that_is_told(
    run: Run, decoding: DecodingSettings, caplog: pytest.LogCaptureFixture
):
    save_calibrations(run, weights_digest(run), decoding, {"aa": WORDS}, QUIET)
    assert saved_calibrations(run, weights_digest(run), OTHER) == {}
    (run.path / "tokenizers" / "aa.json").write_text("{}", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert saved_calibrations(run, weights_digest(run), decoding) == {}
    assert len(caplog.messages) == 2
    assert all("is not used: confidences are not calibrated" in message for message in caplog.messages)
    save_calibrations(run, weights_digest(run), OTHER, {"bb": WORDS}, QUIET)
    assert [one["language"] for one in json.loads(run.calibration_path.read_text(encoding="utf-8"))] == ["bb"]


def test_a_damaged_file_is_refused(run: Run, decoding: DecodingSettings):
    run.calibration_path.write_text('[{"language": "aa"}]', encoding="utf-8")
    with pytest.raises(InputError, match=r"calibration\.json.*missing"):
        saved_calibrations(run, weights_digest(run), decoding)
    with pytest.raises(InputError):
        load_recognizer(run)
    assert load_recognizer(run, calibrated=False).calibrations == {}


def test_evaluating_the_validation_set_calibrates_what_is_recognised(
    run: Run, monkeypatch: pytest.MonkeyPatch, speak: Any
):
    evaluate(run, ["test"])
    assert not run.calibration_path.exists()
    monkeypatch.setattr("speech_mtl.run.calibration.FEWEST_WORDS", 2)
    evaluate(run, ["dev"])
    plain, recognizer = load_recognizer(run, calibrated=False), load_recognizer(run)
    assert recognizer.calibrations.keys() == {"aa", "bb"}
    (raw,), (hypothesis,) = plain.transcribe([speak("abcd")], "aa"), recognizer.transcribe([speak("abcd")], "aa")
    assert hypothesis == replace(raw, calibration=recognizer.calibrations["aa"], labels=hypothesis.labels)
    (before,), (after,) = words(raw), words(hypothesis)
    expected = recognizer.calibrations["aa"].probability(before.confidence, len(before.text))
    assert after.confidence == pytest.approx(expected)
    evaluate(run, ["dev"])
    assert load_recognizer(run).calibrations == recognizer.calibrations
