"""Settings of decoding: how a trained network turns speech into text."""

from speech_mtl.settings.section import Kinds


class DecodingSettings(Kinds):
    """How tokens are found in a network's outputs; see `decoding.decoder.Decoder`."""


GreedyDecoding = DecodingSettings.plain("greedy", "decoding.greedy:Greedy")
