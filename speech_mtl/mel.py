"""Bands of the mel scale, in plain Python, for the network and for the check of its settings."""

import math

_LINEAR_HZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27.0
"""Slaney's scale is linear up to 1 kHz, which is mel 15; from there 27 mel make a factor of 6.4."""


def band_edges_hz(sample_rate_hz: int, num_mels: int) -> list[float]:
    """(F + 2,) where bands that overlap by half begin and end, from 0 to half the sample rate."""
    top = _mel(sample_rate_hz / 2)
    return [_hertz(i * (top / (num_mels + 1))) for i in range(num_mels + 1)] + [_hertz(top)]


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_HZ:
        return hertz * _LINEAR_MEL / _LINEAR_HZ
    return _LINEAR_MEL + math.log(hertz / _LINEAR_HZ) / _LOG_STEP


def _hertz(mel: float) -> float:
    if mel < _LINEAR_MEL:
        return mel * _LINEAR_HZ / _LINEAR_MEL
    return _LINEAR_HZ * math.exp(_LOG_STEP * (mel - _LINEAR_MEL))
