"""Recognises a split and counts the errors."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speech_mtl.config import DataSettings, Recipe
from speech_mtl.corpora import Wrap, open_split, silent
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.pipeline import Examples, refuse_many
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.files import write_text
from speech_mtl.runs import Run
from speech_mtl.scoring.error_rate import Score, score
from speech_mtl.scoring.results import EvaluationRow, evaluation_row
from speech_mtl.scoring.tables import evaluation_table, write_results
from speech_mtl.screen import Screen


@dataclass(frozen=True)
class References:
    """What a split says: the audio, the ids and the normalised transcripts, in one order."""

    examples: Examples
    ids: list[str]
    texts: list[str]


def load_references(
    recipe: Recipe, language: str, split: str, tokenizer: Tokenizer, wrap: Wrap = silent
) -> References:
    """Opens a dev or test split. Its transcripts need not be in the tokeniser's vocabulary.

    Raises:
        InputError: The manifest is missing or broken, or too many of its utterances cannot be used.
    """
    opened = open_split(recipe, language, split, wrap)
    skipped = list(opened.store.skipped.values())
    refuse_many(opened.manifest, skipped, len(opened.store.num_samples), recipe.data.allow_skipped)
    kept = [u for i, u in enumerate(read_manifest(opened.manifest)) if i not in opened.store.skipped]
    nothing = np.zeros(len(kept) + 1, np.int64)
    examples = Examples(opened.store, opened.positions, np.zeros(0, np.int32), nothing, skipped, len(kept))
    return References(examples, [u.id for u in kept], [tokenizer.normalize(u.text) for u in kept])


def recognize(
    recognizer: Recognizer, language: str, references: References, data: DataSettings
) -> tuple[Score, list[Hypothesis]]:
    """Recognises a split with its own language's output layer; hypotheses come in the order of the references."""
    found = recognizer.transcribe_examples(
        references.examples, references.ids, language, data.batch_s, data.num_threads
    )
    by_id = {hypothesis.id: hypothesis for hypothesis in found}
    hypotheses = [by_id[name] for name in references.ids]
    spaced = recognizer.tokenizers[language].spaced
    return score(references.texts, [hypothesis.text for hypothesis in hypotheses], spaced), hypotheses


def evaluate(
    run: Run,
    splits: Iterable[str] = ("dev", "test"),
    languages: Iterable[str] | None = None,
    screen: Screen | None = None,
) -> list[EvaluationRow]:
    """Evaluates a run's best weights, and writes tables and hypotheses into its folder.

    Args:
        run: The run.
        splits: Which splits.
        languages: Which languages; all of the run if None.
        screen: Where progress is shown.

    Returns:
        One row per language and split.

    Raises:
        InputError: The run is not trained, a language has no output layer, or a split cannot be read.
    """
    screen = screen or Screen(quiet=True)
    recipe, recognizer = run.recipe(), run.load()
    rows = []
    for language in languages or recipe.languages:
        recognizer.language_id(language)
        for split in splits:
            references = load_references(recipe, language, split, recognizer.tokenizers[language], screen.progress)
            for skip in references.examples.skipped:
                screen.warn(f"{skip.source}: left out: {skip.message}")
            counts, hypotheses = recognize(recognizer, language, references, recipe.data)
            write_hypotheses(run.path / "hypotheses" / f"{language}-{split}.jsonl", references, hypotheses)
            rows.append(evaluation_row(language, split, counts))
    write_results(run.path, "evaluation", rows, evaluation_table(rows))
    return rows


def write_hypotheses(path: Path, references: References, hypotheses: list[Hypothesis]) -> None:
    """Writes what was said and what was heard, a JSON line an utterance."""
    lines = [
        json.dumps(
            {"id": h.id, "reference": reference, "hypothesis": h.text, "score": round(h.score, 4)}, ensure_ascii=False
        )
        for reference, h in zip(references.texts, hypotheses, strict=True)
    ]
    write_text(path, "\n".join(lines) + "\n")
