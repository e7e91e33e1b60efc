"""The cache of features: made once, resumed wherever it was cut off, and refused when it is damaged."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data.feature_cache import FeatureCache, Wanted
from speech_mtl.errors import InputError


class Maker:
    """Makes two features of every ten samples; breaks off at the utterance of a number."""

    def __init__(self, fails_at: int = -1):
        self.made, self.fails_at = 0, fails_at

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        if self.made == self.fails_at:
            raise KeyboardInterrupt
        self.made += 1
        return np.repeat(waveform[::10], 2)


def wanted(numbers: Iterable[int]) -> list[Wanted]:
    return [(f"key-{i}", lambda i=i: np.full(100 + 10 * i, i / 8, np.float32)) for i in numbers]


def check(cache: FeatureCache, numbers: Iterable[int]) -> None:
    for i in numbers:
        found, num_samples = cache[f"key-{i}"]
        assert num_samples == 100 + 10 * i
        np.testing.assert_array_equal(found, np.full(2 * (10 + i), i / 8, np.float32))


def test_nothing_is_made_twice(tmp_path: Path):
    maker = Maker()
    FeatureCache(tmp_path / "cache").fill(wanted([3, 1]), maker)
    again = FeatureCache(tmp_path / "cache")
    again.fill(wanted([1, 2, 3]), maker)
    assert maker.made == 3
    check(again, [1, 2, 3])
    assert sorted(path.name for path in (tmp_path / "cache").iterdir() if path.suffix) == ["features.f16", "index.tsv"]


def test_an_open_cache_sees_what_another_process_made(tmp_path: Path):
    first, second = FeatureCache(tmp_path), FeatureCache(tmp_path)
    first.fill(wanted([1, 2]), Maker())
    maker = Maker()
    second.fill(wanted([1, 2]), maker)
    assert maker.made == 0
    check(second, [1, 2])


def test_it_resumes_behind_the_last_whole_utterance(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path).fill(wanted(range(5)), Maker(fails_at=3))
    for size in (1, 5):  # half of an utterance, and half of a line
        with (tmp_path / "features.f16").open("ab") as file:
            file.write(b"x" * size)
        with (tmp_path / "index.tsv").open("ab") as file:
            file.write(b"key-4\t17"[:size])
        maker, cache = Maker(), FeatureCache(tmp_path)
        cache.fill(wanted(range(5 if size == 5 else 4)), maker)
        assert maker.made == 1
        check(cache, range(5 if size == 5 else 4))
    check(FeatureCache(tmp_path), range(5))


@pytest.mark.parametrize("line", [b"key\t1\t2\n", b"key\t1\t2\tx\t4\n", b"\xff\t1\t2\t3\t4\n", b"\n"])
def test_a_damaged_index_is_found(tmp_path: Path, line: bytes):
    FeatureCache(tmp_path).fill(wanted([1]), Maker())
    with (tmp_path / "index.tsv").open("ab") as file:
        file.write(line)
    with pytest.raises(InputError, match=r"index.tsv is damaged") as caught:
        FeatureCache(tmp_path)
    assert str(tmp_path) in caught.value.action


@pytest.mark.parametrize("damage", ["cut off", "changed"])
def test_damage_is_found(tmp_path: Path, damage: str):
    FeatureCache(tmp_path).fill(wanted([1, 2]), Maker())
    path = tmp_path / "features.f16"
    content = path.read_bytes()
    path.write_bytes(content[:-3] if damage == "cut off" else content[:-1] + b"\x55")
    with pytest.raises(InputError, match="is damaged") as caught:
        check(FeatureCache(tmp_path), [1, 2])
    assert str(tmp_path) in caught.value.action
