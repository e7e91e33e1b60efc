"""What large corpora and many languages take, from made-up measurements."""

import pytest

from benchmarks import scaling

COMMITTED = scaling._rows
MEASURED = {
    "large_corpus": [
        {"lines": 1_000, "index_mb": 1.0, "build": {"s": 1.0}, "open": {"peak_mib": 1024}},
        {"lines": 11_000, "index_mb": 11.0, "build": {"s": 22.0}, "open": {"peak_mib": 2048}},
    ],
    "corpus_growth": [
        {"audio": "once", "lines": 100, "hours": 1.0, "before_s": 90.0},
        {"audio": "read", "lines": 100, "hours": 1.0, "before_s": 60.0},
        {"audio": "read", "lines": 200, "hours": 2.0, "before_s": 120.0},
    ],
    "peers": [
        {"case": "training step", "num_threads": 2, "input": "a", "speech_mtl": {"audio_s_per_s": {"median": 1800.0}}},
        {"case": "training step", "num_threads": 2, "input": "b", "speech_mtl": {"audio_s_per_s": {"median": 3600.0}}},
        {"case": "training step", "num_threads": 1, "input": "a", "speech_mtl": {"audio_s_per_s": {"median": 1.0}}},
        {"case": "loading", "num_threads": 2, "input": "mp3", "speech_mtl": {"audio_s_per_s": {"median": 1.0}}},
        {"case": "loading", "num_threads": 2, "input": "opus", "speech_mtl": {"audio_s_per_s": {"median": 2000.0}}},
    ],
    "number_of_languages": [
        {"batch": "a", "ratios": {"10": {"cpu": {"median": 9.0}}, "102": {"cpu": {"median": 1.1}}}}
    ],
}


@pytest.fixture(autouse=True)
def _measured(monkeypatch):
    monkeypatch.setattr(scaling, "_rows", MEASURED.__getitem__)


def test_of_speech_by_hand():
    """110 hours are 11,000 utterances, by the mean length of the largest corpus."""
    values = [line.value for line in scaling.of_speech(110)]
    assert values == pytest.approx(
        [
            *(0.011, 0.011, 22 / 60),  # million utterances, GB, minutes
            2.0,  # GiB
            110.0,  # minutes: 60 s for 100 lines, 60 s more for each 100 more
            *(110 * 3600 * 3000 / 1e12, 110 * 3600 * 32_000 / 1e12),
            110 * 3600 / 1800 / 86_400,  # days, by the slower of two batches
            10.0,  # processors, of which each reads 1,000 s a second
        ]
    )


def test_of_languages_by_hand():
    weights, memory, step = scaling.of_languages(202)
    assert weights.value == pytest.approx(202 * 40 * 145 / 1e6, rel=0.05)
    assert memory.value == pytest.approx(weights.value * 1e6 * 16 / 2**20)
    assert step.value == pytest.approx(1.2), "a tenth for 100 languages more"


def test_the_table_has_a_row_for_each_line():
    lines = [*scaling.of_speech(1), *scaling.of_languages(3)]
    assert [row[0] for row in scaling.table(lines).lines] == [line.what for line in lines]


def test_the_measurements_are_there():
    """Those that the table is made of; it fails where one of them gets another form."""
    own = scaling.read_json(scaling.FOLDER / "peers.json", dict, "")["rows"]
    assert {row["case"] for row in own} >= {"training step", "loading"}


def test_the_result_is_what_the_measurements_give(monkeypatch):
    monkeypatch.setattr(scaling, "_rows", COMMITTED)
    found = [line._asdict() for line in (*scaling.of_speech(100_000), *scaling.of_languages(1_000))]
    rows = COMMITTED("scaling")
    assert [row | {"value": 0} for row in found] == [row | {"value": 0} for row in rows]
    assert [row["value"] for row in found] == pytest.approx([row["value"] for row in rows])
