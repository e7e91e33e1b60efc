"""A run with phones as tokens: everything that gives text gives words of its lexicon, whose file is gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.words import words
from speech_mtl.errors import InputError
from speech_mtl.run.align import Aligned, Spoken, align_files
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.export import export
from speech_mtl.run.folder import Run
from speech_mtl.run.lm import make_lm
from speech_mtl.run.train import train
from speech_mtl.settings.decoding import BeamDecoding
from speech_mtl.settings.recipe import Recipe

PHONES = {"a": "aː", "b": "b", "c": "ts", "d": "d"}


@pytest.fixture
def run(tiny_recipe: Recipe, untraced: None, tmp_path: Path) -> Run:
    """Trained for one update; each letter of `aa` is a phone, and `abcd` is a word besides."""
    texts = {str(one.text) for one in read_manifest(manifest_path(tiny_recipe.data.dir, "aa", "train"))}
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("".join(f"{text}\t{' '.join(PHONES[c] for c in text)}\n" for text in {*texts, "abcd"}), "utf-8")
    changes = {
        "languages.aa.tokenizer": {"kind": "phones", "lexicon": str(lexicon)},
        "training.num_updates": 1,
        "training.warmup_updates": 1,
        "training.evaluate_every": 1,
    }
    run = train(tiny_recipe.overridden(changes), tmp_path / "run")
    lexicon.unlink()
    return run


def test_words_come_from_every_way_to_decode(run: Run, speak: Callable, tmp_path: Path):
    known = set(run.tokenizers()["aa"].words)
    assert "abcd" in known

    def of_lexicon(found: Hypothesis) -> bool:
        assert [word.text for word in words(found)] == found.text.split()
        return set(found.text.split()) <= known

    assert not run.recipe().languages["aa"].tokenizer.lexicon.exists()  # type: ignore[reportAttributeAccessIssue]
    evaluate(run, ["test"])
    waveform = speak("abcdab")
    assert all(map(of_lexicon, load_recognizer(run).transcribe([waveform], "aa")))
    make_lm(run, "aa")
    beam = BeamDecoding(lm="words", lm_weight=0.9, word_score=0.0, hot_words=("abcd",))
    assert all(map(of_lexicon, load_recognizer(run, beam).transcribe([waveform], "aa")))
    utterance = next(read_manifest(run.recipe().manifest("aa", "train")))
    ((_, found),) = align_files(run, [Spoken(utterance.audio, str(utterance.text).upper() + "!")], "aa")
    assert isinstance(found, Aligned)
    assert [word.text for word in words(found.hypotheses[0])] == [utterance.text]
    with pytest.raises(InputError, match="are phones, of which other programs make no words"):
        export(run, tmp_path / "out", "aa", "onnx")
