"""Hugging Face repositories: a folder goes there, and a run comes from there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from speech_mtl.errors import InputError, refuse_missing

SCHEME = "hf:"
"""Before USER/NAME. Paths have one slash where `hf://` has two."""


def is_on_hub(path: Path) -> bool:
    """Whether a path names a repository, as `hf://USER/NAME`."""
    return path.parts[:1] == (SCHEME,)


def fetched(path: Path) -> Path:
    """The folder of a repository on this machine, where the library of Hugging Face keeps it.

    Raises:
        InputError: There is no such repository, or it cannot be reached.
    """
    with _reached(name := "/".join(path.parts[1:]), "try again when the network is there") as hub:
        return Path(hub.snapshot_download(name))


def is_fetched(folder: Path) -> bool:
    """Whether a folder is one that `fetched` gave, in which nothing must be written: CACHE/snapshots/COMMIT."""
    return folder.parent.name == "snapshots"


def push(folder: Path, name: str, private: bool) -> str:
    """Copies a folder into a repository USER/NAME, which is made if need be; gives its address.

    Raises:
        InputError: It cannot be reached, or you may not write there.
    """
    with _reached(name, f"then copy the folder, which is written, with `hf upload {name} {folder}`") as hub:
        address = hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload of speech-mtl export")
    return str(address)


@contextmanager
def _reached(name: str, action: str) -> Iterator[ModuleType]:
    refuse_missing("huggingface_hub.errors", extra="export", purpose="A Hugging Face repository")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    unreachable: Any = HfHubHTTPError.__bases__  # among them what its library for HTTP raises, whichever that is
    try:
        yield huggingface_hub
    except (*unreachable, OSError, ValueError) as error:
        raise InputError(
            f"The Hugging Face repository {name} cannot be used",
            expected="USER/NAME that you may read, or, to push, write to",
            received=next(iter(str(error).splitlines()), type(error).__name__),
            action=f"look at its name; log in with `hf auth login`; {action}",
        ) from None
