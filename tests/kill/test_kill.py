"""A few stops; `make kill` makes a hundred."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_that_was_stopped_ends_like_one_that_was_not():
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent), "--number", "3", "--seed", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "| killed |" in ended.stdout
    assert "3 runs, each stopped once or twice; 0 ended otherwise" in ended.stdout
