"""A trained network for one language in the formats of other programs. Start with `network.py`, then `formats.py`."""
