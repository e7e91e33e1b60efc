"""Language-specific layers in the encoder: whole layers, and small adapters beside shared ones.

Every utterance passes through those of its own language and through no other; batches may mix languages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from speech_mtl.backend import uses_xla
from speech_mtl.models.layers import ConvSubsampling, FrameContext

_Layer = TypeVar("_Layer", bound="PerLanguage")

Take = Callable[[Any], Any]
"""An array with the batch as its first axis -> some rows of it."""


class PerLanguage(keras.layers.Layer):
    """Base of language-specific layers: one member for each language.

    Args:
        members: By language, in the order of `language_ids`.
    """

    def __init__(self, members: Mapping[str, keras.layers.Layer], name: str):
        super().__init__(name=name)
        self.languages = tuple(members)
        self.members = list(members.values())

    def build(self, shape):
        for member in self.members:
            member.build(shape)

    def of(self, language: str) -> keras.layers.Layer:
        """The member of a language."""
        return self.members[self.languages.index(language)]

    def keep_only(self, language: str) -> None:
        """Runs no member of another language: every utterance is taken for one of this.

        Keras counts the weights of the others among the layer's as before.
        """
        self.members, self.languages = [self.of(language)], (language,)


class OwnSubsampling(PerLanguage):
    """Language-specific subsampling."""

    def num_frames(self, num_frames):
        """Encoder frames made of so many feature frames (an int or an array)."""
        return self.members[0].num_frames(num_frames)

    @property
    def centres(self) -> tuple[float, int]:
        """Centres of frames; see `ConvSubsampling.centres`."""
        return self.members[0].centres

    def call(self, features, num_frames, language_ids):
        return by_language(self.members, language_ids, lambda member, take: member(take(features), take(num_frames)))


class OwnBlock(PerLanguage):
    """Language-specific block of the encoder."""

    def call(self, inputs, context, training=False, **streamed):
        rows = ops.reshape(inputs, (-1, ops.shape(context.mask)[1], inputs.shape[-1]))

        def run(member, take):
            own = take(rows)
            flat = member(ops.reshape(own, (-1, inputs.shape[-1])), _rows(context, take), training=training, **streamed)
            return ops.reshape(flat, ops.shape(own))

        return ops.reshape(by_language(self.members, context.language_ids, run), (-1, inputs.shape[-1]))


def by_language(members: Sequence[Any], language_ids, run: Callable[[Any, Take], Any]):
    """Applies each utterance's member to it, in the order of the batch.

    A member sees the utterances of its language only, so that the cost does not grow with the number of languages. XLA
    compiles for fixed shapes: there every member sees all, and the rest is thrown away.

    Args:
        members: In the order of `language_ids`.
        language_ids: (B,).
        run: What a member makes of its rows.
    """
    if len(members) == 1:
        return run(members[0], lambda array: array)
    if not uses_xla():
        rows = [ops.nonzero(ops.equal(language_ids, i))[0] for i in range(len(members))]
        outputs = [_of_rows(own, partial(run, member)) for member, own in zip(members, rows, strict=True)]
        return ops.take(ops.concatenate(outputs, axis=0), ops.argsort(ops.concatenate(rows)), axis=0)
    outputs = [run(member, lambda array: array) for member in members]
    chosen = ops.zeros_like(outputs[0])
    for i, output in enumerate(outputs):
        own = ops.reshape(ops.equal(language_ids, i), (-1, *[1] * (len(output.shape) - 1)))
        chosen = ops.where(own, output, chosen)
    return chosen


def _of_rows(rows, run: Callable[[Take], Any]):
    """Applies `run` to some rows. If there are none, it gets the first one: kernels fail on empty batches."""
    size = ops.shape(rows)[0]
    stand_in = ops.zeros((1,), "int32")[ops.minimum(size, 1) :]
    shown = ops.concatenate([ops.cast(rows, "int32"), stand_in])
    return run(lambda array: ops.take(array, shown, axis=0))[:size]


def _rows(context: FrameContext, take: Take) -> FrameContext:
    bias = context.attention_bias
    return context._replace(
        mask=take(context.mask),
        attention_bias=None if bias is None else take(bias),
        language_ids=take(context.language_ids),
    )


class _LowRankPair(keras.layers.Layer):
    """Two matrices, (D, R) and (R, D'), of which the second starts at zero: at first the pair changes nothing."""

    def __init__(self, dim: int, rank: int, out_dim: int, name: str):
        super().__init__(name=name)
        self.shapes = (dim, rank), (rank, out_dim)

    def build(self, _shape=None):
        self.down = self.add_weight(shape=self.shapes[0], initializer="he_normal", name="down")
        self.up = self.add_weight(shape=self.shapes[1], initializer="zeros", name="up")


class _LanguageDeltas(PerLanguage):
    """Base of adapters and LoRA: adds to shared layers for some of the languages.

    The matrices of all languages are laid side by side and each utterance gathers its own, as in `LanguageHeads`: the
    cost is that of one language, whatever their number.
    """

    def __init__(
        self, shape: tuple[int, int, int], languages: Sequence[str], added_to: Sequence[str] | None, name: str
    ):
        own = languages if added_to is None else added_to
        super().__init__({language: _LowRankPair(*shape, language) for language in own}, name)
        # (L,) which pair is whose; those behind the last one are zeros.
        places = [self.languages.index(one) if one in self.languages else len(own) for one in languages]
        self.places = np.array(places, "int32")

    def keep_only(self, language: str) -> None:
        is_added_to = language in self.languages
        super().keep_only(language if is_added_to else self.languages[0])
        self.places = np.full_like(self.places, 0 if is_added_to else 1)

    def through(self, inputs, context: FrameContext, activation: Callable):
        """(B * E, D) frames through the two matrices of their languages."""
        rows = ops.reshape(inputs, (-1, ops.shape(context.mask)[1], inputs.shape[-1]))
        places = ops.take(self.places, context.language_ids, axis=0)
        down, up = (ops.take(self._stacked(which), places, axis=0) for which in ("down", "up"))
        outputs = ops.matmul(activation(ops.matmul(rows, down)), up)
        return ops.reshape(outputs, (-1, outputs.shape[-1]))

    def _stacked(self, which: str):
        members: list[Any] = self.members
        matrices = [getattr(member, which).value for member in members]
        return ops.stack([*matrices, ops.zeros_like(matrices[0])])


class Adapter(_LanguageDeltas):
    """Adapter: a bottleneck of a few dimensions that is added to the output of a shared block.

    References: Houlsby et al. 2019, "Parameter-efficient transfer learning for NLP", section 2.1; Bapna and Firat 2019,
    "Simple, scalable adaptation for neural machine translation", section 2: after every block. We differ in having no
    layer normalisation in front, because our blocks end with one.

    Args:
        dim: D.
        size: Dimensions of the bottleneck.
        languages: In the order of `language_ids`.
        added_to: Those that have one; all if None.
    """

    def __init__(self, dim: int, size: int, languages: Sequence[str], added_to: Sequence[str] | None, name: str):
        super().__init__((dim, size, dim), languages, added_to, name)

    def call(self, inputs, context):
        """(B * E, D) -> (B * E, D)."""
        return inputs + self.through(inputs, context, ops.relu)


class LowRank(_LanguageDeltas):
    """LoRA delta: each language adds a product of two small matrices to that of a shared one.

    Reference: Hu et al. 2022, "LoRA: Low-rank adaptation of large language models", section 4.1. We differ in not
    merging the product into the shared matrix after training, because batches mix languages.

    Args:
        dim: D, of the inputs.
        out_dim: D', of the outputs.
        rank: R.
        alpha: The sum is scaled by alpha / R.
        languages: In the order of `language_ids`.
        added_to: Those that have one; all if None.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        rank: int,
        alpha: float,
        languages: Sequence[str],
        added_to: Sequence[str] | None,
        name: str,
    ):
        super().__init__((dim, rank, out_dim), languages, added_to, name)
        self.scale = alpha / rank

    def call(self, inputs, context):
        """(B * E, D) inputs -> (B * E, D') to add to the shared layer's outputs."""
        return self.through(inputs, context, lambda hidden: hidden) * self.scale


@dataclass
class LanguageParts:
    """Makes and holds the language-specific layers of an encoder that the recipe asks for.

    Args:
        languages: In the order of `language_ids`.
        num_bottom: How many of the lowest layers, of which the subsampling is the first, are not shared.
        num_top: How many of the highest layers are not shared.
        size: Dimensions of the adapters' bottlenecks; 0 for no adapters.
        rank: Of what is added to the shared matrices of attention; 0 for nothing.
        alpha: See `LowRank`.
        added_to: The languages that have adapters or what is added to attention; all if None.
    """

    languages: Sequence[str] = ()
    num_bottom: int = 0
    num_top: int = 0
    size: int = 0
    rank: int = 0
    alpha: float = 0.0
    added_to: Sequence[str] | None = None
    made: list[PerLanguage] = field(default_factory=list, init=False)

    def subsampling(self, make: Callable[[str], ConvSubsampling]) -> ConvSubsampling | OwnSubsampling:
        """The lowest layer: shared, or one for each language."""
        name = "subsampling"
        return self._known(OwnSubsampling(self._each(make), name)) if self.num_bottom else make(name)

    def block(self, number: int, num_blocks: int, make: Callable[[str], Any]) -> Any:
        """A block, shared or one for each language; `number` counts from the bottom, from 0."""
        own = number < self.num_bottom - 1 or number >= num_blocks - self.num_top
        name = f"block_{number}"
        return self._known(OwnBlock(self._each(make), name)) if own else make(name)

    def adapters(self, dim: int, num_blocks: int) -> list[Adapter]:
        """Makes the adapters after a block, or none."""
        numbers = range(num_blocks if self.size else 0)
        return [self._known(Adapter(dim, self.size, self.languages, self.added_to, f"adapter_{i}")) for i in numbers]

    def low_rank(self, dim: int, out_dim: int, name: str) -> LowRank | None:
        """Makes the LoRA delta of a shared matrix, or none."""
        if not self.rank:
            return None
        return self._known(LowRank(dim, out_dim, self.rank, self.alpha, self.languages, self.added_to, name))

    def weights_of(self, language: str) -> list[keras.Variable]:
        """All weights of a language's own layers."""
        if language not in self.languages:
            return []
        own = [layer.of(language) for layer in self.made if language in layer.languages]
        return [variable for layer in own for variable in layer.trainable_variables]

    def _each(self, make: Callable[[str], Any]) -> dict[str, Any]:
        return {language: make(language) for language in self.languages}

    def _known(self, layer: _Layer) -> _Layer:
        self.made.append(layer)
        return layer
