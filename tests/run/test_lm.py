"""Language models of a run: made from texts, tuned, used, and told in tables and caches."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.data.pinyin import PinyinTokenizer
from speech_mtl.data.subwords import BpeTokenizer
from speech_mtl.data.tokenizer import CharacterTokenizer, Tokenizer
from speech_mtl.datatypes import BLANK
from speech_mtl.decoding.language_model import LM_KINDS, best_row
from speech_mtl.errors import InputError
from speech_mtl.run.build import build_decoder, decoding_with
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.evaluated import SavedEvaluation, saved_evaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.lm import _Tuning, make_lm
from speech_mtl.run.lm_texts import HeldOut, Sentences
from speech_mtl.run.stored_lm import decoder_arguments, lm_folder, load_lm, read_record
from speech_mtl.settings.decoding import BeamDecoding


@pytest.fixture
def run(with_settings: Callable[..., Run]) -> Run:
    """A trained run of `aa` and `bb`, whose dev and test sentences are also in training."""
    return with_settings("run", {})


def texts(run: Run, split: str) -> set[str]:
    return {str(u.text) for u in read_manifest(manifest_path(run.recipe().data.dir, "aa", split))}


def test_held_out_sentences_are_found_as_they_are_and_long_ones_within_others():
    held_out = HeldOut(["yes", "the cat sat on the mat", ""])
    assert held_out.within("yes")
    assert not held_out.within("yes and no")
    assert held_out.within("she said the cat sat on the mat and left")
    assert not held_out.within("the cat sat on the rug and on a mat")
    assert not held_out.within("")


def test_what_is_left_out_is_counted():
    tokenizer = CharacterTokenizer.from_texts(["abc de"], "en")
    found = Sentences(tokenizer, HeldOut(["ab"]))
    source = found.add("text", ["Abc!\n", "abc\n", "\n", "ab\n", "cab dab\n", "xyz a\n", "...\n"])
    counts = {key: source[key] for key in ("used", "repeated", "held_out", "not_spelt", "empty")}
    assert counts == {"used": 2, "repeated": 1, "held_out": 1, "not_spelt": 1, "empty": 2}
    assert list(found.texts) == ["abc", "cab dab"]
    assert found.unknown == {"x": 1, "y": 1, "z": 1}


def test_is_made_from_training_and_texts_without_held_out_sentences(run: Run, tmp_path: Path):
    held_out = texts(run, "dev") | texts(run, "test")
    more = tmp_path / "more.txt"
    more.write_text("\n".join(["abba", "dada", "cab", *sorted(held_out)]) + "\n", encoding="utf-8")
    record, _ = make_lm(run, "AA", [more], word_order=2, token_order=3)
    wanted = (texts(run, "train") - held_out) | {"abba", "dada", "cab"}
    model = load_lm(run, "aa", run.tokenizers()["aa"])
    assert model.words is not None
    assert set(model.words.symbols) == {word for text in wanted for word in text.split()}
    assert [source["name"] for source in record["texts"]] == ["training transcripts", str(more)]
    assert record["texts"][1]["held_out"] == len(held_out)
    assert (model.tokens.order, model.words.order) == (3, 2)
    assert model.spellings["cab"] == tuple(run.tokenizers()["aa"].encode("cab"))
    assert not list(run.path.glob("lm/**/*.tmp"))


@pytest.mark.parametrize("text", ["превед медвед\nещё раз\n", "", "\n\n"])
def test_a_text_in_another_alphabet_or_without_one_is_refused(run: Run, tmp_path: Path, text: str):
    (tmp_path / "ru.txt").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"ru\.txt is no text in the alphabet of aa"):
        make_lm(run, "aa", [tmp_path / "ru.txt"])
    assert not lm_folder(run, "aa").exists()


def test_a_language_that_the_run_lacks_is_refused(run: Run):
    with pytest.raises(InputError, match="no output layer for the language 'cs'") as caught:
        make_lm(run, "cs")
    assert caught.value.expected == "one of aa, bb"


def test_tuning_finds_the_fewest_errors_of_all_that_it_tried(run: Run):
    _, table = make_lm(run, "aa", word_order=2, token_order=3, kinds=[None])
    record, model = read_record(run, "aa"), load_lm(run, "aa", run.tokenizers()["aa"])
    assert {row["lm"] for row in record["tuning"]} == set(LM_KINDS)
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    assert [row[0].removesuffix(" (used)").strip("| ") for row in rows[1:]][-3:] == list(LM_KINDS)
    everything = (lm_folder(run, "aa") / "tuning.md").read_text().splitlines()
    assert set(table.splitlines()) <= set(everything)
    assert len(everything) == len(table.splitlines()) - len(LM_KINDS) + len(record["tuning"])
    assert table.count("(used)") == 1
    best = best_row(record["tuning"], True)
    assert best is not None
    assert best["word_errors"] == min(row["word_errors"] for row in record["tuning"])
    assert model.weights(None, None, None) == (best["lm"], best["lm_weight"], best["word_score"])
    own = best_row([row for row in record["tuning"] if row["lm"] == "words"], True)
    assert own is not None
    assert model.weights("words", None, 7.0) == ("words", own["lm_weight"], 7.0)
    settings = {"width": 16, "lm": own["lm"], "lm_weight": own["lm_weight"], "word_score": own["word_score"]}
    (row,) = evaluate(run, ["dev"], ["aa"], decoding=BeamDecoding.model_validate(settings))
    errors = row["word_substitutions"] + row["word_deletions"] + row["word_insertions"]
    assert errors == own["word_errors"], "the errors of tuning are those of an evaluation"


@pytest.mark.parametrize("has_former", [False, True])
def test_one_that_is_interrupted_while_it_is_tuned_leaves_what_was_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, has_former: bool
):
    if has_former:
        make_lm(run, "aa", kinds=["tokens"])
    before = {path: path.read_bytes() for path in run.path.glob("lm/**/*.*")}
    count = _Tuning.__call__

    def interrupted(self: _Tuning, lm: str, lm_weight: float, word_score: float):
        if lm == "words":
            raise KeyboardInterrupt
        return count(self, lm, lm_weight, word_score)

    monkeypatch.setattr(_Tuning, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_lm(run, "aa", token_order=2, kinds=[None])
    assert {path: path.read_bytes() for path in run.path.glob("lm/**/*.*")} == before
    assert bool(before) == has_former


WEIGHTS: dict[str, Any] = {"lm": "words", "lm_weight": 1.0, "word_score": 0.0}


def test_only_words_of_the_texts_are_found_and_hot_words(run: Run):
    make_lm(run, "aa", word_order=2)
    evaluate(run, ["test"], ["aa"], decoding=BeamDecoding(**WEIGHTS))
    lines = (run.path / "hypotheses" / "aa-test.jsonl").read_text().splitlines()
    known = load_lm(run, "aa", run.tokenizers()["aa"]).spellings
    found = [json.loads(line)["hypothesis"] for line in lines]
    assert any(found)
    assert {word for text in found for word in text.split()} <= set(known)
    hot = BeamDecoding(**WEIGHTS, hot_words=("Dabba",), hot_word_score=500.0)
    evaluate(run, ["test"], ["aa"], decoding=hot)
    lines = (run.path / "hypotheses" / "aa-test.jsonl").read_text().splitlines()
    assert any("dabba" in json.loads(line)["hypothesis"].split() for line in lines)


def test_the_table_tells_the_decoder_and_the_language_model_enters_the_cache(run: Run):
    run.settings_path.write_text(
        run.recipe().overridden({"decoding": {"kind": "beam", **WEIGHTS}}).to_yaml(), encoding="utf-8"
    )
    for language in ("aa", "bb"):
        make_lm(run, language)
    rows = evaluate(run, ["dev"])
    told = (run.path / "evaluation.md").read_text().splitlines()[-1]
    assert told.startswith("Decoding: kind=beam, width=50, ")
    assert told.endswith("; aa: lm=words, lm_weight=1, word_score=0; bb: lm=words, lm_weight=1, word_score=0")
    assert saved_evaluation(run, ["dev"]) == rows
    make_lm(run, "aa", token_order=2)
    assert saved_evaluation(run, ["dev"]) is None
    evaluate(run, ["dev"])
    assert saved_evaluation(run, ["dev"]) is not None


def test_without_a_language_model_beam_search_says_what_to_do(run: Run):
    evaluate(run, ["dev"], ["aa"])
    decoding = decoding_with(run.recipe(), ["decoding.kind=beam"])
    with pytest.raises(InputError, match="no language model of aa") as caught:
        evaluate(run, ["dev"], ["aa"], decoding=decoding)
    assert "speech-mtl lm" in caught.value.action
    assert SavedEvaluation(run).evaluated_path.is_file(), "what was found before stays"
    make_lm(run, "aa")
    with pytest.raises(InputError, match="no tuned weights"):
        evaluate(run, ["dev"], ["aa"], decoding=decoding)


def test_one_of_another_alphabet_or_changed_files_are_refused(run: Run):
    make_lm(run, "aa")
    tokenizer = run.tokenizers()["aa"]
    other = CharacterTokenizer("aa", (*tokenizer.vocabulary, "ž"))
    with pytest.raises(InputError, match="another alphabet") as caught:
        load_lm(run, "aa", other)
    assert "without 'ž'" in caught.value.received
    shutil.copytree(lm_folder(run, "aa"), lm_folder(run, "bb"))
    with pytest.raises(InputError, match="another alphabet or language"):
        load_recognizer(run, BeamDecoding(**WEIGHTS)).decoder("bb")
    path = lm_folder(run, "aa") / "words.arpa"
    path.write_text(path.read_text().replace("-", "+", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.arpa is not as it was written"):
        load_lm(run, "aa", tokenizer)


def test_hot_words_that_no_language_can_spell_are_refused(run: Run):
    for words, message in ((("žž",), "Unknown characters"), (("...",), "no letters")):
        with pytest.raises(InputError, match=message):
            load_recognizer(run, BeamDecoding(lm="none", hot_words=words))


def test_a_hot_word_that_one_of_several_languages_can_spell_is_left_out_in_the_others(
    run: Run, caplog: pytest.LogCaptureFixture
):
    path = run.path / "tokenizers" / "bb.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"d"', '"z"'), encoding="utf-8")
    (run.best_folder() / "contents.json").unlink()
    decoding = BeamDecoding(lm="none", hot_words=("dab", "cab"))
    recognizer = load_recognizer(run, decoding)
    recognizer.decoder("aa")
    assert not caplog.messages
    recognizer.decoder("bb")
    assert caplog.messages == ["bb cannot spell 1 of 2 hot words, which are left out there: 'dab'"]
    with pytest.raises(InputError, match="Unknown characters in a text of bb: 'd'"):
        load_recognizer(run, decoding, languages=["bb"])


def test_alternatives_come_with_scores(run: Run, speak: Callable):
    recognizer = load_recognizer(run, BeamDecoding(lm="none", num_best=5))
    (found,) = recognizer.transcribe([speak("abcd")], "aa")
    assert 0 < len(found.alternatives) < 5
    scores = [found.score, *(other.score for other in found.alternatives)]
    assert scores == sorted(scores, reverse=True)
    assert len({found.text, *(other.text for other in found.alternatives)}) == len(scores)
    (greedy,) = load_recognizer(run).transcribe([speak("abcd")], "aa")
    (narrow,) = load_recognizer(run, BeamDecoding(lm="none", width=1)).transcribe([speak("abcd")], "aa")
    assert (narrow.text, narrow.tokens) == (greedy.text, greedy.tokens)
    assert greedy.alternatives == ()


def test_parts_of_words_have_no_hot_words(tmp_path: Path):
    pytest.importorskip("sentencepiece", reason="the optional extra `subwords` is not installed")
    tokenizer = BpeTokenizer.from_texts(["der hund und der hahn"], "de", size=20)
    settings = BeamDecoding(hot_words=("hund",), lm="none")
    with pytest.raises(InputError, match="so none can be hot"):
        decoder_arguments(Run(tmp_path), settings, {"de": tokenizer}, ["de"])


THAI = CharacterTokenizer.from_texts(["ผมชื่อสมชาย สมหาย"], "th")
ENGLISH = CharacterTokenizer.from_texts(["he said so as sat"], "en")
PINYIN = PinyinTokenizer.from_texts(["ni hao men"], "zh")


@pytest.mark.parametrize(
    ("tokenizer", "hot", "likely", "unlikely", "is_found"),
    [
        (THAI, "สมชาย", "ผมชื่อสมหาย", "ผมชื่อสมชาย", True),
        (ENGLISH, "sat", "he sas", "he sat", True),
        (ENGLISH, "sat", "hesas", "hesat", False),
        (PINYIN, "hao", "ni hae", "ni hao", True),
        (PINYIN, "hao", "nihae", "nihao", False),
    ],
)
def test_hot_words_may_lie_within_phrases_where_only_phrases_have_spaces(
    tmp_path: Path, tokenizer: Tokenizer, hot: str, likely: str, unlikely: str, is_found: bool
):
    assert " " in tokenizer.vocabulary
    settings, language = BeamDecoding(hot_words=(hot,), lm="none"), tokenizer.language
    given = decoder_arguments(Run(tmp_path), settings, {language: tokenizer}, [language])
    one, other = (np.eye(len(tokenizer))[tokenizer.encode(text)] for text in (likely, unlikely))
    values = np.repeat(one + 0.8 * other, 2, axis=0)
    values[1::2] = np.eye(len(tokenizer))[BLANK]
    found = build_decoder(settings, given)(tokenizer.vocabulary, language).decode(log_softmax(values * 9.0, axis=1))
    assert found.text(tokenizer) == (unlikely if is_found else likely)
