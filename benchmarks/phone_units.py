"""The fewest errors with phones as tokens: test transcripts as espeak-ng reads them, turned back into words.

CORPORA=FOLDER recipes/more_languages/prepare.sh   # the manifests
pip install wordfreq                               # lists of words
python -m benchmarks.phone_units [--data data/more_languages] [--languages de en ...]

A network that recognises every phone rightly makes these errors: words that the lexicon lacks become the nearest one,
and of words with the same phones the most frequent one is taken. The lexicon holds the words of the training
transcripts of each budget, and those of a text that is given besides: of the test transcripts, to count the errors of
words with the same phones alone.
"""

import argparse
import tempfile
from itertools import product
from pathlib import Path

from wordfreq import top_n_list  # pyright: ignore[reportMissingImports]

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.data.languages import language_and_script
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.phone_units import PhoneTokenizer
from speech_mtl.data.phones import Pronunciation
from speech_mtl.data.rules import Choices
from speech_mtl.run.speech import open_split, training_utterances
from speech_mtl.scoring.error_rate import score
from speech_mtl.scoring.tables import percent
from speech_mtl.settings.recipe import Recipe

CHOICES = Choices("spell")
BUDGETS_MIN = (10, 40)
MOST_WORDS = 50_000
"""Length of the lists of frequent words."""


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phone_units", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/more_languages"))
    parser.add_argument("--languages", nargs="+", default=["de", "en", "en-CN", "nl", "cs"])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "phone_units.json")
    arguments = parser.parse_args()
    result = provenance("phone_units")
    result["about"] = (
        "The errors that remain with phones as tokens if every phone is recognised rightly, in the test transcripts of "
        f"{arguments.data}. No speech is recognised."
    )
    result["rows"] = [row for language in arguments.languages for row in _measured(arguments.data, language)]
    report(arguments.out, result, _table(result["rows"]))


def _measured(data: Path, language: str) -> list[dict]:
    manifests = {split: read_manifest(data / language / f"{split}.jsonl") for split in ("train", "test")}
    texts = {split: [one.text for one in manifest if one.text] for split, manifest in manifests.items()}
    besides = {
        "none": [],
        "all training transcripts": texts["train"],
        f"{MOST_WORDS:,} frequent words": top_n_list(language_and_script(language)[0], MOST_WORDS),
        "test transcripts": texts["test"],
    }
    rows = []
    for budget_min, (name, more) in product(BUDGETS_MIN, besides.items()):
        settings = {"name": "x", "languages": {language: {"budget_s": 60.0 * budget_min}}, "data": {"dir": str(data)}}
        recipe = Recipe.model_validate(settings)
        train = [u.text for u in training_utterances(recipe, open_split(recipe, language, "train")) if u.text]
        with tempfile.TemporaryDirectory() as folder:
            words = Path(folder) / "words.txt"
            words.write_text("\n".join(more), encoding="utf-8")
            given = words if more else None
            tokenizer = PhoneTokenizer.from_texts(train, language, CHOICES, lexicon=None, words=given)
        rows.append({"language": language, "minutes": budget_min, "text": name} | _floor(tokenizer, texts["test"]))
    return rows


def _floor(tokenizer: PhoneTokenizer, texts: list[str]) -> dict:
    """The errors of test transcripts whose phones are turned back into words."""
    read = Pronunciation(tokenizer.language)
    numbers = {token: number for number, token in enumerate(tokenizer.vocabulary)}
    references = [tokenizer.normalize(text) for text in texts if not tokenizer.refusal(text)]
    known = {word: phones.split() for word, phones in tokenizer.lexicon.items()}
    spoken = (
        [phone for word in text.split() for phone in (*(known.get(word) or read.phones(word) or ()), " ")]
        for text in references
    )
    ids = ([numbers[phone] for phone in phones if phone in numbers] for phones in spoken)  # no other can be recognised
    found = score(references, list(map(tokenizer.text, ids)))
    words = [word for text in references for word in text.split()]
    return {
        "tokens": len(tokenizer) - 1,
        "lexicon": len(tokenizer.lexicon),
        "unknown": sum(word not in tokenizer.lexicon for word in words) / len(words),
        "word_error_rate": found.words.rate,
        "character_error_rate": found.characters.rate,
    }


def _table(rows: list[dict]) -> Table:
    heads = ("Language", "Minutes", "Text besides", "Tokens", "Words", "Unknown %", "WER %", "CER %")
    lines = [
        [
            *(str(row[key]) for key in ("language", "minutes", "text", "tokens", "lexicon")),
            *(percent(row[key]) for key in ("unknown", "word_error_rate", "character_error_rate")),
        ]
        for row in rows
    ]
    return Table("Errors with every phone recognised rightly", heads, lines, num_text_columns=3)


if __name__ == "__main__":
    main()
