"""With and without auxiliary languages: the plan, the runs, the table."""
