"""Comparisons of training with and without auxiliary languages: the plan, the runs, the table."""
