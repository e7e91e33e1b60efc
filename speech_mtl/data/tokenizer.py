"""Tokenisers: the text of one language <-> token numbers. Token 0 is the CTC blank and never stands in a text.

A new kind is a subclass of `Tokenizer`, and a kind of `TokenizerSettings` that names it.
"""

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NotRequired, Self

from typing_extensions import TypedDict

from speech_mtl.data.rules import AS_WRITTEN, Choices, is_spaced
from speech_mtl.data.text import normalize, normalizer, refusal
from speech_mtl.datatypes import BLANK
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, read_json, write_text

BLANK_TOKEN = "<blank>"
"""How the vocabulary writes token 0."""


class Tokenizer(ABC):
    """Turns the text of one language into token numbers and back.

    A subclass defines its canonical text (`normalize`); it overrides `split` where a token is longer than one
    character. Joined together, the tokens of a text are the normalised text again, but where `spells_text` is False:
    there it also overrides `pieces` and `text`.

    Args:
        language: BCP 47 tag.
        vocabulary: All tokens; the first is `BLANK_TOKEN`.
        choices: What is done with numbers in digits and with Latin words.

    Raises:
        InputError: The vocabulary does not begin with the blank, or a token comes twice or is empty.

    Attributes:
        language: BCP 47 tag.
        vocabulary: All tokens, by number.
        choices: What is done with numbers in digits and with Latin words.
    """

    spells_words: ClassVar[bool] = True
    """Whether the space is a token of its own, so that each word is spelt alike wherever it stands."""
    spells_text: ClassVar[bool] = True
    """Whether the tokens of a text, joined, are the text. If not, `text` makes a word of those between two spaces."""

    def __init__(self, language: str, vocabulary: Sequence[str], choices: Choices = AS_WRITTEN):
        self.language, self.choices = language, choices
        self.vocabulary = tuple(vocabulary)
        self._numbers = {token: number for number, token in enumerate(self.vocabulary) if number != BLANK}
        if (
            self.vocabulary[BLANK : BLANK + 1] != (BLANK_TOKEN,)
            or len(self._numbers) != len(self.vocabulary) - 1
            or not self._numbers.keys().isdisjoint(("", BLANK_TOKEN))
        ):
            raise InputError(
                f"Malformed vocabulary of the tokeniser of {language}",
                expected=f"{BLANK_TOKEN!r} first, then tokens that are neither empty nor listed twice",
                received=f"{len(self.vocabulary)} tokens, beginning with {list(self.vocabulary[:5])}",
                action="make the tokeniser again from the training texts",
            )

    @classmethod
    def from_texts(cls, texts: Iterable[str], language: str, choices: Choices = AS_WRITTEN) -> Self:
        """Makes the tokeniser whose vocabulary is the sorted set of tokens in the training texts.

        Args:
            texts: Transcripts as the corpus has them. Those that are refused add no token.
            language: BCP 47 tag.
            choices: What is done with numbers in digits and with Latin words.

        Raises:
            InputError: No text is left after normalisation, or `language` is malformed.
        """
        empty = cls(language, (BLANK_TOKEN,), choices)
        tokens = {token for text in empty.usable(texts) for token in empty.split(text)}
        return cls(language, (BLANK_TOKEN, *sorted(tokens)), choices)

    def usable(self, texts: Iterable[str]) -> Iterator[str]:
        """Normalises texts, without those that are refused or of which nothing is left.

        Raises:
            InputError: None is left.
        """
        why, is_empty = "", True
        for text in texts:
            if refused := self.refusal(text):
                why = why or f", such as {text[:80]!r}: {refused}"
            elif normalized := self.normalize(text):
                is_empty = False
                yield normalized
        if is_empty:
            raise InputError(
                f"The training texts of {self.language} hold no token",
                expected="at least one transcript with letters in it",
                received=f"no text that is left after normalisation{why}",
                action="check the field 'text' of the training manifest",
            )

    def __len__(self) -> int:
        """Size of the vocabulary, the blank included: the width V of the language's output layer."""
        return len(self.vocabulary)

    @property
    def spaced(self) -> bool:
        """Whether spaces separate words in the normalised text, so that words can be scored."""
        return is_spaced(self.language)

    @property
    def normalizer(self) -> str:
        """What transcripts are normalised by, in a few words, as it is recorded with scores."""
        return normalizer(self.language, self.choices)

    @property
    def joined(self) -> Mapping[str, str] | None:
        """Replacements, made in one go, by which joined tokens become the text, up to NFC; None where none do."""
        return {} if self.spells_text else None

    @property
    def words(self) -> Collection[str]:
        """Words that can be found though no text for a language model has them."""
        return ()

    @abstractmethod
    def normalize(self, text: str) -> str:
        """The canonical form in which references and hypotheses are scored. Doing it twice changes nothing more."""

    def refusal(self, text: str) -> str | None:
        """Why a transcript cannot be learnt or scored; None if it can. See `text.refusal`."""
        return refusal(text, self.language, self.choices)

    def split(self, normalized: str) -> Sequence[str]:
        """Splits a normalised text into tokens, known or not."""
        return list(normalized)

    def pieces(self, normalized: str) -> Sequence[str]:
        """The part of a normalised text that each of its tokens stands for; joined, they are the text."""
        return self.split(normalized)

    def unknown(self, text: str) -> set[str]:
        """The tokens of a text that are not in the vocabulary."""
        return set(self.split(self.normalize(text))) - self._numbers.keys()

    def encode(self, text: str) -> list[int]:
        """Turns a text, normalised or not, into token numbers; an empty list if normalisation leaves nothing of it.

        Raises:
            InputError: Some of its characters or words are not in the vocabulary.
        """
        tokens = self.split(self.normalize(text))
        try:
            return [self._numbers[token] for token in tokens]
        except KeyError:
            raise self._unknown(text, sorted(set(tokens) - self._numbers.keys())) from None

    def _unknown(self, text: str, unknown: Sequence[str]) -> InputError:
        return InputError(
            f"Unknown characters in a text of {self.language}: {', '.join(map(_describe, unknown))}",
            expected=f"only what is in the vocabulary of {len(self) - 1} tokens made from the training texts",
            received=repr(text[:80]),
            action="drop or fix the text, or make the tokeniser from texts that hold these characters",
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Joins tokens, one by one: repeats are kept, so collapse CTC output first.

        The text has exactly the characters of the tokens; what a model put together may still need `normalize`
        (two spaces in a row, an apostrophe at the end of a word) before it is scored.

        Raises:
            ValueError: A number is the blank or is not in the vocabulary.
        """
        for number in ids:
            if not BLANK < number < len(self):
                raise ValueError(f"Token {number} is the blank or not among the {len(self)} of {self.language}")
        return "".join(self.vocabulary[number] for number in ids)

    def text(self, ids: Sequence[int], words: Sequence[str | None] = ()) -> str:  # noqa: ARG002
        """The text that recognised tokens stand for, in its normalised form.

        Args:
            ids: The tokens.
            words: Where a decoder chose words, that between each two spaces; None where it chose none.
        """
        return self.normalize(self.decode(ids))

    def save(self, path: Path, kind: str) -> None:
        """Writes the tokeniser as JSON, under a temporary name first; `kind` is what settings call its class."""
        write_text(path, json_text({"kind": kind, **self.record()}))

    def record(self) -> dict[str, Any]:
        """The arguments that make it again; `choices` under the name `text`, as settings have it."""
        return {"language": self.language, "text": self.choices, "vocabulary": self.vocabulary}


class CharacterTokenizer(Tokenizer):
    """One token a character (Unicode code point) of the normalised text, the space included."""

    def normalize(self, text: str) -> str:
        """The text as `data.text.normalize` leaves it."""
        return normalize(text, self.language, self.choices)


def of_size(size: int, language: str) -> CharacterTokenizer:
    """A tokeniser of so many made-up characters, the blank included: for a network whose sizes alone matter."""
    return CharacterTokenizer(language, (BLANK_TOKEN, *(chr(0xE000 + number) for number in range(1, size))))


class _Record(TypedDict):
    """The content of a file."""

    kind: str
    language: str
    vocabulary: list[str]
    text: NotRequired[Choices]
    model: NotRequired[str]
    lexicon: NotRequired[dict[str, str]]


def load_tokenizer(path: Path, classes: Mapping[str, type[Tokenizer]], language: str) -> Tokenizer:
    """Reads a tokeniser of any kind from the file that `save` wrote.

    Args:
        path: The file.
        classes: By kind.
        language: The language that it must be of.

    Raises:
        InputError: The file is missing or is no tokeniser, its kind is unknown, or it is of another language.
    """
    record = read_json(path, _Record, "copy the file from the run again, or make it again by training")
    if record["language"] != language:
        raise InputError(
            f"{path} is the tokeniser of another language",
            expected=f"{language!r} in its field 'language'",
            received=repr(record["language"]),
            action="give the files of the folder back the names they had: each names its language",
        )
    if record["kind"] not in classes:
        raise InputError(
            f"{path} is a tokeniser of an unknown kind",
            expected="one of " + ", ".join(classes),
            received=repr(record["kind"]),
            action="use the version of speech-mtl that wrote it, or make it again by training",
        )
    try:
        fields: dict[str, Any] = {"choices" if key == "text" else key: record[key] for key in record if key != "kind"}
        return classes[record["kind"]](**fields)
    except TypeError as error:  # of another kind's fields
        raise InputError(
            f"{path} is not a whole tokeniser of its kind",
            expected=f"the fields of the kind {record['kind']}",
            received=str(error),
            action="copy the file from the run again, or make it again by training",
        ) from None


def _describe(token: str) -> str:
    """A token as a person can find it, though it may be invisible or combine with its neighbour."""
    names = [f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed')}" for char in token]
    return f"{token!r} ({', '.join(names)})"
