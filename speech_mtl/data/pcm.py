"""Samples of 16 bits as they arrive in a pipe: alone, or behind the header of a WAV file."""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soxr

from speech_mtl.data.audio import SILENCE
from speech_mtl.data.audio_file import MOST_CHANNELS, RATES_HZ
from speech_mtl.data.containers import UNKNOWN
from speech_mtl.errors import InputError

PIECE_BYTES = 1 << 16
"""As many at a time, or as few as there are."""

FOREIGN = (
    b"OggS",
    b"fLaC",
    b"ID3",
    b"FORM",
    b"RIFX",
    b"RF64",
    b".snd",
    b"caff",
    b"\x1a\x45\xdf\xa3",
    b"#!AMR",
    b"NIST",
)
"""Beginnings of files of other formats: Ogg, FLAC, MP3, AIFF, ..."""

CONVERT = "convert it on its way: ffmpeg -i - -f s16le -ac 1 -ar {rate} - | speech-mtl transcribe ... --stream"


def read_pcm(file: BinaryIO, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Yields (S,) float32 in [-1, 1] at the given rate, as soon as there are samples; one channel.

    Without a header, samples are mono, of the given rate and of 16 bits, the lower byte first. A WAV file may have any
    rate and number of channels.

    Raises:
        InputError: There is nothing, or something else, or all is silent, or a WAV file ends before its end. What came
            before has been yielded then.
    """
    head = _exactly(file, 12)
    rate_hz, num_channels, size = sample_rate_hz, 1, None
    if head.startswith(b"RIFF") and head[8:] == b"WAVE":
        rate_hz, num_channels, size = _wav_header(file, sample_rate_hz)
        head = b""
    elif head.startswith(FOREIGN) or head[4:8] == b"ftyp" or re.fullmatch(rb"[\t\n\r\x20-\x7e]{12}", head):
        raise _other(f"what begins with {head!r}", sample_rate_hz)
    resampler = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32")
    loudest, held, num_bytes = 0.0, head, len(head)
    width = 2 * num_channels
    while size is None or num_bytes < size:
        piece = file.read1(PIECE_BYTES if size is None else min(PIECE_BYTES, size - num_bytes))  # type: ignore[attr-defined]
        num_bytes, held = num_bytes + len(piece), held + piece
        whole = len(held) - len(held) % width
        samples = np.frombuffer(held[:whole], "<i2").reshape(-1, num_channels).mean(axis=1, dtype="float32") / 32768
        held = held[whole:]
        loudest = max(loudest, float(np.abs(samples).max(initial=0.0)))
        if rate_hz != sample_rate_hz:
            samples = resampler.resample_chunk(samples, last=not piece or num_bytes == size)
        if len(samples):
            yield samples
        if not piece:
            break
    _refuse_end(num_bytes, size, held, loudest)


def _exactly(file: BinaryIO, num_bytes: int) -> bytes:
    """So many bytes, or all that there are."""
    found = b""
    while len(found) < num_bytes and (piece := file.read(num_bytes - len(found))):
        found += piece
    return found


def _wav_header(file: BinaryIO, wanted_hz: int) -> tuple[int, int, int | None]:
    """Rate, channels and bytes of samples of a WAV file, which is read up to these; None where nobody knew how many."""
    form, size = b"", 0
    while len(front := _exactly(file, 8)) == 8:
        name, size = front[:4], int.from_bytes(front[4:], "little")
        if name == b"data":
            break
        if size > PIECE_BYTES:
            raise _other(f"a WAV file with {size:,} bytes of {name!r} before its samples", wanted_hz)
        content = _exactly(file, size + size % 2)
        form = content if name == b"fmt " else form
    if len(front) < 8 or len(form) < 16:
        raise _other("a WAV file whose header is not whole", wanted_hz)
    tag, num_channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", form[:16])
    tag = int.from_bytes(form[24:26], "little") if tag == 0xFFFE else tag
    fits = RATES_HZ[0] <= rate_hz <= RATES_HZ[1] and 1 <= num_channels <= MOST_CHANNELS
    if (tag, bits) != (1, 16) or not fits:
        received = f"a WAV file of format {tag} with {bits} bits, {num_channels} channels and {rate_hz:,} Hz"
        raise _other(received, wanted_hz)
    return rate_hz, num_channels, size if 0 < size < UNKNOWN else None


def _refuse_end(num_bytes: int, size: int | None, held: bytes, loudest: float) -> None:
    if num_bytes == 0:
        problem, received = "There is no speech on standard input", "nothing"
    elif held or (size is not None and num_bytes < size):
        problem, received = "Standard input is cut off", f"{num_bytes:,} bytes" + (f" of {size:,}" if size else "")
    elif loudest < SILENCE:
        problem, received = "Standard input is silent", f"samples of at most {loudest:.1e}"
    else:
        return
    raise InputError(
        problem,
        expected="samples of 16 bits, or a whole WAV file of them, with speech",
        received=received,
        action="look at the command before the pipe, and which microphone it uses; what was recognised is printed",
    )


def _other(received: str, wanted_hz: int) -> InputError:
    return InputError(
        "Standard input is not audio that can be recognised while it arrives",
        expected=f"mono samples of 16 bits at {wanted_hz:,} Hz without a header, or a WAV file of 16 bits",
        received=received,
        action=CONVERT.format(rate=wanted_hz),
    )
