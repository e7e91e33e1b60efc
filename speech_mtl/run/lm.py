"""Makes the language model of a run's language, and tunes its weights on the validation set."""

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from speech_mtl.data.languages import own_name
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.decoding.decoder import Decoder
from speech_mtl.decoding.greedy import Greedy
from speech_mtl.decoding.kneser_ney import estimate
from speech_mtl.decoding.language_model import LM_KINDS, LanguageModel, TunedRow, best_row
from speech_mtl.decoding.scorers import symbol
from speech_mtl.errors import InputError
from speech_mtl.files import file_digest, json_text, write_text
from speech_mtl.run.build import build_decoder
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.lm_texts import gather
from speech_mtl.run.references import References, load_references
from speech_mtl.run.stored_lm import (
    LmRecord,
    changed_files,
    inputs_digest,
    language_model,
    lm_folder,
    read_record,
)
from speech_mtl.scoring.error_rate import Score, score
from speech_mtl.scoring.tables import markdown_table, percent
from speech_mtl.screen import SILENT, Screen
from speech_mtl.settings.decoding import BeamDecoding

START = {"tokens": (0.6, 0.6), "words": (0.9, 0.0), "open": (0.6, 0.0)}
"""Weight and score for each word (or token) that tuning begins with, by kind of n-grams."""

STEPS = {"tokens": (0.3, 0.3), "words": (0.3, 1.0), "open": (0.3, 1.0)}
"""Steps by which these are changed at first; in the end by half of them."""

WIDTH = 16
"""Width of the beam while weights are tuned: they hardly depend on it, and the time does."""

WORD_ORDER, TOKEN_ORDER = 3, 6
"""Length of the longest n-grams."""

LONGEST_S = 1200.0
"""Seconds of a large validation set that are used for tuning."""


class Tuned(NamedTuple):
    """All weights that were tried, their table in Markdown, and that of the best of each kind of n-grams."""

    rows: list[TunedRow]
    table: str
    best: str


def make_lm(
    run: Run,
    language: str,
    files: Sequence[Path] = (),
    word_order: int = WORD_ORDER,
    token_order: int = TOKEN_ORDER,
    screen: Screen = SILENT,
    kinds: Collection[str | None] = (),
) -> tuple[LmRecord, str]:
    """Makes n-gram models of a language from the run's training transcripts and from text files, and stores them.

    Those that the run has stay as they are until the new ones are tuned.

    Args:
        files: Texts in UTF-8, a sentence a line.
        word_order: Length of the longest n-grams of words.
        token_order: Of tokens.
        screen: Where sentences that are left out are counted, and progress is shown.
        kinds: Some of `LM_KINDS`, whose weights are tuned on the validation set; None stands for all.

    Returns:
        What they were made from, and the table of the best weights of each kind, in Markdown; `tuning.md` has all.

    Raises:
        InputError: The run lacks the language, a text cannot be used, or there is no validation set to tune on.
    """
    tokenizers = run.tokenizers()
    language = own_name(language, tokenizers)
    tokenizer, folder = tokenizers[language], lm_folder(run, language)
    sentences = gather(run, language, files, tokenizer, screen)
    tokens = estimate(([symbol(token) for token in tokenizer.split(text)] for text in sentences.texts), token_order)
    has_words = tokenizer.spaced and tokenizer.spells_words
    words = estimate((text.split() for text in sentences.texts), word_order) if has_words else None
    tuned = Tuned([], "", "")
    if kinds:
        tuned = tune_lm(run, language, language_model(str(folder), tokens, words, [], tokenizer), screen, kinds)
    models = {"tokens.arpa": tokens} | ({"words.arpa": words} if words else {})
    for name in ("lm.json", "tuning.md"):
        (folder / name).unlink(missing_ok=True)
    for name, model in models.items():
        model.save(folder / name)
    if kinds:
        write_text(folder / "tuning.md", tuned.table + "\n")
    record: LmRecord = {
        "language": language,
        "vocabulary": list(tokenizer.vocabulary),
        "texts": sentences.sources,
        "files": {name: file_digest(folder / name) for name in models},
        "tuning": tuned.rows,
        "made_from": inputs_digest(run, language, files, (word_order, token_order)),
    }
    write_text(folder / "lm.json", json_text(record))
    return record, tuned.best


def has_lm(run: Run, language: str, files: Sequence[Path], kinds: Collection[str | None]) -> bool:
    """Whether a run holds the language model that `make_lm` would make of these files now, with these weights tuned."""
    try:
        record = read_record(run, language)
    except InputError:
        return False
    if record.get("made_from") != inputs_digest(run, language, files, (WORD_ORDER, TOKEN_ORDER)):
        return False
    tuned = {row["lm"] for row in record["tuning"]}
    return tuned.issuperset(_tunable(kinds, run.tokenizers()[language])) and not changed_files(run, record)


def _tunable(kinds: Collection[str | None], tokenizer: Tokenizer) -> list[str]:
    """The kinds of n-grams that a language has, of some; None stands for all."""
    had = LM_KINDS if tokenizer.spaced and tokenizer.spells_words else ["tokens"]
    return [kind for kind in had if kind in kinds or None in kinds]


def tune_lm(
    run: Run, language: str, model: LanguageModel, screen: Screen, kinds: Collection[str | None] = (None,)
) -> Tuned:
    """Finds weights with which a language model makes few errors in the validation set.

    For each of the `kinds` of n-grams, None for all, weight and score for each word are changed in turn, as long as
    errors become fewer.

    Raises:
        InputError: There is no validation set.
    """
    tuning = _Tuning(run, language, model, screen)
    rows: list[TunedRow] = []
    for lm in _tunable(kinds, tuning.tokenizer):
        rows += list(screen.progress(_searched(lm, tuning), f"Tuning {lm}"))
    own = ([row for row in rows if row["lm"] == lm] for lm in LM_KINDS)
    best = [row for some in own if (row := best_row(some, tuning.tokenizer.spaced))]
    return Tuned(rows, tuning.table(rows), tuning.table(best))


def _searched(lm: str, errors: "_Tuning") -> Iterator[TunedRow]:
    """Coordinate search: the row of each pair of weight and bonus that is tried."""
    seen: dict[tuple[float, float], TunedRow] = {}
    at, steps = START[lm], STEPS[lm]
    for part in (1.0, 0.5):
        while True:
            for i, j in product((-part, 0, part), repeat=2):
                pair = (round(at[0] + i * steps[0], 4), round(at[1] + j * steps[1], 4))
                if 0 in (i, j) and pair[0] >= 0 and pair not in seen:
                    seen[pair] = errors(lm, *pair)
                    yield seen[pair]
            best = best_row(list(seen.values()), errors.tokenizer.spaced)
            if best is None or (best["lm_weight"], best["word_score"]) == at:
                break
            at = (best["lm_weight"], best["word_score"])


class _Tuning:
    """Counts the errors in a validation set, whose log-probabilities are worked out once."""

    def __init__(self, run: Run, language: str, model: LanguageModel, screen: Screen):
        recognizer, self.language, self.model = load_recognizer(run, calibrated=False), language, model
        self.tokenizer: Tokenizer = recognizer.tokenizers[self.language]
        recipe = run.recipe()
        references = load_references(recipe, self.language, "dev", recognizer, screen.progress)
        found = recognizer.log_probabilities_of_examples(
            references.examples, self.language, recipe.data.batch_s, recipe.data.num_threads
        )
        by_number = dict(screen.progress(found, "Validation set"))
        chosen = _chosen(references, recipe.data.sample_rate_hz)
        self.texts = [str(references.texts[i]) for i in chosen]
        self.log_probabilities = [by_number[i] for i in chosen]
        self.greedy = self.score(Greedy(self.tokenizer.vocabulary, self.language))

    def __call__(self, lm: str, lm_weight: float, word_score: float) -> TunedRow:
        tried = {"width": WIDTH, "lm": lm, "lm_weight": lm_weight, "word_score": word_score}
        decoder = build_decoder(BeamDecoding.model_validate(tried), lambda _: {"model": self.model})
        errors = self.score(decoder(self.tokenizer.vocabulary, self.language))
        return {
            "lm": lm,
            "lm_weight": lm_weight,
            "word_score": word_score,
            "word_errors": errors.words.num_errors,
            "words": errors.words.num_reference,
            "character_errors": errors.characters.num_errors,
            "characters": errors.characters.num_reference,
        }

    def score(self, decoder: Decoder) -> Score:
        """The errors of a decoder."""
        texts = [decoder.decode(one).text(self.tokenizer) for one in self.log_probabilities]
        return score(self.texts, texts, spaced=self.tokenizer.spaced)

    def table(self, rows: Sequence[TunedRow]) -> str:
        """Weights and their errors, beside greedy decoding; the row that is used is marked."""
        best = best_row(rows, self.tokenizer.spaced)
        first = ["greedy", "", "", percent(self.greedy.words.rate), percent(self.greedy.characters.rate)]
        lines = [first, *(_line(row, row == best) for row in rows)]
        heads = ["N-grams", "lm_weight", "word_score", "WER %", "CER %"]
        about = f"Validation set of {self.language}, {len(self.texts)} utterances; `used` has the fewest errors"
        return f"{about}\n\n{markdown_table(heads, lines, num_text_columns=1)}"


def _line(row: TunedRow, is_best: bool) -> list[str]:
    errors = row["word_errors"] / row["words"], row["character_errors"] / row["characters"]
    name = row["lm"] + " (used)" * is_best
    return [name, f"{row['lm_weight']:g}", f"{row['word_score']:g}", *map(percent, errors)]


def _chosen(references: References, sample_rate_hz: int) -> list[int]:
    """The utterances with a transcript; of many, some that are spread over the set."""
    known = [i for i, text in enumerate(references.texts) if text]
    total_s = references.examples.num_samples[known].sum() / sample_rate_hz
    return known[:: max(1, round(total_s / LONGEST_S))]
