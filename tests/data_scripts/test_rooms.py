"""Simulated rooms: repeatable, and as reverberant as they are asked to be."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from data_scripts import rooms
from data_scripts.rooms import LEAST_S, app, room_response

RATE = 16_000


@pytest.fixture(autouse=True)
def extra_packages() -> None:
    pytest.importorskip("pyroomacoustics")


def decay_s(response: np.ndarray) -> float:
    """Seconds in which the remaining energy falls from -5 to -25 dB, times 3: ISO 3382's T20."""
    left = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level_db = 10 * np.log10(left / left[0] + 1e-12)
    return 3 * float(np.argmax(level_db < -25) - np.argmax(level_db < -5)) / RATE


def test_longer_times_reverberate_longer():
    """Sabine's formula holds where sound is diffuse, so roughly in small rooms."""
    found = [np.median([decay_s(room_response([i], (rt, rt), RATE)) for i in range(3)]) for rt in (0.15, 0.3)]
    assert 0.07 < found[0] < 0.25
    assert 0.2 < found[1] < 0.6


def test_the_direct_sound_is_the_largest_sample():
    for seed in range(3):
        response = room_response([seed], (0.1, 0.2), RATE)
        direct = int(np.argmax(np.abs(response)))
        assert response[direct] == pytest.approx(0.9)
        assert np.abs(response[: max(0, direct - 60)]).max(initial=0) < 0.05


def test_another_seed_makes_other_rooms(tmp_path: Path):
    for seed in ("0", "1"):
        arguments = [str(tmp_path / seed), "--number", "2", "--longest-s", "0.15", "--seed", seed]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert len({path.read_bytes() for path in tmp_path.rglob("*.flac")}) == 4


def test_times_that_no_room_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert room_response([0], (LEAST_S, LEAST_S), RATE).size
    monkeypatch.setattr(rooms, "room_response", lambda *_: np.ones(9, "float32"))  # which would not end
    result = CliRunner().invoke(app, [str(tmp_path), "--number", "1", "--shortest-s", "0.05", "--longest-s", "0.06"])
    assert result.exit_code == 2
    assert "--longest-s" in result.output


def test_the_folder_is_repeatable_and_resumed(tmp_path: Path):
    arguments = ["--number", "3", "--longest-s", "0.2"]
    for name in ("one", "other"):
        assert CliRunner().invoke(app, [str(tmp_path / name), *arguments]).exit_code == 0
    one, other = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "other"))
    assert len(one) == 3
    assert len(set(one)) == 3
    assert one == other
    assert soundfile.info(tmp_path / "one" / "00000.flac").samplerate == RATE
    (tmp_path / "one" / "00001.flac").unlink()
    before = (tmp_path / "one" / "00000.flac").stat().st_mtime_ns
    assert CliRunner().invoke(app, [str(tmp_path / "one"), *arguments]).exit_code == 0
    assert (tmp_path / "one" / "00001.flac").read_bytes() == one[1]
    assert (tmp_path / "one" / "00000.flac").stat().st_mtime_ns == before
