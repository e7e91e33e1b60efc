"""Objective, optimiser, schedules and weightings of training."""
