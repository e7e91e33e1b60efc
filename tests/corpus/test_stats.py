"""Counts against a plain second count."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_up_manifests import line, written

from speech_mtl.corpus.manifests import find_manifests
from speech_mtl.corpus.stats import Spread, count, table
from speech_mtl.data.text import normalize
from speech_mtl.errors import InputError

TEXTS = ["Dobrý den!", "Ahoj, jak se máš?", None, "ŽLUŤOUČKÝ kůň"] * 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = [
        line(i, text, f"s{i % 3}" if i else None, duration_s=1 + i / 10, language="cs", audio="../none.flac")
        for i, text in enumerate(TEXTS)
    ]
    return written(tmp_path / "cs" / "dev.jsonl", lines)


def test_counts(path):
    (one,) = count(find_manifests([path]))
    seconds = [1 + i / 10 for i in range(len(TEXTS))]
    texts = [text and normalize(text, "cs").replace(" ", "") for text in TEXTS]
    assert (one.file.language, one.file.split, one.num_utterances, one.num_without_text) == ("cs", "dev", 20, 5)
    assert one.duration_s == pytest.approx(sum(seconds))
    assert one.characters == Counter("".join(text for text in texts if text))
    assert sum(one.speakers_s.values()) == pytest.approx(sum(seconds[1:]))
    rates = [len(text) / length for text, length in zip(texts, seconds, strict=True) if text]
    assert one.letters_per_s.tolist() == pytest.approx(rates, rel=1e-6)
    assert Spread.of(one.letters_per_s) == pytest.approx(np.percentile(rates, (5, 50, 95)), rel=1e-6)
    assert set(one.rare) == {char for char, number in one.characters.items() if number < 10}
    assert one.first["ž"] == f"{path}:4"
    made = table([one])
    (row,) = made.rows
    shown = dict(zip(made.heads, row, strict=True))
    assert [shown[head].text for head in ("language", "split", "no text", "refused")] == ["cs", "dev", "5", "0"]
    assert shown["hours"].value == pytest.approx(sum(seconds) / 3600)
    assert (shown["seconds"].text, shown["seconds"].aside) == ("1.9", "(1.1–2.8)")
    assert shown["seconds"].value == pytest.approx(np.median(seconds))
    record = one.record()
    assert record["rare"]["ž"] == {"number": 5, "first": f"{path}:4"}


def test_a_broken_line_is_refused(path):
    path.write_bytes(path.read_bytes() + b"{\n")
    with pytest.raises(InputError, match=r"dev\.jsonl:21"):
        count(find_manifests([path]))


def test_a_manifest_that_a_recipe_needs_is_missing(path):
    recipe = path.parent / "recipe.yaml"
    recipe.write_text(f"name: x\nlanguages: {{cs: {{}}}}\ndata: {{dir: {path.parent.parent}}}\n")
    with pytest.raises(InputError, match=r"There is no manifest .*train\.jsonl"):
        count(find_manifests([recipe]))


@pytest.mark.parametrize(
    ("chosen", "letters", "num_refused"),
    [(None, "essindfünfundzwanzighunde", 1), ("keep", "essind25hundeam35", 0), ("refuse", "", 2)],
)
def test_transcripts_are_counted_as_training_learns_them(tmp_path, chosen, letters, num_refused):
    """By default numbers are spelt, and a transcript with one of several readings is left out; a recipe decides."""
    lines = [line(i, text, None) for i, text in enumerate(["Es sind 25 Hunde.", "am 3.5.", None])]
    path = written(tmp_path / "data" / "de" / "train.jsonl", lines)
    (one,) = count(find_manifests([path], [f"languages.de.text.numerals={chosen}"] if chosen else []))
    assert one.characters == Counter(letters)
    assert (one.num_without_text, one.num_refused, len(one.letters_per_s)) == (1, num_refused, 2 - num_refused)
    assert one.record()["num_refused"] == num_refused
