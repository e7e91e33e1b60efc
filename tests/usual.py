"""What settings make, with their defaults where a test gives nothing else: constructors have none."""

from typing import Any

from speech_mtl.settings.section import Kinds


def usual(settings: type[Kinds], *first: Any, **given: Any) -> Any:
    """A member of a kind; what is given may lie beyond the ends that settings have."""
    return settings.member()(*first, **{**settings.model_construct().arguments(), **given})
