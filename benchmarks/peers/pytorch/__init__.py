"""PyTorch as a contestant, in its own environment."""
