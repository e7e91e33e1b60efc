"""Comparing what was drawn with what theory expects."""


def within(measured, expected, standard_error):
    """Not further than chance explains; seeds are fixed, so that this never fails by chance."""
    return abs(measured - expected) < 4 * standard_error
