"""Speech and text in: manifests, audio, text, tokenisers, batches."""
