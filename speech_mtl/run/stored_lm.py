"""The n-gram models that a run holds for its languages.

RUN/lm/LANGUAGE/tokens.arpa     n-grams of tokens
RUN/lm/LANGUAGE/words.arpa      of words, where spaces separate them
RUN/lm/LANGUAGE/lm.json         written last: what they were made from, their digests, and the weights that were tried
RUN/lm/LANGUAGE/tuning.md       these as a table
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import SPLITS
from speech_mtl.decoding.language_model import LanguageModel, TunedRow
from speech_mtl.decoding.ngrams import NGrams, read_ngrams
from speech_mtl.errors import InputError
from speech_mtl.files import NotNegative, file_digest, read_json
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.folder import Run
from speech_mtl.settings.decoding import DecodingSettings


class TextSource(TypedDict):
    """A text that n-grams were made from, by sentences, those left out included."""

    name: str
    sha256: str
    """SHA-256 of the sentences that were used, a line each."""
    used: NotNegative
    repeated: NotNegative
    """They were in this text or one before already; each counts once."""
    held_out: NotNegative
    """They hold a sentence of the validation or test set."""
    not_spelt: NotNegative
    """They have letters that the tokeniser lacks."""
    empty: NotNegative
    """Normalisation leaves nothing of them."""


class LmRecord(TypedDict):
    """The content of `lm.json`."""

    language: str
    vocabulary: list[str]
    texts: list[TextSource]
    files: dict[str, str]
    tuning: list[TunedRow]
    made_from: NotRequired[str]
    """See `inputs_digest`."""


def lm_folder(run: Run, language: str) -> Path:
    """The folder of the n-gram models of a language."""
    return run.path / "lm" / language


def read_record(run: Run, language: str) -> LmRecord:
    """Reads the record of a language's n-gram models.

    Raises:
        InputError: There are no n-grams of the language, or the file is damaged.
    """
    path = lm_folder(run, language) / "lm.json"
    if not path.is_file():
        raise InputError(
            f"There is no language model of {language} in {run.path}",
            expected=str(path),
            received="no such file",
            action=f"run `speech-mtl lm {run.path} --language {language}`, or set decoding.lm=none",
        )
    return read_json(path, LmRecord, _again(run, language))


def load_lm(run: Run, language: str, tokenizer: Tokenizer) -> LanguageModel:
    """Reads the n-gram models of a language.

    Raises:
        InputError: There are none, or they are damaged, or of another alphabet.
    """
    record, folder = read_record(run, language), lm_folder(run, language)
    action = _again(run, language)
    own, others = set(tokenizer.vocabulary), set(record["vocabulary"])
    if record["language"] != language or own != others:
        raise InputError(
            f"The language model in {folder} is of another alphabet or language",
            expected=f"{language}, with the {len(own)} tokens of {run.path}",
            received=f"{record['language']}, with {_listed(others - own)} besides, and without {_listed(own - others)}",
            action=action,
        )
    for path in changed_files(run, record):
        raise InputError(
            f"{path} is not as it was written",
            expected="the file that lm.json beside it names, unchanged",
            received="another file" if path.is_file() else "no such file",
            action=action,
        )
    words = read_ngrams(folder / "words.arpa", action) if "words.arpa" in record["files"] else None
    tokens = read_ngrams(folder / "tokens.arpa", action)
    return language_model(str(folder), tokens, words, record["tuning"], tokenizer)


def language_model(
    name: str, tokens: NGrams, words: NGrams | None, tuning: Sequence[TunedRow], tokenizer: Tokenizer
) -> LanguageModel:
    """N-grams of a language as its decoder takes them, with words as its tokeniser spells them."""
    found = dict.fromkeys((*tokenizer.words, *words.symbols)) if words else ()
    spellings = {word: tuple(tokenizer.encode(word)) for word in found}
    return LanguageModel(name, tokens, words, spellings, tuning, tokenizer.spaced)


def decoder_arguments(
    run: Run, decoding: DecodingSettings, tokenizers: Mapping[str, Tokenizer], languages: Collection[str]
) -> Callable[[str], dict[str, Any]]:
    """Arguments of a language's decoder that are no settings: n-grams, how hot words are spelt, where they may lie.

    A hot word that a language cannot spell is left out there, and that is logged.

    Raises:
        InputError: None of these languages, those that are recognised, can spell a hot word.
    """
    hot_words = decoding.hot_words if decoding.takes_lm else ()
    for word in hot_words:
        _refuse_unspelt(word, [tokenizers[language] for language in languages])

    def of(language: str) -> dict[str, Any]:
        if not decoding.takes_lm:
            return {}
        spelt = {word: _spelt(word, tokenizers[language]) for word in hot_words}
        if unspelt := [word for word, tokens in spelt.items() if not tokens]:
            logging.getLogger(__name__).warning(
                "%s cannot spell %d of %d hot words, which are left out there: %s",
                *(language, len(unspelt), len(spelt), _listed(unspelt)),
            )
        model = load_lm(run, language, tokenizers[language]) if decoding.uses_lm else None
        return {
            "model": model,
            "hot_words": [tokens for tokens in spelt.values() if tokens],
            "spaced": tokenizers[language].spaced,
        }

    return of


def _spelt(word: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens of a hot word; none where a language lacks its letters, or spells it otherwise after a space."""
    try:
        return tokenizer.encode(word) if tokenizer.spells_words else []
    except InputError:
        return []


def _refuse_unspelt(word: str, tokenizers: Sequence[Tokenizer]) -> None:
    if any(_spelt(word, tokenizer) for tokenizer in tokenizers):
        return
    for tokenizer in tokenizers:
        tokenizer.encode(word)  # names the letters that are unknown
        if not tokenizer.spells_words:
            raise InputError(
                f"The units of {tokenizer.language} spell words otherwise after a space, so none can be hot",
                expected="decoding.hot_words: [], or a run whose tokens are letters",
                received=f"decoding.hot_words with {word!r}, and parts of words as tokens",
                action="leave decoding.hot_words out",
            )
    raise InputError(
        "A hot word has no letters",
        expected="words and phrases in decoding.hot_words",
        received=repr(word),
        action="leave it out",
    )


def lm_digests(run: Run, decoding: DecodingSettings, languages: Iterable[str]) -> dict[str, str]:
    """Digests of the language models that a way to decode rests on, their tuned weights included, by language."""
    if not decoding.uses_lm:
        return {}
    paths = {language: lm_folder(run, language) / "lm.json" for language in languages}
    return {language: file_digest(path) for language, path in paths.items() if path.is_file()}


def inputs_digest(run: Run, language: str, files: Iterable[Path], orders: Iterable[int]) -> str:
    """Digest of what a language model is made from and tuned with: manifests, texts, weights, lengths of n-grams."""
    recipe = run.recipe()
    manifests = [recipe.manifest(language, split) for split in SPLITS]
    contents = [file_digest(path) if path.is_file() else "" for path in (*manifests, *files)]
    used = [*contents, recipe.budget_s(language, "train"), weights_digest(run), *orders]
    return hashlib.sha256(repr(used).encode()).hexdigest()


def changed_files(run: Run, record: LmRecord) -> list[Path]:
    """The n-grams of a language that are missing or others than those of their record."""
    digests = {lm_folder(run, record["language"]) / name: digest for name, digest in record["files"].items()}
    return [path for path, digest in digests.items() if not path.is_file() or file_digest(path) != digest]


def _again(run: Run, language: str) -> str:
    return f"make it again: `speech-mtl lm {run.path} --language {language}`"


def _listed(tokens: Iterable[str]) -> str:
    found = sorted(tokens)
    return " ".join(map(repr, found[:20])) + (" ..." if len(found) > 20 else "") or "none"
