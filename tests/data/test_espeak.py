"""espeak-ng keeps global state, which callers in several threads must not mix up."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("espeakng_loader", reason="the extra phones is not installed")

from speech_mtl.data.espeak import espeak

TEXTS = {"de": "Zehn zahme Ziegen ziehen zehn Zentner Zucker", "en-gb": "The ship is in the sea, and so is the sheep"}


def test_threads_take_turns():
    reader = espeak()
    voices = {language: reader.voice(language) for language in TEXTS}
    expected = {language: reader.ipa(20 * f"{text}. ", voices[language]) for language, text in TEXTS.items()}
    asked = 20 * list(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda language: reader.ipa(20 * f"{TEXTS[language]}. ", voices[language]), asked))
    assert found == [expected[language] for language in asked]
