"""Statistics of many runs: intervals, tests and equivalent hours."""
