"""Error rates and their tables."""
