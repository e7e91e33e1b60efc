"""pyctcdecode as a contestant, in its own environment."""
