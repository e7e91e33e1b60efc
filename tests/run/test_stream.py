import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from made_up_targets import model_of

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.streaming import Stream
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.folder import Run
from speech_mtl.run.stream import open_stream, print_final, recognized, show_on_terminal, transcribe_standard_input
from speech_mtl.run.transcribe import Transcriber
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe


def made(recipe: Recipe, folder: Path) -> Run:
    run = Run(folder)
    run.start(recipe, {language: CharacterTokenizer.from_texts(["abcd"], language) for language in ("aa", "bb")})
    Checkpoints(run).save_best(model_of(recipe, {"aa": 5, "bb": 5}), 1)
    return run


@pytest.fixture
def run(tiny_recipe: Recipe, tmp_path: Path, untraced: None) -> Run:
    return made(
        tiny_recipe.overridden({"encoder.chunk_size": 4, "features.normalize": "running_mean"}), tmp_path / "run"
    )


class Pipe(io.TextIOWrapper):
    """Standard input."""

    def __init__(self, content: bytes):
        super().__init__(io.BufferedReader(io.BytesIO(content)))  # type: ignore[arg-type]


def test_standard_input_is_printed_as_the_file_would_be(
    run: Run, speak: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.wav"
    soundfile.write(path, speak("abcd"), 16_000, subtype="PCM_16")
    (whole,) = Transcriber(run.path).transcribe(path, "aa")
    monkeypatch.setattr("sys.stdin", Pipe(path.read_bytes()))
    transcribe_standard_input(run, "aa", None, Screen())
    out, err = capsys.readouterr()
    assert out.replace("\n", "") == whole.text
    assert "16,000 Hz" in err
    assert "0.05 to 0.17 s after speech" in err


def test_a_run_of_whole_utterances_is_refused_with_what_to_set(tiny_recipe: Recipe, tmp_path: Path, untraced: None):
    with pytest.raises(InputError) as caught:
        open_stream(made(tiny_recipe, tmp_path / "run"), "aa")
    assert caught.value.received == "encoder.kind: conformer, encoder.chunk_size: null"
    assert "encoder.chunk_size=16 features.normalize=running_mean" in caught.value.action
    recurrent = tiny_recipe.overridden({"encoder": {"kind": "recurrent", "num_layers": 1, "dim": 8, "channels": 2}})
    with pytest.raises(InputError) as caught:
        open_stream(made(recurrent, tmp_path / "other"), "aa")
    assert caught.value.received == "encoder.kind: recurrent"


def test_a_terminal_is_no_audio(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(InputError, match="There is no audio on standard input") as caught:
        transcribe_standard_input(run, "aa", None, Screen())
    assert "arecord" in caught.value.action


def test_what_came_before_an_error_or_a_stop_is_told_first(run: Run, speak: Callable):
    stream: Stream = open_stream(run, "aa")
    for error in (InputError("cut off", expected="", received="", action=""), KeyboardInterrupt()):

        def pieces(error: BaseException = error) -> Iterator[np.ndarray]:
            yield from np.array_split(speak("abcd"), 100)
            raise error

        found: list[tuple[Hypothesis, bool]] = []
        with pytest.raises(type(error)):
            found += recognized(stream, pieces())  # what came before the error is in the list
        (expected,) = stream._recognizer.transcribe([speak("abcd")], "aa")
        assert "".join(segment.text for segment, is_whole in found if is_whole) == expected.text
        assert [is_whole for _, is_whole in found].count(False) < 10, "nothing is recognized again before another chunk"


def shown(is_settled: bool, spaced: bool, *found: tuple[str, bool]) -> list[str]:
    """What is printed after each."""
    out, seen = io.StringIO(), []

    def one_by_one() -> Iterator[tuple[Hypothesis, bool]]:
        for number, (text, is_whole) in enumerate(found):
            if number:
                seen.append(out.getvalue())
            yield Hypothesis("x", "aa", text, 0.0, spaced=spaced), is_whole

    print_final(one_by_one(), is_settled, out)
    return [*seen, out.getvalue()]


def test_words_are_printed_once_they_are_final():
    found = [("", False), ("do", False), ("dobrý d", False), ("dobrý den", True), ("a", False), ("ano", True)]
    assert shown(True, True, *found) == [
        "",
        "",
        "dobrý",
        "dobrý den\n",
        "dobrý den\n",
        "dobrý den\nano\n",
    ]
    assert shown(False, True, *found)[2:] == ["", "dobrý den\n", "dobrý den\n", "dobrý den\nano\n"]
    assert shown(True, False, ("机", False), ("机器", False), ("机器", True)) == ["", "机", "机器\n"]


def test_a_terminal_shows_what_is_not_final_too():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def segment(text: str) -> Hypothesis:
        return Hypothesis("x", "aa", text, 0.0)

    out = Terminal()
    show_on_terminal([(segment("dobrý d"), False), (segment("dobrý den"), True)], True, out)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "dobrý d" in text.split("dobrý den")[0]
    assert [line.rstrip() for line in text.replace("\r", "\n").split("\n") if line.strip()][-1] == "dobrý den"


def test_nothing_that_moves_a_cursor_is_printed():
    assert shown(True, True, ("a\x1b[2J b", True)) == ["a\\x1b[2J b\n"]
