"""Settings of decoding: how a trained network turns speech into text."""

from speech_mtl.settings.section import Kinds


class DecodingSettings(Kinds):
    """Which tokens a network's outputs are taken for; see `decoding.decoder.Decoder`."""


GreedyDecoding = DecodingSettings.plain("greedy", "decoding.greedy:Greedy")
