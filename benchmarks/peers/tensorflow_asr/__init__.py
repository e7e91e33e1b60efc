"""TensorFlowASR as a contestant, in its own environment."""
