"""Settings of language-specific layers in the encoder."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from speech_mtl.settings.section import Kinds, LanguageName, Layers, Positive, Size

if TYPE_CHECKING:
    from speech_mtl.settings.recipe import Recipe


class SharingSettings(Kinds):
    """Which layers of the encoder all languages share; output layers are never shared."""

    has_own: ClassVar[bool] = True
    """Whether languages have layers for themselves."""
    has_shared: ClassVar[bool] = True
    """Whether languages share any layers."""
    num_own: Layers = 1
    """Layers at either end that each language has for itself: blocks, and at the bottom first the subsampling."""

    def own(self, num_layers: int) -> tuple[int, int]:  # noqa: ARG002
        """Layers that each language has for itself at the bottom and at the top of an encoder of so many blocks."""
        return 0, 0

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """Some layers are left to share, unless none are to be shared."""
        num_layers = recipe.encoder.num_layers
        bottom, top = self.own(num_layers)
        if self.has_shared and max(bottom - 1, 0) + top >= num_layers:
            raise ValueError(f"sharing.num_own leaves none of the encoder's {num_layers} blocks to share")
        if recipe.encoder.times > 1 and (top or not self.has_shared):
            raise ValueError(
                "encoder.upsampling is shared, so what it makes frames of must be: set sharing.kind=whole_encoder"
            )


ShareAll = SharingSettings.plain("whole_encoder")
ShareAll.has_own = False


class ShareBottomSettings(SharingSettings, kind="bottom"):
    """All but the highest `num_own`."""

    def own(self, num_layers: int) -> tuple[int, int]:  # noqa: ARG002
        return 0, self.num_own


class ShareMiddleSettings(SharingSettings, kind="middle"):
    """All but the lowest and the highest `num_own`."""

    def own(self, num_layers: int) -> tuple[int, int]:  # noqa: ARG002
        return self.num_own, self.num_own


class ShareNothingSettings(SharingSettings, kind="nothing"):
    """None."""

    has_shared = False

    def own(self, num_layers: int) -> tuple[int, int]:
        return num_layers + 1, 0


class AdapterSettings(Kinds):
    """Settings of both kinds of adapters."""

    languages: Annotated[tuple[LanguageName, ...], Field(max_length=1000)] | None = None
    """Languages with adapters. None: all."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """They are added to one encoder, for languages that there are."""
        if recipe.sharing.has_own:
            raise ValueError("adapters are added to a shared encoder: sharing.kind must be whole_encoder")
        if self.languages is not None and not (self.languages and set(self.languages) <= set(recipe.languages)):
            raise ValueError("adapters.languages must be some of the recipe's languages")

    def arguments(self) -> dict[str, Any]:
        return {**self.model_dump(exclude={"kind", "languages"}), "added_to": self.languages}


class BottleneckAdapterSettings(AdapterSettings, kind="bottleneck", makes="models.language_layers:LanguageParts"):
    """See `models.language_layers.Adapter`."""

    size: Size = 32
    """Width of the adapter."""


class LowRankAdapterSettings(AdapterSettings, kind="low_rank", makes="models.language_layers:LanguageParts"):
    """See `models.language_layers.LowRank`."""

    rank: Size = 8
    """Rank of the LoRA delta."""
    alpha: Positive = 16.0
    """The delta is multiplied by alpha / rank."""

    def refuse_unfit(self, recipe: "Recipe") -> None:
        """There is attention to add them to."""
        super().refuse_unfit(recipe)
        if not recipe.encoder.has_attention:
            raise ValueError("adapters of the kind low_rank are added to attention, which this encoder has not")
