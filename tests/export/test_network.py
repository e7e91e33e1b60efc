import numpy as np
import pytest

from speech_mtl.export.network import power_by_convolution
from speech_mtl.settings.features import FeatureSettings, MelSettings

OF_BANDS = [kind for kind, settings in FeatureSettings.kinds().items() if issubclass(settings, MelSettings)]


@pytest.mark.parametrize("kind", OF_BANDS)
def test_power_is_that_of_the_transform(kind: str):
    features = FeatureSettings.kinds()[kind]().make(sample_rate_hz=16_000)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 9000)).astype("float32")
    expected, found = np.asarray(features.power(noise)), np.asarray(power_by_convolution(features, noise))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
