"""Decoding of network outputs: decoders, words with times, and output formats."""
