"""The network, from waveform to logits."""
