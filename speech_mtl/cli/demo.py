"""The command that opens a page to try trained runs on."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Decoding, RunPath, open_run
from speech_mtl.errors import refuse_missing


def demo(
    run: RunPath,
    other: Annotated[
        Path | None, typer.Argument(metavar="[RUN2]", help="A second run, to compare: a monolingual baseline, say.")
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", help="The language chosen at first; the run's target if not given."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = 7860,
    max_seconds: Annotated[float, typer.Option(min=1, max=3600, help="Longest recording.")] = 60,
    max_mb: Annotated[float, typer.Option(min=0.1, max=1000, help="Largest file, in millions of bytes.")] = 20,
    changes: Decoding = None,
) -> None:
    """Open a page to try one or two runs on: record or upload speech; see spectrogram, token probabilities, words.

    Needs the extra `demo`. No recording is kept, and nothing is loaded from the internet.

    Example: speech-mtl demo runs/human --language zh-CN

    Example: speech-mtl demo runs/alone runs/pretrained
    """
    refuse_missing("werkzeug.serving", extra="demo", purpose="speech-mtl demo")
    opened = [open_run(path) for path in (run, other) if path is not None]
    from speech_mtl.demo import server
    from speech_mtl.demo.shown import load_runs
    from speech_mtl.screen import Screen

    listening, local = server.listen(host, port), server.is_local(host)
    page = server.Page(load_runs(opened, changes or []), language, max_seconds, max_mb, local)
    if not local:
        Screen().warn(
            f"At {host} everybody in your network can open the page, and what they send is not encrypted. Browsers "
            "let a page record only at https addresses and at localhost: others can only upload files."
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as with Ctrl-C, an upload that is being read is removed
    server.serve(page, listening, lambda url: print(f"The page is at {url} until you press Ctrl-C", flush=True))
