"""Settings of decoding: how a trained network turns speech into text."""

from speech_mtl.settings.section import Kinds


class DecodingSettings(Kinds):
    """See `decoding.decoder.Decoder`."""


GreedyDecoding = DecodingSettings.plain("greedy", "decoding.greedy:Greedy")
