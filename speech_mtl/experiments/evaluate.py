"""Recognises a split and counts the errors."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speech_mtl.config import DataSettings, Recipe
from speech_mtl.corpora import Wrap, open_split, silent
from speech_mtl.data.manifest import manifest_path, read_manifest
from speech_mtl.data.pipeline import Examples
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import SPLITS, Hypothesis
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.files import write_text
from speech_mtl.runs import Run
from speech_mtl.scoring.error_rate import Score, score
from speech_mtl.scoring.results import EvaluationRow, evaluation_row
from speech_mtl.scoring.tables import evaluation_table, read_rows, write_results
from speech_mtl.screen import Screen


@dataclass(frozen=True)
class References:
    """What a split says: the audio, the ids and the normalised transcripts, in one order."""

    examples: Examples
    ids: list[str]
    texts: list[str]


def load_references(recipe: Recipe, language: str, split: str, tokenizer: Tokenizer, wrap: Wrap = silent) -> References:
    """Opens a dev or test split. Its transcripts need not be in the tokeniser's vocabulary.

    Raises:
        InputError: The manifest is missing or broken, too many of its utterances cannot be used, or none has a text.
    """
    opened = open_split(recipe, language, split, wrap)
    skipped = list(opened.store.skipped.values())
    positions = set(opened.positions.tolist())
    kept = [utterance for i, utterance in enumerate(read_manifest(opened.manifest)) if i in positions]
    texts = [tokenizer.normalize(utterance.text) for utterance in kept]
    if not any(texts):
        raise InputError(
            f"{opened.manifest}: no transcript has any text, so errors cannot be counted",
            expected="letters in at least one transcript",
            received=f"{len(texts)} transcripts, such as {kept[0].text!r}",
            action="look at the field 'text' of the manifest",
        )
    nothing = np.zeros(len(kept) + 1, np.int64)
    examples = Examples(opened.store, opened.positions, np.zeros(0, np.int32), nothing, skipped)
    return References(examples, [utterance.id for utterance in kept], texts)


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
    splits = _known(splits)
    recipe, recognizer = run.recipe(), run.load()
    languages = list(languages or recipe.languages)
    for language in languages:
        recognizer.language_id(language)
    rows = []
    for language in languages:
        for split in splits:
            references = load_references(recipe, language, split, recognizer.tokenizers[language], screen.progress)
            report_skipped(references, screen)
            counts, hypotheses = recognize(recognizer, language, references, recipe.data)
            write_hypotheses(hypotheses_path(run, language, split), references, hypotheses)
            rows.append(evaluation_row(language, split, counts))
    write_results(run.path, "evaluation", rows, evaluation_table(rows))
    return rows


def _known(splits: Iterable[str]) -> list[str]:
    splits = list(splits)
    for split in splits:
        if split not in SPLITS:
            raise InputError(
                f"There is no split {split!r}",
                expected="one of " + ", ".join(SPLITS),
                received=split,
                action="name one of these splits",
            )
    return splits


def saved_evaluation(run: Run, splits: Sequence[str]) -> list[EvaluationRow] | None:
    """What `evaluate` wrote for all languages and these splits; None if weights or manifests have changed since."""
    path, recipe = run.path / "evaluation.json", run.recipe()
    sources = [manifest_path(recipe.data.dir, language, split) for language in recipe.languages for split in splits]
    if not path.is_file() or any(path.stat().st_mtime_ns < p.stat().st_mtime_ns for p in (run.best_folder(), *sources)):
        return None
    wanted = [(language, split) for language in recipe.languages for split in splits]
    if not all(hypotheses_path(run, *pair).is_file() for pair in wanted):
        return None
    try:
        rows = read_rows(path, EvaluationRow)
    except InputError:  # half written: the run is evaluated again
        return None
    return rows if [(row["language"], row["split"]) for row in rows] == wanted else None


def hypotheses_path(run: Run, language: str, split: str) -> Path:
    """Where `evaluate` writes what was heard."""
    return run.path / "hypotheses" / f"{language}-{split}.jsonl"


def report_skipped(references: References, screen: Screen) -> None:
    """Says which utterances are left out."""
    for skip in references.examples.skipped:
        screen.warn(f"{skip.source}: left out: {skip.message}")


def write_hypotheses(path: Path, references: References, hypotheses: list[Hypothesis]) -> None:
    """Writes what was said and what was heard, a JSON line an utterance."""
    lines = [
        json.dumps(
            {"id": h.id, "reference": reference, "hypothesis": h.text, "score": round(h.score, 4)}, ensure_ascii=False
        )
        for reference, h in zip(references.texts, hypotheses, strict=True)
    ]
    write_text(path, "\n".join(lines) + "\n")
