"""Serves the page and its requests.

    GET  /  /page.css  /page.js ...    the files in `page`: nothing on the page comes from another host
    GET  /about                        runs, languages and limits
    POST /recognize?language=cs        an audio file as the body -> the results of the runs, or an error

An upload is on the disk as long as it is being decoded, in a folder that only this user can read, and in memory until
it is answered. Nothing is logged.
"""

import socket
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from ipaddress import ip_address
from mimetypes import guess_type
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    LengthRequired,
    MethodNotAllowed,
    NotFound,
    UnsupportedMediaType,
)
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from speech_mtl.data.audio import read_audio, usable
from speech_mtl.data.languages import own_name
from speech_mtl.demo.shown import LoadedRun, four_parts, languages_of, outline
from speech_mtl.errors import InputError
from speech_mtl.files import json_text

BINARY = "application/octet-stream"
"""The type that uploads have: a browser lets no page of another host send it."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

FAULT = InputError(
    "The recording could not be recognised",
    expected="a transcript",
    received="a fault of speech-mtl",
    action="report it with the lines that were printed where speech-mtl demo runs",
)


class Page:
    """The page as a WSGI application.

    Args:
        runs: The runs that recognise.
        language: The language chosen at first; None for the target of the first run.
        max_s: Longest recording, in seconds.
        max_mb: Largest upload, in millions of bytes.
        local: Whether the page is for this machine only: then a page of another host whose name was made to lead here
            is refused by that name.

    Raises:
        InputError: No run has the language.
    """

    def __init__(self, runs: Sequence[LoadedRun], language: str | None, max_s: float, max_mb: float, local: bool):
        self.runs, self.max_s, self.max_mb, self.local = runs, max_s, max_mb, local
        self.languages = languages_of(runs)
        self.about = {
            "runs": [{"name": run.name, "languages": run.languages} for run in runs],
            "languages": self.languages,
            "language": own_name(language or runs[0].target, self.languages),
            "max_s": max_s,
            "max_mb": max_mb,
        }
        folder = files("speech_mtl.demo") / "page"
        self._files = {f"/{file.name}": (file.read_bytes(), guess_type(file.name)[0]) for file in folder.iterdir()}
        self._files["/"] = self._files.pop("/index.html")
        self._one_at_a_time = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        try:
            response = self._answer(Request(environ))
        except InputError as error:
            response = _json(four_parts(error), 422)
        except HTTPException as error:
            response = error.get_response(environ)
        except Exception:
            traceback.print_exc()
            response = _json(four_parts(FAULT), 500)
        response.headers.update(HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        """Raises what the page cannot give: `InputError` or werkzeug's `HTTPException`."""
        if self.local and not is_local(urlsplit(f"//{request.host}").hostname or ""):
            raise BadRequest("The page is not known by this name")
        if request.path == "/recognize":
            return self._recognize(request)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(["GET", "HEAD"])
        if request.path == "/about":
            return _json(self.about)
        if request.path not in self._files:
            raise NotFound
        content, kind = self._files[request.path]
        return Response(content, mimetype=kind)

    def _recognize(self, request: Request) -> Response:
        if request.method != "POST":
            raise MethodNotAllowed(["POST"])
        if request.mimetype != BINARY:
            raise UnsupportedMediaType(f"Expected Content-Type: {BINARY}")
        if request.content_length is None:
            raise LengthRequired  # of a body without it, werkzeug leaves out what is beyond the limit
        if request.content_length > self.max_mb * 1e6:
            return _json(four_parts(self._too_large(request.content_length)), 413)
        content = request.get_data()
        rates = {run.sample_rate_hz for run in self.runs}
        waveforms = read_upload(content, rates, min(run.min_duration_s for run in self.runs), self.max_s)
        language = own_name(request.args.get("language", self.about["language"]), self.languages)
        first = self.runs[0].sample_rate_hz
        with self._one_at_a_time:
            shown = [run.shown(waveforms[run.sample_rate_hz], language) for run in self.runs]
        return _json({"waveform": outline(waveforms[first], first), "runs": shown})

    def _too_large(self, num_bytes: int) -> InputError:
        return InputError(
            "The file is too large",
            expected=f"at most {self.max_mb:g} MB",
            received=f"{num_bytes / 1e6:.2f} MB",
            action="cut it, or save it as flac or mp3; or start the page with a larger --max-mb",
        )


def read_upload(content: bytes, rates_hz: Iterable[int], min_s: float, max_s: float) -> dict[int, np.ndarray]:
    """The waveform of an audio file, (S,) float32, at each of some rates. No file is left behind.

    Raises:
        InputError: It is no audio, or silent, damaged, too short or too long.
    """
    with TemporaryDirectory(prefix="speech-mtl-") as folder:
        path = Path(folder, "recording")
        path.write_bytes(content)
        expected = f"an audio file (wav, flac, mp3, ogg, opus) with {min_s:g} to {max_s:g} s of speech"
        problem, action = "The recording cannot be recognised", "choose another file, or record one"
        with usable("recording", path, problem, action, expected):
            return {rate: read_audio(path, rate, min_s, max_s) for rate in rates_hz}


class _Quiet(WSGIRequestHandler):
    """Requests are not logged. Who sends nothing for a minute is no longer waited for."""

    timeout = 60

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def is_local(host: str) -> bool:
    """Whether an address or a name leads to this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Takes an address and a port, 0 for any that is free; who asks there waits until `serve` answers.

    Raises:
        InputError: Nothing can listen there.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"The page cannot be opened at {host}, port {port}",
            expected="an address of this machine, and a port that no other program uses",
            received=getattr(error, "strerror", None) or str(error),
            action="give another --port, or --host 127.0.0.1",
        ) from None


def serve(page: Page, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C.

    Args:
        page: The page.
        listening: What `listen` gave; it is closed.
        ready: Called with the page's address as soon as it is answered.
    """
    host, port = listening.getsockname()[:2]
    with listening:
        server = make_server(host, port, page, threaded=True, request_handler=_Quiet, fd=listening.fileno())
    ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
    server.serve_forever()


def _json(value: object, status: int = 200) -> Response:
    return Response(json_text(value, indent=None), status, mimetype="application/json")
