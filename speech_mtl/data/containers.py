"""Checks that an audio file is complete, by its header: libsndfile accepts most truncated files.

Formats whose header tells no length (IRCAM, PVF, PAF, SD2, and files without a header) always pass. So do formats that
no speech corpus has (of Matlab, of samplers), and files whose writer did not know the length, as in a pipe. MP3 and
FLAC are not here: libsndfile gives their announced length.
"""

import math
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Literal

UNKNOWN = 0x7E000000
"""Programs that write into a pipe leave sizes from here on (sox 0x7F000000 and more, others 0xFFFFFFFF), or 0."""

MOST_CHUNKS = 100_000
"""A file with more is refused as malicious."""

HEAD_BYTES = 4096
"""Bytes that contain text headers, and the first frames of an mp3."""


class Source:
    """The bytes of a file from where the audio begins: some programs put a tag before it.

    Attributes:
        size: How many there are.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._start = file, 0
        self.size = file.seek(0, os.SEEK_END)
        if len(tag := self.read(0, 10)) == 10 and tag.startswith(b"ID3"):
            self._start = 10 + _seven_bits(tag[:5:-1])
            self.size -= self._start

    def read(self, place: int, num_bytes: int) -> bytes:
        """Reads bytes at an offset; fewer at the end."""
        self._file.seek(self._start + min(place, self.size))
        return self._file.read(num_bytes)

    def numbers(self, form: str, place: int) -> tuple[int, ...]:
        """The numbers at a place, by a form of `struct`."""
        return struct.unpack(form, self.read(place, struct.calcsize(form)))


def announced_size(source: Source) -> float | None:
    """Bytes that an audio file has when it is whole; None if its header does not tell.

    Infinite where it does not tell how many are missing.

    Raises:
        ValueError: Much of it would not be read, it is made of too many parts, or its samples are compressed in a way
            that libsndfile does not read.
    """
    head = source.read(0, HEAD_BYTES)
    for magic, sound_end in FORMATS.items():
        if head.startswith(magic):
            try:
                return sound_end(source)
            except (struct.error, IndexError):  # the header itself is cut off
                return math.inf
    return None


def is_text(source: Source) -> bool:
    """Whether a file begins as text does: libsndfile takes any file named .gsm, .vox, .au or .snd for speech."""
    return re.match(rb"[\t\n\r\x20-\x7e]{64}", source.read(0, 64)) is not None


def mp3_tells_its_length(source: Source) -> bool:
    """Whether an mp3 begins with a frame that holds the number of frames."""
    head = source.read(0, HEAD_BYTES)
    if xing := re.search(rb"(?s)(?:Xing|Info)(.{4})(.{4})", head):
        return bool(xing[1][3] & 1) and any(xing[2])
    vbri = re.search(rb"(?s)VBRI.{10}(.{4})", head)
    return vbri is not None and any(vbri[1])


def _seven_bits(digits: bytes) -> int:
    """A number of which each byte holds seven bits, the lowest ones first."""
    return sum((digit & 0x7F) << 7 * place for place, digit in enumerate(digits))


@dataclass(frozen=True, slots=True)
class Chunks:
    """Layout of a file of chunks, each with a name and a size in front.

    Attributes:
        start: Where the first one lies.
        name: Bytes of a name.
        size: Bytes of a size.
        order: Of the bytes of a size.
        sound: Names of the chunks without which sound is missing.
        align: Chunks begin at multiples of this.
        from_name: A size counts the name and itself.
    """

    start: int
    name: int
    size: int
    order: Literal["little", "big"]
    sound: tuple[bytes, ...]
    align: int = 1
    from_name: bool = False

    def __call__(self, source: Source) -> int | None:
        """The end of the last chunk of sound."""
        place, end, long = self.start, None, 0
        for _ in range(MOST_CHUNKS):
            front = source.read(place, self.name + self.size)
            name, size = front[: self.name], int.from_bytes(front[self.name :], self.order)
            if len(front) < self.name + self.size or not any(name):
                return end
            content = place + len(front)
            size -= len(front) if self.from_name else 0
            if name == b"ds64":  # the 64-bit sizes of RF64
                long = int.from_bytes(source.read(content + 8, 8), "little")
            if name in self.sound:
                size = long if size == 0xFFFFFFFF and long else size
                if not 0 < size < UNKNOWN:
                    return None
                end = content + size
            place = content + max(0, size)
            place += -place % self.align
        raise ValueError(f"it is made of more than {MOST_CHUNKS:,} chunks")


def _ogg(source: Source) -> float | None:
    """Infinite if a stream of the file lacks the page that ends it."""
    place, running, ended = 0, set(), False
    for _ in range(MOST_CHUNKS):
        page = source.read(place, 27 + 255)
        if len(page) < 27 or not page.startswith(b"OggS"):
            return None if ended else math.inf
        flags, serial, num_sizes = page[5], page[14:18], page[26]
        place += 27 + num_sizes + sum(page[27 : 27 + num_sizes])
        if place > source.size:
            return math.inf
        if flags & 2:
            if ended:
                raise ValueError("it is several Ogg streams, one after the other, and only the first would be read")
            running.add(serial)
        if flags & 4:
            running.discard(serial)
        ended = not running
    raise ValueError(f"it is made of more than {MOST_CHUNKS:,} pages")


def _au(order: str, source: Source) -> int | None:
    offset, size = source.numbers(f"{order}2I", 4)
    return offset + size if 0 < size < UNKNOWN else None


def _nist(source: Source) -> float | None:
    head = source.read(0, HEAD_BYTES)
    fields = {name: int(value) for name, value in re.findall(rb"(?m)^(\w+) -i (\d{1,12})\s*$", head)}
    if coding := re.search(rb"(?m)^sample_coding -s\d+ (\S*embedded-shorten\S*)", head):
        raise ValueError(f"its samples are coded as {coding[1].decode('ascii', 'replace')}; decode it: sph2pipe -f wav")
    size = re.match(rb"NIST_1A\s+(\d{1,6})\s", head)
    if size is None or b"sample_count" not in fields:
        return None if b"end_head" in head else math.inf
    width = fields.get(b"sample_n_bytes", 1) * fields.get(b"channel_count", 1)
    return int(size[1]) + fields[b"sample_count"] * width


def _voc(source: Source) -> int | None:
    (first,) = source.numbers("<H", 20)
    return Chunks(first, 1, 3, "little", (b"\x01", b"\x02", b"\x09"))(source)


_RIFF = Chunks(12, 4, 4, "little", (b"data",), align=2)
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

FORMATS: dict[bytes, Callable[[Source], float | None]] = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"RIFX": Chunks(12, 4, 4, "big", (b"data",), align=2),
    b"FORM": Chunks(12, 4, 4, "big", (b"SSND", b"BODY"), align=2),
    b"caff": Chunks(8, 4, 8, "big", (b"data", b"pakt")),
    b"riff\x2e\x91\xcf\x11": Chunks(40, 16, 8, "little", (_W64_DATA,), align=8, from_name=True),
    b"Creative Voice File\x1a": _voc,
    b"OggS": _ogg,
    b".snd": partial(_au, ">"),
    b"dns.": partial(_au, "<"),
    b"NIST_1A": _nist,
}
"""By the first bytes of a file, the function that finds the end of its audio."""
