"""Features that are made once: a cache on disk by the content of model and audio, for all runs, budgets and languages.

FOLDER/features.f16    frames of one utterance after another, 16-bit floating point
FOLDER/index.tsv       a line for each: key, first number, how many, samples, checksum

Both are only ever appended to, an utterance at a time: whoever is interrupted resumes behind the last one.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from speech_mtl.errors import InputError

Wanted = tuple[str, Callable[[], np.ndarray]]
"""The key of an utterance, and what reads its waveform, (S,) float32."""


class _Place(NamedTuple):
    start: int
    size: int
    num_samples: int
    crc32: int


class FeatureCache:
    """The features of utterances by key; read from their places in the file, none is held in memory.

    Args:
        folder: Of one model and layer; made if it is missing.
    """

    def __init__(self, folder: Path):
        self.folder, self.path, self.index_path = folder, folder / "features.f16", folder / "index.tsv"
        self._places: dict[str, _Place] = {}
        self._read()

    def fill(
        self,
        wanted: Sequence[Wanted],
        make: Callable[[np.ndarray], np.ndarray],
        progress: Callable[[Iterable[Wanted]], Iterable[Wanted]] = iter,
    ) -> None:
        """Makes what is missing. Another process that does so is waited for: nothing is made twice."""
        if all(key in self._places for key, _ in wanted):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            self._read()
            missing = [one for one in wanted if one[0] not in self._places]
            end = max((place.start + place.size for place in self._places.values()), default=0)
            self.path.touch()
            with self.path.open("r+b") as data, self.index_path.open("ab") as index:
                data.truncate(2 * end)  # of an utterance that was not finished
                data.seek(2 * end)
                index.truncate(self._valid_bytes)
                for key, read in progress(missing) if missing else ():
                    waveform = read()
                    content = make(waveform).astype("<f2").tobytes()
                    place = _Place(end, len(content) // 2, len(waveform), zlib.crc32(content))
                    data.write(content)
                    data.flush()
                    index.write(("\t".join([key, *map(str, place)]) + "\n").encode())
                    index.flush()
                    self._places[key], end = place, end + place.size

    def __getitem__(self, key: str) -> tuple[np.ndarray, int]:
        """(T * F,) float32 features of an utterance, and its number of samples.

        Raises:
            InputError: The file is not as it was written.
        """
        place = self._places[key]
        with self.path.open("rb") as file:
            content = os.pread(file.fileno(), 2 * place.size, 2 * place.start)
        if len(content) < 2 * place.size or zlib.crc32(content) != place.crc32:
            received = "fewer bytes" if len(content) < 2 * place.size else "other bytes"
            raise self._damaged(self.path, "the checksums of its index", received)
        return np.frombuffer(content, "<f2").astype(np.float32), place.num_samples

    def _read(self) -> None:
        """The index as far as it is whole.

        Raises:
            InputError: A line is not as it was written.
        """
        content = self.index_path.read_bytes() if self.index_path.is_file() else b""
        self._valid_bytes = content.rfind(b"\n") + 1
        self._places = {}
        for line in content[: self._valid_bytes].splitlines():
            try:
                key, *place = line.decode().split("\t")
                self._places[key] = _Place(*map(int, place))
            except (ValueError, TypeError):
                raise self._damaged(self.index_path, "a key and four numbers", repr(line[:80])) from None

    def _damaged(self, path: Path, expected: str, received: str) -> InputError:
        return InputError(
            f"The cache {path} is damaged",
            expected=expected,
            received=received,
            action=f"remove the folder {self.folder} and start again: its features are then made anew",
        )
