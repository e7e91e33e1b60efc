"""Losses, schedules and the loop that trains."""
