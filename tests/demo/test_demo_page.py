"""The page in a browser, served by the command itself, as its users have it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
import soundfile
from chromium import launched

from speech_mtl.run.folder import Run

SHORT, LONG = "dacb", "abcdabcdabcdabcd"
# The red of each point of a picture, which rises from weak to strong.
RED = """async (element) => {
  const image = new Image();
  image.src = element.getAttribute("href");
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const row = (y) => Array.from({ length: image.width }, (_, x) => data[4 * (y * image.width + x)]);
  return Array.from({ length: image.height }, (_, y) => row(y));
}"""

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


class Served:
    """`speech-mtl demo` in a process of its own, with a home and a temporary folder of its own."""

    def __init__(self, folder: Path, *arguments: object):
        self.home, self.temporary = folder / "home", folder / "temporary"
        for path in (self.home, self.temporary):
            path.mkdir(parents=True)
        own = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "KERAS_HOME": str(folder / "keras")}
        command = [sys.executable, "-m", "speech_mtl", "demo", *map(str, arguments), "--port", "0"]
        self.errors = (folder / "errors.txt").open("w+")
        self.process = subprocess.Popen(
            command, env=os.environ | own, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        assert self.process.stdout
        self.said = self.process.stdout.readline()
        found = re.fullmatch(r"The page is at (http://\S+:\d+/) until you press Ctrl-C\n", self.said)
        assert found, self.said + self.told()
        self.url = found[1]

    def told(self) -> str:
        self.errors.seek(0)
        return self.errors.read()

    def ended(self) -> int:
        """The exit code after it was told to end."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout
        self.process.stdout.close()
        code = self.process.wait(30)
        self.errors.close()
        return code


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[dict[str, Served]]:
    """The server of this file; when it is stopped, nothing is left."""
    started: dict[str, Served] = {}
    yield started
    for one in started.values():
        told = one.told()
        assert one.ended() == 0
        assert told == "", "no request is logged, and no fault"
        assert [path for folder in (one.home, one.temporary) for path in folder.rglob("*")] == []


@pytest.fixture
def url(
    served: dict[str, Served],
    trained: Run,
    with_settings: Callable[..., Run],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    if not served:
        folder = tmp_path_factory.mktemp("served")
        alone = folder / "alone"
        with_settings("copy", {}).path.rename(alone)
        served["page"] = Served(folder, trained.path, alone, "--max-seconds", 8, "--max-mb", 0.5)
    return served["page"].url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, speak: Callable) -> Iterator:
    """One whose microphone records tones, over and over."""
    path = tmp_path_factory.mktemp("microphone") / "tones.wav"
    soundfile.write(path, speak(SHORT, 48_000), 48_000)
    fakes = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with launched(*fakes, f"--use-file-for-fake-audio-capture={path}") as browser:
        yield browser


@pytest.fixture
def show(browser, url: str) -> Iterator[Callable]:
    """`show(**settings of the window)` -> the page; nothing may go wrong in it, and nothing be asked of other hosts."""
    contexts, problems, requests = [], [], []

    def opened(**settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        page.locator("#language option").first.wait_for(state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    refusals = [text for text in problems if not re.search(r"status of (413|422)", text)]  # the browser's own notes
    assert refusals == []
    assert {one for one in requests if not one.startswith((url, "data:", "blob:"))} == set()


@pytest.fixture
def tones(tmp_path: Path, speak: Callable) -> Callable[[str], Path]:
    """`tones(text)`: an audio file."""

    def make(text: str) -> Path:
        soundfile.write(tmp_path / f"{text}.wav", speak(text), 16_000)
        return tmp_path / f"{text}.wav"

    return make


def upload(page, path: Path):
    page.locator("#file").set_input_files(path)
    page.locator("#result:not([hidden]), #problem p").first.wait_for()


def problem(page) -> str:
    """The message on the page, without the space between its lines."""
    return page.get_by_role("alert").inner_text().replace("\n\n", "\n")


def transcripts(page) -> list[str]:
    """What each run recognised."""
    sections = page.locator("#transcripts > section").all()
    return [" ".join(button.inner_text().split("\n")[0] for button in one.locator("button").all()) for one in sections]


def test_an_upload_without_a_browser(url: str, tones):
    kind = {"Content-Type": "application/octet-stream"}
    with urlopen(Request(f"{url}recognize?language=aa", tones(SHORT).read_bytes(), kind)) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        found = json.load(answer)["runs"]
    assert [[word["text"] for word in run["words"]] for run in found] == [[SHORT], [SHORT]]


def test_two_runs_stand_side_by_side(show, tones):
    page = show(viewport={"width": 1280, "height": 900})
    assert page.locator("h1").inner_text() == "Try run and alone"
    upload(page, tones(SHORT))
    assert transcripts(page) == [SHORT, SHORT]
    boxes = [section.bounding_box() for section in page.locator("#transcripts > section").all()]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert [title.split(":")[0].split(" (")[0] for title in page.locator(".panel h3").all_inner_texts()] == [
        "Waveform",
        "Log-mel spectrogram",
        "Token probabilities",
        "Token probabilities",
    ], "the spectrogram, which both have, once"
    words = page.locator("#transcripts button").all_inner_texts()
    assert all(re.fullmatch(rf"{SHORT}\n\d\.\d\d s · (\d\d|100) %", text) for text in words)


def test_panels_share_their_axis_of_time(show, tones):
    page = show()
    upload(page, tones(SHORT))
    plots = [plot.bounding_box() for plot in page.locator(".row > svg:not(.axis)").all()]
    assert len(plots) == 5
    assert len({(round(box["x"], 2), round(box["width"], 2)) for box in plots}) == 1
    scale = float(page.locator("#zoom").input_value())
    ticks = {
        text.text_content(): text.bounding_box()
        for text in page.locator(".row").last.locator("svg text:not(.muted)").all()
    }
    middle = ticks["0.5 s"]["x"] + ticks["0.5 s"]["width"] / 2
    assert middle - plots[0]["x"] == pytest.approx(0.5 * scale, abs=2)
    first = page.locator("#transcripts button").first
    start_s = float(re.findall(r"(\d\.\d\d) to", first.get_attribute("title"))[0])
    word = page.locator("svg .word").first.bounding_box()
    assert word["x"] - plots[0]["x"] == pytest.approx(start_s * scale, abs=0.006 * scale)
    label = page.locator(".panel svg[role=img]").last.get_attribute("aria-label")
    assert label == f"Token probabilities of alone: {SHORT}"


def test_tokens_are_named_at_their_curves_and_the_blank_is_dashed(show, tones):
    page = show()
    upload(page, tones(SHORT))
    panel = page.locator(".panel").nth(2)
    names = panel.locator("svg:not(.axis) text").all_text_contents()
    assert set(SHORT) <= set(names)
    titles = panel.locator("path.token title").all_text_contents()
    assert any(re.fullmatch(r"d: \d+ % at 0\.\d\d s", title) for title in titles)
    assert panel.locator(".blank").evaluate("(path) => getComputedStyle(path).strokeDasharray") != "none"
    assert "<blank>" in page.locator(".note").last.inner_text()


def test_the_spectrogram_is_painted(show, tones):
    page = show()
    upload(page, tones(SHORT))
    (image,) = page.locator(".panel image").all()
    red = np.array(image.evaluate(RED))
    assert red.shape == (20, 91), "a row a mel band, a column a frame"
    high, low = (int(red[:, columns].mean(axis=1).argmax()) for columns in (slice(8, 18), slice(30, 40)))
    assert high < low - 3, "the tone of d, which comes first, lies above that of a"


def test_a_recording_from_the_microphone(show, browser):
    page = show()
    page.get_by_role("button", name="Record").click()
    stop = page.get_by_role("button", name=re.compile(r"Stop \(2\.\d s\)"))
    stop.wait_for()
    page.locator("#record").click()
    page.locator("#result:not([hidden])").wait_for()
    found = transcripts(page)
    assert found[0] == found[1]
    assert SHORT in found[0].replace(" ", "") * 2, "the microphone begins anywhere"
    assert page.locator("#record").inner_text() == "Record"
    assert page.locator("#audio").evaluate("(audio) => audio.duration") > 2


def test_a_recording_ends_at_the_longest_that_is_allowed(show):
    page = show()
    page.route("**/about", lambda route: route.fulfill(json={**route.fetch().json(), "max_s": 1.0}))
    page.reload()
    page.locator("#language option").first.wait_for(state="attached")
    page.get_by_role("button", name="Record").click()
    page.locator("#result:not([hidden])").wait_for()
    assert page.locator("#audio").evaluate("(audio) => audio.duration") == pytest.approx(1.0, abs=0.01)


def test_an_upload_that_is_no_audio_gives_a_message(show, tones, tmp_path: Path):
    page = show()
    (tmp_path / "notes.txt").write_text("Good morning.\n" * 50)
    upload(page, tmp_path / "notes.txt")
    alert = problem(page)
    assert alert.startswith("notes.txt: The recording cannot be recognised\nExpected: an audio file (wav, flac")
    assert "Traceback" not in alert
    assert page.locator("#result").is_hidden()
    upload(page, tones(SHORT))
    page.locator("#result:not([hidden])").wait_for()
    assert problem(page) == ""
    assert transcripts(page) == [SHORT, SHORT]


def test_uploads_that_are_too_long_too_large_or_silent(show, tmp_path: Path):
    page = show()
    for name, waveform, message in (
        ("long.flac", np.sin(np.arange(16_000 * 9) / 9), "lasts 9.0 s, more than 8 s"),
        ("large.wav", np.sin(np.arange(300_000) / 9), "Expected: at most 0.5 MB\nReceived: 0.60 MB"),
        ("silent.wav", np.zeros(16_000), "is silent"),
    ):
        soundfile.write(tmp_path / name, waveform, 16_000)
        page.locator("#file").set_input_files(tmp_path / name)
        page.locator("#problem strong", has_text=name).wait_for()
        assert message in problem(page)


def test_another_language_recognises_the_same_recording_again(show, tones):
    page = show()
    upload(page, tones(SHORT))
    first = transcripts(page)
    page.get_by_label("Language").select_option("bb")
    page.locator(".words[lang=bb]").first.wait_for()
    assert transcripts(page) != first


def test_a_word_is_played_by_the_keyboard(show, tones):
    page = show()
    upload(page, tones(LONG))
    word = page.locator("#transcripts button").first
    start_s = float(re.findall(r"(\d\.\d\d) to", word.get_attribute("title"))[0])
    word.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert page.locator("#audio").evaluate("(audio) => audio.currentTime") > start_s
    assert page.locator(".head").first.get_attribute("transform") != "translate(0)"


def test_everything_is_reached_by_the_keyboard(show, tones):
    page = show()
    upload(page, tones(SHORT))
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className || 'word'"))
    assert {"language", "record", "file", "audio", "zoom", "panels", "word"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_does_not_scroll_sideways(show, tones, scheme: str):
    page = show(color_scheme=scheme, **PHONE)
    upload(page, tones(LONG))
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    panels = page.locator("#panels")
    inside, outside = panels.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert inside > outside > 300, "the plots scroll in their own box"
    axis = page.locator(".axis").first.bounding_box()
    panels.evaluate("(box) => (box.scrollLeft = 200)")
    assert page.locator(".axis").first.bounding_box() == axis, "the axis stays"
    zoom = page.locator("#zoom")
    zoom.focus()
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    assert panels.evaluate("(box) => box.scrollWidth <= box.clientWidth + 1")
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    ink = page.locator("svg text").last.evaluate("(text) => getComputedStyle(text).fill")
    assert (sum(map(int, re.findall(r"\d+", paper))) > sum(map(int, re.findall(r"\d+", ink)))) == (scheme == "light")


def test_a_real_recording(show, human_corpora: Path):
    path = next((human_corpora / "audiofolder_en").rglob("test/*.opus"))
    page = show()
    upload(page, path)
    assert problem(page) == ""
    assert page.locator(".panel").count() == 4
    label = page.locator(".panel svg[role=img]").first.get_attribute("aria-label")
    assert label.startswith(f"Waveform, {soundfile.info(path).duration:.2f} s")
