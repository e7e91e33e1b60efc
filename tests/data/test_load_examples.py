from collections import Counter
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_speech import TOKENIZER, loaded, opened

from speech_mtl.data.columns import min_frames
from speech_mtl.data.examples import (
    parts_to_decode,
    refuse_many,
    within_budget,
)
from speech_mtl.data.store import Skipped
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError

# --- budgets


def fake_store(num_samples: np.ndarray) -> Any:
    return SimpleNamespace(num_samples=num_samples, path=Path("cs-train.pcm"))


@pytest.fixture
def store() -> Any:
    """100 utterances of 1 to 5 s; every tenth is skipped."""
    num_samples = np.random.default_rng(0).integers(16_000, 80_000, 100)
    num_samples[::10] = 0
    return fake_store(num_samples)


def test_budgets_are_nested_and_close(store):
    smaller: set[int] = set()
    for budget_s in (20, 21, 60, 120, 200):
        chosen = within_budget(store, budget_s, 16_000, seed=5)
        assert np.all(np.diff(chosen) > 0), "in the manifest's order, each once"
        assert smaller <= set(chosen.tolist())
        smaller = set(chosen.tolist())
        seconds = store.num_samples[chosen].sum() / 16_000
        assert budget_s - 5 < seconds <= budget_s
        assert (store.num_samples[chosen] > 0).all()


@pytest.mark.parametrize(
    ("budget_s", "hours"),
    [(60, [1, 2, 4]), (3270, [1, 2, 4]), (3300, [2, 4]), (6500, [2, 4]), (13_000, [4]), (14_000, []), (99_999, [])],
)
def test_parts_hold_the_budget_and_are_few(budget_s: float, hours: list[int]):
    durations_s = np.random.default_rng(0).uniform(1, 9, 4000)  # 5.6 hours
    parts = list(parts_to_decode(durations_s, budget_s, seed=5))
    sizes_s = [durations_s[part].sum() for part in parts]
    assert all(hour * 3600 <= size_s < hour * 3600 + 9 for hour, size_s in zip(hours, sizes_s, strict=True))
    store = fake_store((durations_s * 16_000).astype(int))
    assert all(set(within_budget(store, budget_s, 16_000, 5)) < set(part) for part in parts)


def test_budget_seed(store):
    one, again, other = (within_budget(store, 60, 16_000, seed).tolist() for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_budget_is_spread_over_the_manifest(store):
    chosen = within_budget(store, 100, 16_000, seed=0)
    assert chosen.max() > 80
    assert chosen.min() < 20


def test_no_budget_is_all_that_is_usable(store):
    np.testing.assert_array_equal(within_budget(store, None, 16_000, 0), np.flatnonzero(store.num_samples))


def test_budget_above_what_there_is(store):
    total_s = store.num_samples.sum() / 16_000
    assert len(within_budget(store, total_s * 1.005, 16_000, 0)) == 90, "up to 1 % more is all there is"
    with pytest.raises(InputError, match="cs-train") as caught:
        within_budget(store, total_s * 1.05, 16_000, 0)
    assert f"{total_s / 60:.1f} minutes" in caught.value.expected


# --- examples


def test_min_frames_is_what_paths_need():
    """The shortest path that collapses to the tokens, found by trying all."""
    for size in (1, 2, 3):
        for tokens in product((1, 2), repeat=size):
            for num_frames in range(1, 6):
                paths = product((0, 1, 2), repeat=num_frames)
                if any(collapsed(path) == list(tokens) for path in paths):
                    assert min_frames(np.array(tokens)) == num_frames, tokens
                    break
            else:
                pytest.fail(f"no path for {tokens}")


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for i, token in enumerate(path) if token and (i == 0 or token != path[i - 1])]


def test_examples(tmp_path):
    texts = [("ab", 1.0), ("c", 0.5), ("", 0.0), ("dcba", 2.0)]
    manifest, store = opened(tmp_path, texts)
    examples = loaded(manifest, store)
    assert len(examples) == 3
    assert examples.positions.tolist() == [0, 1, 3]
    assert examples.num_samples.tolist() == [16_000, 8000, 32_000]
    assert [TOKENIZER.decode(examples.targets[TRANSCRIPT].of(i, 0, 1.0).tolist()) for i in range(3)] == [
        "ab",
        "c",
        "dcba",
    ]
    assert [skip.reason for skip in examples.skipped] == ["missing"]


def test_only_the_named_positions(tmp_path):
    manifest, store = opened(tmp_path, [("a", 1), ("?", 1), ("b", 1), ("c", 1)])
    examples = loaded(manifest, store, np.array([0, 3]))
    assert examples.positions.tolist() == [0, 3]
    assert examples.skipped == []


BAD = {
    "too short for its text": ("aaaa", 0.24),
    "unknown characters": ("xyz", 1.0),
    "no text": ("...!", 1.0),
    "missing": ("a", 0.0),
}


@pytest.mark.parametrize("reason", BAD)
def test_each_reason_is_counted(reason, tmp_path):
    manifest, store = opened(tmp_path, [("ab", 1.0), BAD[reason], ("ab", 1.0)])
    examples = loaded(manifest, store)
    assert [skip.reason for skip in examples.skipped] == [reason]
    assert examples.skipped[0].source == f"{manifest}:2"
    assert examples.positions.tolist() == [0, 2]


def test_too_short_exactly(tmp_path):
    """Seven frames carry `aaaa`, with blanks in between; six do not, nor seven that are played faster."""
    manifest, store = opened(tmp_path, [("aaaa", 7 * 0.04), ("abab", 4 * 0.04)])
    examples = loaded(manifest, store)
    assert len(examples) == 2
    with pytest.raises(InputError, match="2 of 2"):
        loaded(manifest, store, min_speed_samples=1 / 1.1)


def test_too_many_unusable(tmp_path):
    manifest, store = opened(
        tmp_path, [("ab", 1.0), BAD["no text"], BAD["unknown characters"], BAD["missing"], ("x", 1.0)]
    )
    with pytest.raises(InputError, match="3 of 4 utterances") as caught:
        loaded(manifest, store)
    received = caught.value.received
    for part in ("1 no text", "2 unknown characters", f"{manifest}:2", f"{manifest}:3"):
        assert part in received
    assert "missing" not in received, "audio is judged over the whole manifest, where the store is opened"
    assert f"{manifest}:5" not in received, "the first case of each reason only"
    assert "allow_skipped" in caught.value.action
    examples = loaded(manifest, store, allow_skipped=0.8)
    assert examples.positions.tolist() == [0]
    assert Counter(skip.reason for skip in examples.skipped) == {"no text": 1, "unknown characters": 2, "missing": 1}


@pytest.mark.parametrize(
    ("num_skipped", "num_read", "allowed", "refused"),
    [
        (0, 10, 0.01, False),
        (1, 2, 0.001, False),
        (1, 2, 0.0, True),
        (1, 1000, 0.0, True),
        (0, 1000, 0.0, False),
        (1, 1, 0.5, True),
        (2, 150, 0.01, True),
        (2, 200, 0.01, False),
        (3, 200, 0.01, True),
        (3, 200, 0.02, False),
        (5, 5, 0.99, True),
    ],
)
def test_refuse_many(num_skipped, num_read, allowed, refused):
    skipped = [Skipped(f"m.jsonl:{i}", "silent", "x") for i in range(num_skipped)]
    manifest: Any = "m.jsonl"
    if not refused:
        refuse_many(manifest, skipped, num_read, allowed)
        return
    with pytest.raises(InputError, match=rf"m\.jsonl: {num_skipped} of {num_read}") as caught:
        refuse_many(manifest, skipped, num_read, allowed)
    assert f"{num_skipped} silent" in caught.value.received
