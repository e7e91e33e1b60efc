"""Whether an audio file is whole, by its own header: libsndfile takes the first half of most files for a whole one.

Formats whose header tells no length (IRCAM, PVF, PAF, SD2, and files without a header) always pass, and so do files
whose writer did not know the length, as in a pipe.
"""

import math
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

UNKNOWN = 0x7E000000
"""Programs that write into a pipe leave sizes from here on (sox 0x7F000000 and more, others 0xFFFFFFFF), or 0."""

MOST_CHUNKS = 1_000_000
"""A file with more is made to keep us busy."""

HEAD_BYTES = 4096
"""All that is looked at of a header of fixed layout."""

TEXT = re.compile(rb"[\t\n\r\x20-\x7e]{64}")


def announced_size(file: BinaryIO) -> float | None:
    """Bytes that an audio file has when it is whole; None if its header does not tell.

    Infinite where it does not tell how many are missing.

    Raises:
        ValueError: Much of it would not be read, or it is made of too many parts.
    """
    start = _after_id3(file)
    file.seek(start)
    head = file.read(HEAD_BYTES)
    for magic, size in FORMATS.items():
        if head.startswith(magic):
            try:
                announced = size(file, start, head)
            except (struct.error, IndexError):  # the header itself is cut off
                return math.inf
            return announced if announced is None else start + announced
    return None


def is_text(file: BinaryIO) -> bool:
    """Whether a file begins as text does: libsndfile takes any file named .gsm, .vox, .au or .snd for speech."""
    file.seek(0)
    return TEXT.match(file.read(64)) is not None


def mp3_tells_its_length(file: BinaryIO) -> bool:
    """Whether an mp3 begins with a frame that holds the number of frames."""
    file.seek(_after_id3(file))
    head = file.read(HEAD_BYTES)
    if xing := re.search(rb"(?s)(?:Xing|Info)(.{4})(.{4})", head):
        return bool(xing[1][3] & 1) and any(xing[2])
    vbri = re.search(rb"(?s)VBRI.{10}(.{4})", head)
    return vbri is not None and any(vbri[1])


def _after_id3(file: BinaryIO) -> int:
    """Where a file begins behind the tags that some programs put before it."""
    file.seek(0)
    tag = file.read(10)
    if len(tag) < 10 or not tag.startswith(b"ID3"):
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a file is made of chunks, each with a name and a size in front.

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
    order: str
    sound: tuple[bytes, ...]
    align: int = 1
    from_name: bool = False

    def __call__(self, file: BinaryIO, start: int, head: bytes) -> int | None:
        """The end of the last chunk of sound."""
        place, end, long = self.start, None, 0
        last = file.seek(0, os.SEEK_END)
        for _ in range(MOST_CHUNKS):
            file.seek(min(start + place, last))
            front = file.read(self.name + self.size)
            name = front[: self.name]
            if len(front) < self.name + self.size or not any(name):
                return end
            size = int.from_bytes(front[self.name :], self.order)  # pyright: ignore[reportArgumentType]
            if name == b"ds64":  # the 64-bit sizes of RF64
                long = int.from_bytes(file.read(16)[8:], "little")
            if name in self.sound:
                size = long if size == 0xFFFFFFFF and long else size
                if not 0 < size < UNKNOWN:
                    return None
                end = place + size + (0 if self.from_name else len(front))
            place += max(size, len(front)) if self.from_name else size + len(front)
            place += -place % self.align
        raise ValueError(f"it is made of more than {MOST_CHUNKS:,} chunks")


def _ogg(file: BinaryIO, start: int, head: bytes) -> float | None:
    """Infinite if a stream of the file lacks the page that ends it."""
    place, running, ended = start, set(), False
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        page = file.read(27)
        if len(page) < 27 or not page.startswith(b"OggS"):
            return math.inf if running or not ended else None
        flags, serial = page[5], page[14:18]
        sizes = file.read(page[26])
        place += len(page) + page[26] + sum(sizes)
        if flags & 2:
            if ended:
                raise ValueError("it is several Ogg streams, one after the other; only the first would be read")
            running.add(serial)
        if flags & 4:
            if file.seek(0, os.SEEK_END) < place:
                return math.inf
            running.discard(serial)
            ended = not running
    raise ValueError(f"it is made of more than {MOST_CHUNKS:,} pages")


def _au(order: str) -> Callable[[BinaryIO, int, bytes], int | None]:
    def end(file: BinaryIO, start: int, head: bytes) -> int | None:
        offset, size = struct.unpack_from(f"{order}2I", head, 4)
        return offset + size if 0 < size < UNKNOWN else None

    return end


def _nist(file: BinaryIO, start: int, head: bytes) -> int | None:
    fields = {name: int(value) for name, value in re.findall(rb"(?m)^(\w+) -i (\d{1,12})\s*$", head)}
    size = re.match(rb"NIST_1A\s+(\d{1,6})\s", head)
    if size is None or b"sample_count" not in fields:
        return None if b"end_head" in head else math.inf  # pyright: ignore[reportReturnType]
    width = fields.get(b"sample_n_bytes", 1) * fields.get(b"channel_count", 1)
    return int(size[1]) + fields[b"sample_count"] * width


def _mat4(file: BinaryIO, start: int, head: bytes) -> int | None:
    """Matrices one after the other: the rate, and the samples."""
    order = "<" if head.startswith(bytes(4)) else ">"
    place = 0
    for _ in range(2):
        file.seek(start + place)
        kind, rows, columns, imaginary, name = struct.unpack(f"{order}5I", file.read(20))
        width = (8, 4, 4, 2, 2, 1)[kind // 10 % 10] if kind // 10 % 10 < 6 else 0
        place += 20 + name + rows * columns * width * (2 if imaginary else 1)
    return place


def _mat5(file: BinaryIO, start: int, head: bytes) -> int | None:
    order = "little" if head[126:128] == b"IM" else "big"
    end = Chunks(128, 4, 4, order, ((14).to_bytes(4, order),))(file, start, head)
    return end and end - 8  # libsndfile counts the front of its last chunk twice


def _voc(file: BinaryIO, start: int, head: bytes) -> int | None:
    (first,) = struct.unpack_from("<H", head, 20)
    return Chunks(first, 1, 3, "little", (b"\x01", b"\x02", b"\x09"))(file, start, head)


def _avr(file: BinaryIO, start: int, head: bytes) -> int | None:
    stereo, bits = struct.unpack_from(">2H", head, 12)
    (frames,) = struct.unpack_from(">I", head, 26)
    return 128 + frames * (2 if stereo else 1) * (bits // 8)


def _mpc2000(file: BinaryIO, start: int, head: bytes) -> int | None:
    (frames,) = struct.unpack_from("<I", head, 30)
    return 42 + frames * (4 if head[21] else 2)


def _wve(file: BinaryIO, start: int, head: bytes) -> int | None:
    return 32 + struct.unpack_from(">I", head, 18)[0]


def _xi(file: BinaryIO, start: int, head: bytes) -> int | None:
    num_samples, size = struct.unpack_from("<HI", head, 296)
    return 298 + 40 + size if num_samples == 1 and size else None


def _sds(file: BinaryIO, start: int, head: bytes) -> int | None:
    """Packets of 127 bytes, in which a sample takes as many sevens of bits as it needs."""
    bits, frames = head[6], head[10] | head[11] << 7 | head[12] << 14
    return 21 + 127 * math.ceil(frames / (120 // max(2, math.ceil(bits / 7))))


_RIFF = Chunks(12, 4, 4, "little", (b"data",), align=2)
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

FORMATS: dict[bytes, Callable[[BinaryIO, int, bytes], float | None]] = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"RIFX": Chunks(12, 4, 4, "big", (b"data",), align=2),
    b"FORM": Chunks(12, 4, 4, "big", (b"SSND", b"BODY"), align=2),
    b"caff": Chunks(8, 4, 8, "big", (b"data", b"pakt")),
    b"riff\x2e\x91\xcf\x11": Chunks(40, 16, 8, "little", (_W64_DATA,), align=8, from_name=True),
    b"MATLAB 5.0 MAT-file": _mat5,
    struct.pack("<3I", 0, 1, 1): _mat4,
    struct.pack(">3I", 1000, 1, 1): _mat4,
    b"Creative Voice File\x1a": _voc,
    b"OggS": _ogg,
    b".snd": _au(">"),
    b"dns.": _au("<"),
    b"NIST_1A": _nist,
    b"2BIT": _avr,
    b"\x01\x04": _mpc2000,
    b"ALawSoundFile**": _wve,
    b"Extended Instrument: ": _xi,
    b"\xf0\x7e": _sds,
}
"""By the bytes with which a file begins: where its sound ends."""
