"""From the results of many runs to intervals, tests and equivalent hours."""
