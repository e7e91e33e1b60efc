import re

import pytest
from rich.console import Console

from speech_mtl.screen import Screen


def test_messages_go_to_standard_error_as_they_are(capsys: pytest.CaptureFixture):
    screen = Screen()
    screen.say("[1/2] a path like [bold]this[/bold] " + "x" * 200)
    screen.warn("left out: [x]")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["[1/2] a path like [bold]this[/bold] " + "x" * 200, "warning left out: [x]"]


def test_nothing_is_shown_if_quiet(capsys: pytest.CaptureFixture):
    screen = Screen(quiet=True)
    screen.say("a")
    screen.warn("b")
    assert list(screen.progress([1, 2], "c")) == [1, 2]
    with screen.training("d", 3, 0) as show:
        show(1, loss=2.0)
    assert capsys.readouterr() == ("", "")


def test_bars_leave_no_trace_in_a_log_file(capsys: pytest.CaptureFixture):
    screen = Screen()
    assert list(screen.progress(iter("ab"), "Decoding")) == ["a", "b"]
    with screen.training("Training", 3, 1) as show:
        show(2, loss=2.0)
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_how_far_training_is():
    screen = Screen()
    screen.console = Console(record=True, force_terminal=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with screen.training("Training", 30, 10) as show:
        show(11, loss=2.345, rate=1e-3)
        show(12, dev_error=0.5, audio_s_per_s=88.8)
        line = re.sub(r"\s+", " ", str(screen.console.export_text()))
    screen.console.file.close()
    assert "Training" in line


def test_a_terminal_shows_how_much_speech_is_done():
    screen = Screen()
    screen.console = Console(record=True, force_terminal=True, width=120, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with screen.recordings("Transcribing", 7200.0) as (bar, advance):
        advance(3725.4)
        bar.refresh()
        line = str(screen.console.export_text())
    screen.console.file.close()
    assert "1:02:05 of 2:00:00" in line


NAME = "[bold]a[/bold] [/] \x1b[31mred\x07\r\u202e"


def test_what_is_in_names_neither_moves_the_cursor_nor_is_markup(capsys: pytest.CaptureFixture):
    screen = Screen()
    screen.say(NAME)
    screen.warn(NAME)
    err = capsys.readouterr().err
    assert err.count("[bold]a[/bold] [/] \\x1b[31mred\\x07\\r\\u202e\n") == 2
    screen.say("x" * 100_000)
    assert len(capsys.readouterr().err) < 3_000


@pytest.mark.parametrize("bar", ["training", "progress"])
def test_titles_of_bars_are_no_markup(bar: str):
    with open("/dev/null", "w") as nothing:  # noqa: PTH123
        screen = Screen()
        screen.console = Console(record=True, force_terminal=True, width=200, file=nothing)
        if bar == "training":
            with screen.training(NAME, 3, 0) as show:
                show(1, loss=2.0)
        else:
            assert list(screen.progress([1], NAME)) == [1]
        shown = str(screen.console.export_text(styles=True))
    assert "[bold]a[/bold] [/] \\x1b[31mred" in shown
    assert "\x07" not in shown
