"""Fixtures of the tests of data scripts."""

from pathlib import Path

import pytest


@pytest.fixture
def huggingface_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hugging Face datasets, offline and with its cache in a temporary folder; skips where it is not installed."""
    config = pytest.importorskip("datasets").config
    constants = pytest.importorskip("huggingface_hub").constants
    cache = tmp_path / "huggingface"
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache
