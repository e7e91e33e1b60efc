"""The page's server, without a browser: what it takes, what it refuses, and what it leaves behind."""

import json
import re
import signal
import socket
import tempfile
import wave
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from copy import copy
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import numpy as np
import pytest
from werkzeug.test import Client, TestResponse

from speech_mtl.cli.using import demo
from speech_mtl.demo.server import BINARY, Page, is_local, listen, read_upload, serve
from speech_mtl.demo.shown import LoadedRun
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run

PARTS = {"problem", "expected", "received", "action"}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; none may be left there, whatever was asked for."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert [path.name for path in folder.iterdir() if not path.name.startswith("__autograph")] == []  # TensorFlow's


@pytest.fixture
def page(loaded: LoadedRun) -> Page:
    return Page([loaded], None, 5.0, 0.5, local=True)


@pytest.fixture
def send(page: Page) -> Callable[..., TestResponse]:
    """`send(content, language="aa", **changes)`: what is answered to an upload."""

    def post(content: bytes, language: str = "aa", **changes) -> TestResponse:
        settings = {"content_type": BINARY, "query_string": {"language": language}}
        return Client(page).post("/recognize", **{"input_stream": BytesIO(content), **settings, **changes})

    return post


def refused(response: TestResponse, status: int = 422) -> dict[str, str]:
    """The four parts of a refusal, none of which tells where files are."""
    assert response.status_code == status
    parts = response.get_json()
    assert parts.keys() == PARTS
    assert all(parts.values())
    assert "Traceback" not in response.text
    assert tempfile.gettempdir() not in response.text
    return parts


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_speech_is_recognised_at_any_rate(send, wav, speak, loaded: LoadedRun, rate_hz: int):
    response = send(wav(speak("bacd", rate_hz), rate_hz), "AA")
    assert response.status_code == 200
    shown = response.get_json()
    assert shown["waveform"]["duration_s"] == pytest.approx(len(speak("bacd")) / 16_000, abs=1e-3)
    (run,) = shown["runs"]
    assert [word["text"] for word in run["words"]] == ["bacd"]


def test_each_run_gets_the_recording_at_its_own_rate(loaded: LoadedRun, wav, speak, monkeypatch: pytest.MonkeyPatch):
    other = copy(loaded)
    other.sample_rate_hz = 8_000
    sizes = []
    monkeypatch.setattr(LoadedRun, "shown", lambda _, waveform, __: sizes.append(len(waveform)) or {})
    page = Page([loaded, other], "bb", 5.0, 0.5, local=True)
    assert Client(page).post("/recognize", data=wav(np.full(16_000, 0.1)), content_type=BINARY).status_code == 200
    assert sizes == [16_000, 8_000]


def test_what_is_no_audio_is_refused_with_four_parts(send, wav, speak):
    whole = wav(speak("abcd"))
    for content, received in (
        (b"", "the audio file recording is empty"),
        (b"Good morning.\n" * 100, "recording cannot be read as audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "recording cannot be read as audio"),
        (b"PK\x03\x04" + bytes(1000), "recording cannot be read as audio"),
        (whole[: len(whole) // 2], "recording is cut off"),
        (b"\0\0\0\x20ftypM4A " + bytes(1000), "convert it: ffmpeg -i recording -ar 16000 -ac 1 recording.wav"),
        (wav(np.zeros(16_000)), "recording is silent"),
        (wav(np.full(500, 0.1)), "recording lasts 0.03 s, less than 0.1 s"),
        (wav(np.full(16_000 * 6, 0.1)), "recording lasts 6.0 s, more than 5 s"),
    ):
        parts = refused(send(content))
        assert parts["problem"] == "The recording cannot be recognised"
        assert received in parts["received"]
        assert "0.1 to 5 s" in parts["expected"]


def test_a_file_that_unpacks_to_hours_is_refused_before_it_fills_the_memory(send):
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 1, 1_000, 0, "NONE", ""))
        file.writeframes(bytes([128, 200]) * 200_000)
    assert "recording lasts 400.0 s, more than 5 s" in refused(send(content.getvalue()))["received"]


def test_too_large_uploads_are_refused_unread(send, page: Page):
    parts = refused(send(bytes(500_001)), 413)
    assert (parts["expected"], parts["received"]) == ("at most 0.5 MB", "0.50 MB")
    announced = {"CONTENT_LENGTH": "5000000000"}
    unread = Client(page).post("/recognize", content_type=BINARY, environ_overrides=announced)
    assert refused(unread, 413)["received"] == "5000.00 MB"
    endless = send(bytes(600_000), headers={"Transfer-Encoding": "chunked"})
    assert endless.status_code == 411
    assert send(bytes(500_000)).status_code == 422


@pytest.mark.parametrize("language", ["cs", "", "a b", "x" * 100])
def test_languages_that_no_run_has_are_refused(send, wav, speak, language: str):
    refused(send(wav(speak("abcd")), language))


def test_the_language_that_is_chosen_at_first(loaded: LoadedRun):
    assert Page([loaded], None, 1, 1, local=True).about["language"] == "aa"
    assert Page([loaded], "BB", 1, 1, local=True).about["language"] == "bb"
    with pytest.raises(InputError, match="no output layer"):
        Page([loaded], "cs", 1, 1, local=True)


def test_a_fault_of_ours_is_told_without_its_traceback(
    send, wav, speak, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(LoadedRun, "shown", lambda *_: 1 / 0)
    parts = refused(send(wav(speak("abcd"))), 500)
    assert "report it" in parts["action"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_nothing_is_left_when_reading_fails_in_an_unforeseen_way(
    send, wav, speak, temporary: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def fail(path: Path, *_):
        seen.append(path.parent)
        assert path.stat().st_size > 1000
        assert path.parent.stat().st_mode & 0o077 == 0, "others cannot read it"
        raise MemoryError

    monkeypatch.setattr("speech_mtl.demo.server.read_audio", fail)
    refused(send(wav(speak("abcd"))), 500)
    assert [folder.parent for folder in seen] == [temporary]
    assert not seen[0].exists()


def test_an_upload_is_gone_from_the_disk_before_it_is_recognised(
    send, wav, speak, temporary: Path, monkeypatch: pytest.MonkeyPatch
):
    there = []
    monkeypatch.setattr(LoadedRun, "shown", lambda *_: there.append(list(temporary.glob("speech-mtl-*"))) or {})
    assert send(wav(speak("abcd"))).status_code == 200
    assert there == [[]]


def test_an_upload_at_several_rates():
    waveform = np.sin(np.arange(8_000) / 20).astype("float32")
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes((waveform * 32767).astype("<i2").tobytes())
    found = read_upload(content.getvalue(), {8_000, 16_000}, 0.1, 5.0)
    assert {rate: len(values) for rate, values in found.items()} == {8_000: 8_000, 16_000: 16_000}
    assert found[8_000] == pytest.approx(waveform, abs=1e-4)


def test_other_paths_methods_and_types_are_refused(page: Page, send):
    client = Client(page)
    for path in ("/../server.py", "/page/index.html", "/index.html", "/%2e%2e/shown.py", "//etc/passwd", "/page.js/"):
        assert client.get(path).status_code == 404
    assert client.post("/").status_code == 405
    assert client.get("/recognize").status_code == 405
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""):
        assert send(b"abc", content_type=kind).status_code == 415, "what a page of another host may send"


def test_a_page_that_is_only_local_has_only_local_names(page: Page, loaded: LoadedRun):
    for host, status in (("127.0.0.1:7860", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example:7860", 400)):
        assert Client(page).get("/", headers={"Host": host}).status_code == status, host
    opened = Page([loaded], None, 1, 1, local=False)
    assert Client(opened).get("/", headers={"Host": "evil.example"}).status_code == 200


def test_which_addresses_are_local():
    assert all(map(is_local, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_local, ("0.0.0.0", "::", "192.168.1.7", "localhost.example", "my-machine")))


def test_nothing_is_asked_of_other_hosts_and_nothing_is_cached(page: Page, send):
    client = Client(page)
    names = [file.name for file in (files("speech_mtl.demo") / "page").iterdir()]
    assert {"index.html", "page.css", "page.js"} <= set(names)
    for path in ("/", *(f"/{name}" for name in names if name != "index.html"), "/about", "/none"):
        response = client.get(path)
        assert response.status_code == (404 if path == "/none" else 200)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "http" not in policy
        assert response.headers["Cache-Control"] == "no-store"
        assert set(re.findall(r"https?://[^\s\"']+|@import|\ssrc=\"//", response.text)) <= {
            "http://www.w3.org/2000/svg"
        }
    assert send(b"").headers["Cache-Control"] == "no-store"


def test_an_address_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(InputError, match=r"cannot be opened at 127\.0\.0\.1,") as caught:
            listen("127.0.0.1", taken.getsockname()[1])
        assert "in use" in caught.value.received
    for host in ("192.0.2.1", "a" * 100, "::x"):
        with pytest.raises(InputError, match="cannot be opened at"):
            listen(host, 0)


@pytest.fixture
def heeding_ctrl_c() -> Iterator[None]:
    """A shell starts what runs in the background with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_ctrl_c")
def test_ctrl_c_ends_it(page: Page):
    seen = []

    def visit(url: str) -> None:
        with urlopen(url) as answer:
            seen.append(answer.read())
        interrupt_main()

    serve(page, listen("127.0.0.1", 0), lambda url: Thread(target=visit, args=[url]).start())
    assert b"<title>speech-mtl demo</title>" in seen[0]


def test_the_command_warns_when_the_page_is_opened_to_the_network(
    trained: Run, untraced: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    served = []
    monkeypatch.setattr("speech_mtl.demo.server.serve", lambda *given: served.append(given[:2]))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    demo(trained.path, host="0.0.0.0", port=0, language="BB")
    demo(trained.path, host="127.0.0.1", port=0)
    found = [(page.local, page.about["language"], taken.getsockname()[0]) for page, taken in served]
    assert found == [(False, "bb", "0.0.0.0"), (True, "aa", "127.0.0.1")]
    for _, taken in served:
        taken.close()
    assert capsys.readouterr().err.count("warning At 0.0.0.0 everybody in your network can open the page") == 1


def test_the_command_names_the_extra_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(module: str) -> None:
        raise ModuleNotFoundError(name=module.partition(".")[0])

    monkeypatch.setattr("speech_mtl.errors.import_module", missing)
    with pytest.raises(InputError, match="needs the package 'werkzeug'") as caught:
        demo(tmp_path)
    assert caught.value.action == "pip install 'speech-mtl[demo]'"


def test_what_the_page_is_told_of_the_runs(page: Page):
    assert json.loads(Client(page).get("/about").text) == {
        "runs": [{"name": "run", "languages": ["aa", "bb"]}],
        "languages": ["aa", "bb"],
        "language": "aa",
        "max_s": 5.0,
        "max_mb": 0.5,
    }
