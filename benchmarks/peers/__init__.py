"""Peers in one run, each in an environment of its own: `python -m benchmarks.peers`."""
