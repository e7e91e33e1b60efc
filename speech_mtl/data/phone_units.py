"""Phones as tokens, and a lexicon that gives back the words."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from speech_mtl.data.espeak import espeak
from speech_mtl.data.phones import Pronunciation, read_lexicon
from speech_mtl.data.rules import AS_WRITTEN, Choices
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer
from speech_mtl.errors import InputError
from speech_mtl.files import read_lines


class PhoneTokenizer(CharacterTokenizer):
    """Phones of the IPA, and the space between words; a lexicon says which word has which phones.

    Several words may have the same phones: the decoder chooses among them by n-grams of words, else the most frequent
    one is taken. Phones between two spaces that are no word of the lexicon become the nearest one, by the number of
    phones that differ; so a word that the lexicon lacks is always an error. Neither espeak-ng nor the files of the
    settings are needed once it is made.

    Args:
        language: BCP 47 tag of a language with spaces between words.
        vocabulary: The blank, then the space and the phones.
        lexicon: Words and their phones with spaces between them, the most frequent word first.
        choices: As for `Tokenizer`.

    Raises:
        InputError: The lexicon is empty, or a word of it has no phones, or one that is not in the vocabulary.
    """

    spells_text: ClassVar = False

    def __init__(
        self, language: str, vocabulary: Sequence[str], lexicon: Mapping[str, str], choices: Choices = AS_WRITTEN
    ):
        super().__init__(language, vocabulary, choices)
        self.lexicon = lexicon
        self._words: dict[str, str] = {}  # by phones, each written as the letter of its number
        for word, phones in lexicon.items() or [("", "")]:
            if not self._numbers.keys() >= {" ", *phones.split()} or not phones.split():
                raise InputError(
                    f"Malformed lexicon of the tokeniser of {language}",
                    expected="words with phones of the vocabulary, and a space in that",
                    received=f"{word!r}: {phones!r}",
                    action="make the tokeniser again from the training texts",
                )
            self._words.setdefault(_letters(self._numbers[phone] for phone in phones.split()), word)
        self._pronunciations = list(self._words)

    @classmethod
    def from_texts(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        texts: Iterable[str],
        language: str,
        choices: Choices = AS_WRITTEN,
        *,
        lexicon: Path | None,
        words: Path | None,
    ) -> Self:
        """The phones of the training texts are the tokens; words with others are left out of the lexicon.

        Args:
            texts: Transcripts. Their words are those of the lexicon, and how frequent they are.
            language: BCP 47 tag.
            choices: As for `Tokenizer`.
            lexicon: A file of `data.phones.read_lexicon`, all of whose words are added. None: espeak-ng reads words.
            words: A text in UTF-8 whose words are added: sentences, or a list with frequent words first.

        Raises:
            InputError: No text is left after normalisation, a file cannot be read, spaces do not separate words,
                espeak-ng is missing or does not speak the language, or none of the words can be read.
        """
        letters = CharacterTokenizer(language, (BLANK_TOKEN,), choices)
        _refuse_language(letters, lexicon)
        read = Pronunciation(language, None if lexicon is None else read_lexicon(lexicon, language))
        counts, pairs = Counter[str](), Counter[tuple[str, str]]()
        for text in letters.usable(texts):
            counts.update(found := text.split())
            pairs.update(pair for pair in pairwise(found) if len(pair[0]) == 1)
        counts = Counter(dict(sorted(counts.items())))  # words that are as frequent stay in this order
        following = dict(sorted(pairs, key=lambda pair: (pairs[pair], pair)))  # by letter, the most frequent one
        spoken = {word: phones for word in counts if (phones := _phones(read, word, following.get(word)))}
        known = {phone for phones in spoken.values() for phone in phones}
        if not known:
            raise InputError(
                f"No word of the training texts of {language} can be read as phones",
                expected="words of the lexicon" if lexicon else "words in letters that espeak-ng knows",
                received=", ".join(map(repr, list(counts)[:5])),
                action=f"give a lexicon with these words: languages.{language}.tokenizer.lexicon",
            )
        for _, line in read_lines(words, "give a text in UTF-8") if words else ():
            counts.update(letters.normalize(line).split() if not letters.refusal(line) else ())
        counts.update({word: 0 for word in read.lexicon or () if " " not in word})
        ranked = ((word, spoken.get(word) or read.phones(word)) for word, _ in counts.most_common())
        usable = {word: " ".join(phones) for word, phones in ranked if phones and known >= set(phones)}
        return cls(language, (BLANK_TOKEN, *sorted({" ", *known})), usable, choices)

    @property
    def words(self) -> Collection[str]:
        return self.lexicon.keys()

    def split(self, normalized: str) -> Sequence[str]:
        """The phones of each word; a word that the lexicon lacks is one token, in angle brackets."""
        tokens = [token for word in normalized.split() for token in (" ", *self._spelling(word))]
        return tokens[1:]

    def _spelling(self, word: str) -> list[str]:
        return self.lexicon[word].split() if word in self.lexicon else [f"⟨{word}⟩"]

    def pieces(self, normalized: str) -> Sequence[str]:
        """A word for its first phone, nothing for the others, and the spaces."""
        words = normalized.split()
        found = [piece for word in words for piece in (" ", word, *[""] * (len(self._spelling(word)) - 1))]
        return found[1:]

    def text(self, ids: Sequence[int], words: Sequence[str | None] = ()) -> str:
        """As of any tokeniser; phones that are no word become the nearest, and of several words the most frequent."""
        spelt = [phones for phones in _letters(ids).split(_letters([self._numbers[" "]])) if phones]
        missing = sorted(set(spelt) - self._words.keys())
        nearest = dict(zip(missing, self._nearest(missing), strict=True))
        chosen = words or [None] * len(spelt)
        return " ".join(
            word or self._words[nearest.get(phones, phones)] for phones, word in zip(spelt, chosen, strict=True)
        )

    def _nearest(self, missing: Sequence[str]) -> list[str]:
        """The pronunciation that is nearest to each: that of the most frequent word, if several are."""
        if not missing:
            return []
        found = process.cdist(missing, self._pronunciations, scorer=Levenshtein.distance, dtype=np.uint16)
        return [self._pronunciations[number] for number in found.argmin(axis=1)]

    def record(self) -> dict[str, Any]:
        return {**super().record(), "lexicon": self.lexicon}

    def _unknown(self, text: str, unknown: Sequence[str]) -> InputError:
        return InputError(
            f"Words of {self.language} that the lexicon of the run lacks: {', '.join(unknown[:10])}",
            expected=f"only the {len(self.lexicon)} words of its training texts, and those it was given besides",
            received=repr(text[:80]),
            action=f"train with these words in the file of languages.{self.language}.tokenizer.words or .lexicon",
        )


def _phones(read: Pronunciation, word: str, following: str | None) -> list[str] | None:
    """The phones of a word by itself; of a letter, before another word: alone, espeak-ng reads the letter's name."""
    if following is None:
        return read.phones(word)
    both, own = read.phones(f"{word} {following}") or [], read.phones(following) or []
    size = len(both) - len(own)
    return both[:size] if size > 0 and both[size:] == own else read.phones(word)


def _letters(numbers: Iterable[int]) -> str:
    """Token numbers as letters, in which rapidfuzz finds distances."""
    return "".join(map(chr, numbers))


def _refuse_language(letters: CharacterTokenizer, lexicon: Path | None) -> None:
    language = letters.language
    if not letters.spaced:
        raise InputError(
            f"Phones cannot be tokens of {language}: no spaces separate its words, so none come back",
            expected="a language with spaces between words",
            received=language,
            action="choose characters, parts of words or, for Mandarin, pinyin_parts",
        )
    if lexicon is None and not espeak().speaks(language):
        raise InputError(
            f"espeak-ng {espeak().version} does not speak {language}, so it cannot read its words as phones",
            expected="a language that espeak-ng speaks, or a lexicon",
            received=f"no languages.{language}.tokenizer.lexicon",
            action="set it to a file of lines word<TAB>phones, or choose other tokens",
        )
