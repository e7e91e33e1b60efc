import io
import wave

import numpy as np
import pytest
import soxr

from speech_mtl.data.pcm import read_pcm
from speech_mtl.errors import InputError


class Pipe(io.BytesIO):
    """Gives a few bytes at a time, as a pipe does: not whole samples."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read(min(777, size if size and size > 0 else 777))

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(5, size if size and size > 0 else 5))


def samples(num_samples: int, num_channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(-20_000, 20_000, (num_samples, num_channels)).astype("<i2")


def wav(values: np.ndarray, rate_hz: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(values.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(values.tobytes())
    return file.getvalue()


def all_of(content: bytes, rate_hz: int = 16_000) -> np.ndarray:
    return np.concatenate(list(read_pcm(Pipe(content), rate_hz)))


def refused(content: bytes) -> tuple[InputError, int]:
    """The error, and how many samples came before it."""
    pieces: list[np.ndarray] = []
    with pytest.raises(InputError) as caught:
        pieces += read_pcm(Pipe(content), 16_000)
    return caught.value, sum(map(len, pieces))


def test_without_a_header_samples_are_mono_and_of_the_rate():
    values = samples(5000)
    np.testing.assert_array_equal(all_of(values.tobytes()), values[:, 0] / np.float32(32768))


@pytest.mark.parametrize("num_channels", [1, 2, 5])
def test_a_wav_file_tells_its_channels(num_channels: int):
    values = samples(3000, num_channels)
    np.testing.assert_allclose(all_of(wav(values)), values.mean(axis=1) / 32768, atol=1e-6)


def test_a_wav_file_tells_its_rate():
    """In pieces as from the whole, through another call of soxr."""
    values = samples(44_100)
    found = all_of(wav(values, 44_100))
    assert len(found) == 16_000
    whole = soxr.resample(values[:, 0].astype("float32") / 32768, 44_100, 16_000)
    np.testing.assert_allclose(found[200:-200], whole[200:-200], atol=2e-3)


def test_what_programs_write_into_pipes():
    """An unknown size, chunks before the samples, an extensible header; behind samples of known size, other chunks."""
    values = samples(3000)
    plain = wav(values)
    head, body = plain[:36], plain[44:]
    extensible = b"fmt " + (40).to_bytes(4, "little") + (0xFFFE).to_bytes(2, "little") + plain[22:36]
    extensible += (22).to_bytes(2, "little") + (16).to_bytes(2, "little") + bytes(4) + b"\1\0" + bytes(14)
    noted = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    for content in (
        head + b"data\xff\xff\xff\xff" + body,
        head + b"data\0\0\0\0" + body,
        head + noted + plain[36:],
        plain + noted * 50,
        plain[:12] + extensible + plain[36:],
    ):
        np.testing.assert_array_equal(all_of(content), values[:, 0] / np.float32(32768))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"OggS" + bytes(100), "begins with b'OggS"),
        (b"\0\0\0\x18ftypM4A " + bytes(100), "begins with"),
        (b"this is no sound at all", "begins with b'this is no s"),
        (wav(samples(100))[:30], "whose header is not whole"),
        (wav(samples(100)).replace(b"\x10\0data", b"\x18\0data"), "with 24 bits"),
        (wav(samples(100)).replace(b"fmt \x10\0\0\0\1", b"fmt \x10\0\0\0\3"), "of format 3"),
        (wav(samples(100)).replace(b"fmt \x10\0\0\0\1\0\1\0", b"fmt \x10\0\0\0\1\0\0\0"), "0 channels"),
    ],
)
def test_other_audio_is_refused_with_a_command(content: bytes, told: str):
    error, number = refused(content)
    assert number == 0
    assert told in error.received
    assert "ffmpeg -i - -f s16le -ac 1 -ar 16000 -" in error.action


def test_nothing_silence_and_ends_that_are_missing():
    assert "no speech" in refused(b"")[0].problem
    error, number = refused(bytes(2000))
    assert "silent" in error.problem
    assert number == 1000
    error, number = refused(samples(1000).tobytes()[:-1])
    assert "cut off" in error.problem
    assert number == 999
    error, number = refused(wav(samples(1000))[:-500])
    assert error.received == "1,500 bytes of 2,000"
    assert number == 750
