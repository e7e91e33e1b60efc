"""speech_mtl as a contestant."""
