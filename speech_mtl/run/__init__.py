"""One run: its folder, speech and training, and everything done with a trained run."""
