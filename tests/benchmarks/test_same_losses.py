"""Where two curves of losses part."""

import json

import pytest

from benchmarks.same_losses import NUM_UPDATES, RESULT, TRAININGS, Parting, compared, parting


def test_equal_curves_do_not_part():
    assert parting([3.0, 2.0], [3.0, 2.0], 0.0) == Parting(2, None, 0.0)


def test_rounding_is_told_and_tolerated():
    found = parting([4.0, 2.0, 1.0], [4.0, 2.001, 1.0], 1e-3)
    assert found[:2] == (1, None)
    assert found.largest == pytest.approx(5e-4)


def test_the_first_update_beyond_the_tolerance_is_named():
    assert parting([4.0, 2.0, 1.0, 1.0], [4.0, 2.001, 1.1, 2.0], 1e-3)[:2] == (1, 3)


def test_a_loss_that_is_no_number_is_another():
    assert parting([4.0, 2.0], [4.0, float("nan")], 1e-3)[:2] == (1, 2)


def test_curves_of_different_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        parting([4.0, 2.0], [4.0], 1e-3)


def test_one_training_that_parts_is_enough(capsys: pytest.CaptureFixture):
    before = {"alone": [1.0], "joint": [2.0]}
    assert compared(before, before, 0.0)
    assert not compared(before, before | {"joint": [2.1]}, 1e-3)
    assert "joint: other losses from update 1 on" in capsys.readouterr().out


def test_the_losses_that_are_kept_are_whole():
    kept = json.loads(RESULT.read_text(encoding="utf-8"))
    assert {name: len(losses) for name, losses in kept["losses"].items()} == dict.fromkeys(TRAININGS, NUM_UPDATES)
    assert all(losses[-1] < losses[0] for losses in kept["losses"].values())
