"""A page on which trained runs can be tried: record or upload speech, and see what they make of it."""
