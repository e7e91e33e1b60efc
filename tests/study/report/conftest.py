"""Summaries to report on, and their reports on disk."""

from pathlib import Path

import pytest
from made_up_summaries import BARE, FULL, crowded_summary

from speech_mtl.study.statistics.summary import Summary


@pytest.fixture(scope="session")
def full_summary() -> Summary:
    return FULL


@pytest.fixture(scope="session")
def bare_summary() -> Summary:
    return BARE


@pytest.fixture(scope="session")
def crowded() -> Summary:
    return crowded_summary()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three reports on disk, by name."""
    from speech_mtl.study.report.content import write_report

    folder = tmp_path_factory.mktemp("reports")
    summaries = {"full": FULL, "bare": BARE, "crowded": crowded_summary()}
    return {name: write_report(summary, folder / name)[0] for name, summary in summaries.items()}
