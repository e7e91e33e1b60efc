"""What every format gives. It finds new ones by itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import original

from benchmarks.exported import READERS
from speech_mtl.errors import InputError
from speech_mtl.export.formats import FORMATS
from speech_mtl.export.network import TOLERANCE


@pytest.mark.parametrize("form", FORMATS)
def test_outputs_equal_those_of_the_network(form: str, make_network: Callable, noises: list, tmp_path: Path):
    network = make_network()
    expected = [original(network.model, noise, "bb") for noise in noises]
    path = FORMATS[form].write(network, tmp_path, False)
    assert path.parent == tmp_path
    run = READERS[form](tmp_path)
    for noise, log_probs in zip(noises, expected, strict=True):
        assert np.ptp(log_probs, axis=0).max() > 0.01
        np.testing.assert_allclose(run(noise), log_probs, atol=TOLERANCE / 5)


@pytest.mark.parametrize("form", FORMATS)
def test_weights_of_8_bits_are_near_or_refused(form: str, make_network: Callable, noises: list, tmp_path: Path):
    network = make_network(changes={"encoder.dim": 64})
    expected = original(network.model, noises[0], "bb")
    if form == "savedmodel":
        with pytest.raises(InputError, match="has no weights of 8 bits"):
            FORMATS[form].write(network, tmp_path, True)
        return
    FORMATS[form].write(network, tmp_path, True)
    found = READERS[form](tmp_path)(noises[0])
    assert TOLERANCE < np.abs(found - expected).max() < 0.15
