"""Both pages in a browser: nothing is missing, and the audio plays."""

from pathlib import Path

import pytest
from chromium import launched
from made_up_manifests import good, written

from speech_mtl.corpus.listen import sampled
from speech_mtl.corpus.manifests import ManifestSet, find_manifests
from speech_mtl.corpus.pages import listen_page, stats_page
from speech_mtl.corpus.stats import count


@pytest.fixture
def manifests(tmp_path: Path) -> list[ManifestSet]:
    lines = good(0, 12, "ab")
    lines[0]["text"] = "<script>alert(1)</script> سلام"
    lines[1]["audio"] = "none.flac"
    written(tmp_path / "de" / "train.jsonl", lines)
    written(tmp_path / "de" / "test.jsonl", good(30, 8, "c"))
    written(tmp_path / "en" / "train.jsonl", good(50, 12, "c", language="en"))
    return find_manifests([tmp_path])


def test_texts_are_escaped_and_audio_is_in_the_page(manifests):
    page = listen_page("x", sampled(manifests, None, None, 99, 0), 0)
    assert "<script>alert" not in page
    assert page.count("data:audio/flac;base64,") == 31
    assert "there is no audio file" in page


def test_the_pages_in_a_browser(manifests, tmp_path):
    (tmp_path / "stats.html").write_text(stats_page("x", count(manifests)), encoding="utf-8")
    (tmp_path / "listen.html").write_text(listen_page("x", sampled(manifests, None, None, 2, 0), 0), encoding="utf-8")
    problems: list[str] = []
    with launched() as browser:
        page = browser.new_context(offline=True).new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((tmp_path / "stats.html").as_uri())
        assert page.locator("svg").count() == 3
        assert page.locator("table").first.locator("tbody tr").count() == 3
        page.goto((tmp_path / "listen.html").as_uri())
        durations = page.locator("audio").evaluate_all(
            "all => Promise.all(all.map((one) => new Promise((done) => {"
            "  one.onloadedmetadata = () => done(one.duration); one.onerror = () => done(-1);"
            "  one.preload = 'metadata'; one.load(); })))"
        )
    assert durations == pytest.approx([3.0] * len(durations), abs=0.01)
    assert durations
    assert problems == []
