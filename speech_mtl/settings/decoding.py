"""Settings of decoding: how a trained network turns speech into text."""

from typing import Literal

from speech_mtl.settings.section import Section


class GreedyDecodingSettings(Section):
    """See `decoding.greedy.Greedy`."""

    kind: Literal["greedy"] = "greedy"


DecodingSettings = GreedyDecodingSettings
"""Of the one decoder there is; of several their union, told apart by `kind`."""
