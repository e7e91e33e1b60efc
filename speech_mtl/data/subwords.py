"""Tokenisers of parts of words, learnt from the training texts of a language by sentencepiece."""

import base64
import io
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

from speech_mtl.data.rules import AS_WRITTEN, Choices
from speech_mtl.data.tokenizer import BLANK_TOKEN, CharacterTokenizer
from speech_mtl.errors import InputError, refuse_missing

SPACE = "\u2581"
"""How sentencepiece writes a space. Normalised texts have no such letter."""

LONGEST = 1 << 20
"""Bytes of the longest text that is learnt from; sentencepiece passes over longer ones."""


class SubwordTokenizer(CharacterTokenizer):
    """Parts of words; the space before a word belongs to its first part, and letters are those of characters.

    Reference: Kudo and Richardson 2018, "SentencePiece: A simple and language independent subword tokenizer and
    detokenizer for neural text processing". We differ in normalising texts ourselves, in no space before the first
    word, and in a piece for every letter, however rare.

    Args:
        language: BCP 47 tag.
        vocabulary: The blank, then the pieces.
        model: That of sentencepiece, in base64. It is needed to encode, and not to decode.
        choices: As for `Tokenizer`.
    """

    model_type: ClassVar[str]
    spells_words: ClassVar = False

    def __init__(self, language: str, vocabulary: Sequence[str], model: str, choices: Choices = AS_WRITTEN):
        super().__init__(language, vocabulary, choices)
        self.model = model

    @classmethod
    def from_texts(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, texts: Iterable[str], language: str, choices: Choices = AS_WRITTEN, *, size: int
    ) -> Self:
        """Learns at most `size` tokens, the blank included: fewer where the texts have no more.

        The order of the texts does not matter.

        Raises:
            InputError: No text is left after normalisation, or the letters alone are more tokens than that.
        """
        normalized = sorted(CharacterTokenizer(language, (BLANK_TOKEN,), choices).usable(texts))
        if size < (needed := 1 + len(set().union(*normalized))):
            raise InputError(
                f"{size} tokens are too few for {language}",
                expected=f"{needed} or more: the blank and each letter of the training texts",
                received=f"size: {size}",
                action=f"raise languages.{language}.tokenizer.size",
            )
        written = io.BytesIO()
        _sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=iter(normalized),
            model_writer=written,
            model_type=cls.model_type,
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            max_sentence_length=LONGEST,
            **dict.fromkeys(("bos_id", "eos_id", "pad_id"), -1),
            num_threads=1,
            minloglevel=2,
        )
        model = _sentencepiece().SentencePieceProcessor(model_proto=written.getvalue())
        pieces = (model.id_to_piece(i).replace(SPACE, " ") for i in range(len(model)) if i != model.unk_id())
        encoded = base64.b64encode(written.getvalue()).decode("ascii")
        return cls(language, (BLANK_TOKEN, *sorted(pieces)), encoded, choices)

    @cached_property
    def _processor(self) -> Any:
        sentencepiece = _sentencepiece()
        try:
            return sentencepiece.SentencePieceProcessor(model_proto=base64.b64decode(self.model, validate=True))
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"The model of the tokeniser of {self.language} is damaged",
                expected="a model of sentencepiece, in base64",
                received=str(error) or self.model[:40],
                action="copy the run again, or make the tokeniser again by training",
            ) from None

    def split(self, normalized: str) -> Sequence[str]:
        """The pieces; what the model does not know stays as it is."""
        return [piece.replace(SPACE, " ") for piece in self._processor.encode(normalized, out_type=str)]

    def record(self) -> dict[str, Any]:
        return {**super().record(), "model": self.model}


class BpeTokenizer(SubwordTokenizer):
    """Byte-pair encoding: the most frequent pairs of tokens become one, again and again.

    Reference: Sennrich, Haddow and Birch 2016, "Neural machine translation of rare words with subword units".
    """

    model_type: ClassVar = "bpe"


class UnigramTokenizer(SubwordTokenizer):
    """The pieces with which a model of single tokens makes the texts most probable.

    Reference: Kudo 2018, "Subword regularization: Improving neural network translation models with multiple subword
    candidates", section 3.2.
    """

    model_type: ClassVar = "unigram"


def _sentencepiece() -> Any:
    refuse_missing("sentencepiece", extra="subwords", purpose="Units that are parts of words")
    import sentencepiece

    return sentencepiece
