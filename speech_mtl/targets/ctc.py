"""A sequence of tokens, by connectionist temporal classification: the transcript, or one more reading of it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from keras import ops

from speech_mtl.backend import ctc_loss
from speech_mtl.data.collation import padded_rows
from speech_mtl.data.examples import Unusable
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.datatypes import TOP, TRANSCRIPT, Array, Tokens, Utterance
from speech_mtl.errors import InputError
from speech_mtl.models.heads import LanguageHeads
from speech_mtl.targets.target import Target


class Ctc(Target):
    """The transcript in tokens of each language's tokeniser.

    The output layers of all languages are one product of matrices and one loss, whatever their number; see
    `LanguageHeads`.

    Args:
        name: What recipes call it. That of the name `transcript` is decoded to text.
        tokenizers: By output layer.
        layer_of: By language, its output layer; utterances of other languages have no such target. None: each language
            that a tokeniser is named after has its own.
        at: The tap of the encoder, of all output layers or of each.
    """

    from_text = True

    def __init__(
        self,
        name: str,
        tokenizers: Mapping[str, Tokenizer],
        layer_of: Mapping[str, str] | None = None,
        at: str | Mapping[str, str] = TOP,
    ):
        super().__init__(name)
        self.tokenizers = dict(tokenizers)
        self.layer_of = {name: name for name in tokenizers} if layer_of is None else dict(layer_of)
        self.tap_of = dict.fromkeys(tokenizers, at) if isinstance(at, str) else dict(at)
        self.by_language = name == TRANSCRIPT

    def is_for(self, language: str) -> bool:
        return language in self.layer_of

    def encode(self, utterance: Utterance, language: str) -> np.ndarray | None:
        """(U,) int32."""
        if utterance.text is None or not self.is_for(language):
            return None
        tokenizer = self.tokenizers[self.layer_of[language]]
        if refused := tokenizer.refusal(utterance.text):
            raise Unusable("numbers or words refused", refused)
        try:
            tokens = np.array(tokenizer.encode(utterance.text), np.int32)
        except InputError as error:
            raise Unusable("unknown characters", error.problem) from None
        if not len(tokens):
            raise Unusable("no text", f"nothing is left of the transcript {utterance.text!r}")
        return tokens

    def num_frames_needed(self, encoded: np.ndarray) -> int:
        """One for each token, and one for each blank between equal neighbours."""
        return len(encoded) + int(np.count_nonzero(encoded[1:] == encoded[:-1]))

    def rows(self, encoded: np.ndarray | None) -> np.ndarray:
        return np.zeros(0, np.int32) if encoded is None else encoded

    def values(self, rows: np.ndarray, times_s: Callable[[], np.ndarray]) -> np.ndarray:  # noqa: ARG002
        return rows

    def stacked(self, values: Sequence[np.ndarray]) -> Tokens:
        return Tokens(*padded_rows(values, np.int32))

    def nothing(self) -> Tokens:
        return Tokens(np.zeros((0, 0), np.int32), np.zeros(0, np.int32))

    def head(self, widths: Mapping[str, int], languages: Sequence[str]) -> LanguageHeads:
        num_tokens = {name: len(tokenizer) for name, tokenizer in self.tokenizers.items()}
        name = "heads" if self.name == TRANSCRIPT else self.name
        return LanguageHeads(languages, num_tokens, self.layer_of, self.tap_of, widths, name)

    def counts(self, values: Tokens, num_frames: Array) -> Array:  # noqa: ARG002
        """Tokens of each utterance."""
        return ops.cast(values.sizes, "float32")

    def losses(self, outputs: Array, values: Tokens, num_frames: Array) -> Array:
        """Negative log-likelihood of each utterance's tokens."""
        return ctc_loss(outputs, num_frames, values.ids, values.sizes)
