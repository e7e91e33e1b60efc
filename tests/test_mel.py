import numpy as np
import pytest

from speech_mtl.mel import band_edges_hz


@pytest.mark.parametrize(("rate_hz", "num_mels"), [(16_000, 80), (8_000, 23), (1_500, 8)])
def test_bands_are_even_up_to_1_khz_and_then_of_one_ratio(rate_hz: int, num_mels: int):
    edges = np.array(band_edges_hz(rate_hz, num_mels))
    assert (len(edges), edges[0]) == (num_mels + 2, 0.0)
    assert edges[-1] == pytest.approx(rate_hz / 2)
    low, high = edges[edges < 1000], edges[edges >= 1000]
    np.testing.assert_allclose(np.diff(low), edges[1])
    width_mel = 15 * edges[1] / 1000
    np.testing.assert_allclose(high[1:] / high[:-1], 6.4 ** (width_mel / 27))
