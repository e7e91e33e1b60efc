"""Initialises new output layers with a trained run's rows for the same tokens.

References: Yusuyin et al. 2025, "Whistle: Data-efficient multilingual and crosslingual speech recognition via weakly
phonetic supervision", and the script `unpack_mulingual_param.py` of the toolkit CAT, which makes the output layer for a
new language out of that for all languages: each phone or subword that both know keeps its row. We differ in characters,
and in an output layer for each language, so that a token can have several rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.models.heads import Part
from speech_mtl.run.weights import load_part, part_path, refuse_other_shapes


@dataclass(frozen=True)
class OldHead:
    """The output layer that a trained run has for a language.

    Attributes:
        numbers: Of its tokens: which row is whose.
        arrays: Its weights by name; rows of all of them are tokens.
    """

    numbers: Mapping[str, int]
    arrays: Mapping[str, np.ndarray]


def old_heads(
    folder: Path, tokenizers: Mapping[str, Tokenizer], part: Part, group: str = "heads"
) -> dict[str, OldHead]:
    """The output layers in the files `group` of a run that have these tokenisers; `part` is a new one, as wide.

    Raises:
        InputError: A file is missing or damaged, or does not fit the tokeniser.
    """
    heads = {}
    for language, tokenizer in tokenizers.items():
        path = part_path(folder, f"{group}/{language}")
        arrays = load_part(path)
        shapes = {key: (len(tokenizer), *variable.shape[1:]) for key, variable in part.items()}
        refuse_other_shapes(shapes, arrays, path)
        heads[language] = OldHead({token: number for number, token in enumerate(tokenizer.vocabulary)}, arrays)
    return heads


def copy_rows(
    part: Part, vocabulary: Sequence[str], heads: Mapping[str, OldHead], language: str
) -> dict[str, tuple[str, ...]]:
    """Sets the rows of those tokens of a new output layer that others have, the blank among them.

    A row is that of the language's own old output layer if this has the token, else the mean over all languages whose
    output layers have it. Rows of other tokens stay as they are.

    Args:
        vocabulary: Its tokens, by row.
        heads: Those to copy from, by language.
        language: Of the new one.

    Returns:
        Of each token whose row was set, the languages that the row comes from.
    """
    copied: dict[str, tuple[str, ...]] = {}
    for token in vocabulary:
        if have := tuple(other for other, head in heads.items() if token in head.numbers):
            copied[token] = (language,) if language in have else have
    for key, variable in part.items():
        array = np.array(keras.ops.convert_to_numpy(variable.value))
        for row, token in enumerate(vocabulary):
            if token in copied:
                rows = [heads[other].arrays[key][heads[other].numbers[token]] for other in copied[token]]
                array[row] = np.mean(rows, axis=0)
        variable.assign(array)
    return copied
