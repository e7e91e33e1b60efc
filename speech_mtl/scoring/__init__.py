"""From text to error rates and tables."""
