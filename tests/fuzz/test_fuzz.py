"""A short run of the fuzzer; `make fuzz` does a long one."""

from pathlib import Path

import pytest
from fuzzing import causes, fuzz
from targets import TARGETS


@pytest.mark.parametrize("seed", [0])
def test_spoilt_inputs_are_read_or_refused(seed: int, tmp_path: Path, untraced: None):
    tallies = fuzz(30 * len(TARGETS), seed, tmp_path)
    assert not causes(tallies)
    assert all(tally.read and tally.refused for tally in tallies.values()), "a kind that tests nothing"
