"""Audio in a part of a file: against the same audio in files of its own."""

import io
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from speech_mtl.data.audio import read_audio
from speech_mtl.data.audio_file import duration_s
from speech_mtl.data.manifest import read_manifest, write_manifest
from speech_mtl.data.place import Address, AudioError, Place, file_states, located, place_of
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError

RATE_HZ = 16_000
FORMATS = {"a.wav": "WAV", "a.flac": "FLAC", "a.mp3": "MP3", "a.ogg": "OGG", "a.opus": "OPUS"}

texts = st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1, max_size=20)
numbers = st.integers(0, 10**11)
seconds = st.integers(0, 10**10).map(lambda us: us / 1e6)
places = st.builds(
    lambda name, part, stretch, channel: Place(Path("/data", name), **part, **stretch, channel=channel),
    texts.filter(lambda name: name not in (".", "..") and not name.endswith("#")),
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"offset": numbers, "length": numbers}),
        st.fixed_dictionaries({"row": numbers, "column": texts}),
    ),
    st.one_of(st.just({}), st.fixed_dictionaries({"start_s": seconds, "end_s": seconds})),
    st.one_of(st.none(), st.integers(0, 63)),
)


def sounds(num: int, duration_s: float = 1.0, channels: int = 1) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [0.1 * generator.standard_normal((round(duration_s * RATE_HZ), channels)) for _ in range(num)]


def write(path: Path, sound: np.ndarray) -> Path:
    kind = FORMATS["a" + path.suffix]
    options = {"format": "OGG", "subtype": "OPUS"} if kind == "OPUS" else {"format": kind}
    soundfile.write(path, sound, RATE_HZ, **options)
    return path


@given(places)
def test_a_place_is_read_as_it_is_written(place: Place):
    assert place_of(place.path) == place


@pytest.mark.parametrize(
    "name", ["take #3.wav", "a#b", "#offset=1&length=2", "a#offset=1", "a#start_s=-1&end_s=2", "a#row=x&column=y", "a#"]
)
def test_other_names_are_those_of_whole_files(name: str):
    assert place_of(Path(name)) == Place(Path(name))


@pytest.fixture
def in_tar(tmp_path: Path) -> Callable[[list[Path]], list[Path]]:
    def make(files: list[Path]) -> list[Path]:
        with tarfile.open(tmp_path / "shard.tar", "w") as tar:
            for file in files:
                tar.add(file, file.name)
        with tarfile.open(tmp_path / "shard.tar") as tar:
            return [Place(tmp_path / "shard.tar", offset=one.offset_data, length=one.size).path for one in tar]

    return make


@pytest.fixture
def in_parquet(tmp_path: Path) -> Callable[[list[Path]], list[Path]]:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def make(files: list[Path]) -> list[Path]:
        rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
        table = pyarrow.table({"text": ["x"] * len(rows), "audio": rows, "plain": [row["bytes"] for row in rows]})
        parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
        columns = ["audio", "plain"]
        return [Place(tmp_path / "a.parquet", row=i, column=columns[i % 2]).path for i in range(len(rows))]

    return make


def arrow_shard(form: str, tmp_path: Path) -> Callable[[list[Path]], list[Path]]:
    """Of the two forms of Arrow's files, `datasets` writes the stream."""
    pyarrow = pytest.importorskip("pyarrow")
    ipc = pytest.importorskip("pyarrow.ipc")

    def make(files: list[Path]) -> list[Path]:
        rows = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
        table = pyarrow.table({"text": ["x"] * len(rows), "audio": rows, "plain": [row["bytes"] for row in rows]})
        with getattr(ipc, f"new_{form}")(str(tmp_path / "a.arrow"), table.schema) as sink:
            sink.write_table(table, max_chunksize=2)
        return [Place(tmp_path / "a.arrow", row=i, column=["audio", "plain"][i % 2]).path for i in range(len(rows))]

    return make


@pytest.fixture
def in_arrow_file(tmp_path: Path) -> Callable[[list[Path]], list[Path]]:
    return arrow_shard("file", tmp_path)


@pytest.fixture
def in_arrow_stream(tmp_path: Path) -> Callable[[list[Path]], list[Path]]:
    return arrow_shard("stream", tmp_path)


@pytest.fixture
def store() -> Iterator[Any]:
    """A store of `fsspec` in memory."""
    filesystem = pytest.importorskip("fsspec").filesystem("memory")
    yield filesystem
    filesystem.rm("/bucket", recursive=True) if filesystem.exists("/bucket") else None


@pytest.fixture
def in_store(store: Any) -> Callable[[list[Path]], list[Path]]:
    def make(files: list[Path]) -> list[Path]:
        for file in files:
            store.pipe(f"/bucket/{file.name}", file.read_bytes())
        return [located(f"memory://bucket/{file.name}", Path("/anywhere")) for file in files]

    return make


@pytest.fixture
def in_tar_in_store(in_tar: Callable, store: Any) -> Callable[[list[Path]], list[Path]]:
    def make(files: list[Path]) -> list[Path]:
        places = [place_of(place) for place in in_tar(files)]
        store.pipe("/bucket/shard.tar", places[0].file.read_bytes())
        return [replace(place, file=Address("memory://bucket/shard.tar")).path for place in places]

    return make


@pytest.fixture
def in_parquet_in_store(in_parquet: Callable, store: Any) -> Callable[[list[Path]], list[Path]]:
    def make(files: list[Path]) -> list[Path]:
        places = [place_of(place) for place in in_parquet(files)]
        store.pipe("/bucket/a.parquet", places[0].file.read_bytes())
        return [replace(place, file=Address("memory://bucket/a.parquet")).path for place in places]

    return make


ON_DISK = ["in_tar", "in_parquet", "in_arrow_file", "in_arrow_stream"]
IN_STORES = ["in_store", "in_tar_in_store", "in_parquet_in_store"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", [*ON_DISK, *IN_STORES])
def test_a_part_of_a_file_is_the_file_it_was(name: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    make = request.getfixturevalue(kind)
    files = [write(tmp_path / f"{i}{name[1:]}", sound) for i, sound in enumerate(sounds(5))]
    for file, place in zip(files, make(files), strict=True):
        np.testing.assert_array_equal(read_audio(place, RATE_HZ), read_audio(file, RATE_HZ))
        assert duration_s(place) == duration_s(file)


def test_an_mp3_without_its_length_in_a_part_of_a_file(tmp_path: Path, in_tar: Callable):
    content = write(tmp_path / "a.mp3", sounds(1, 3.0)[0]).read_bytes()
    file = tmp_path / "b.mp3"
    file.write_bytes(content.replace(b"Xing", b"\0\0\0\0").replace(b"Info", b"\0\0\0\0"))
    (place,) = in_tar([file])
    np.testing.assert_array_equal(read_audio(place, RATE_HZ), read_audio(file, RATE_HZ))
    part = Place(file, start_s=1.0, end_s=2.0).path
    np.testing.assert_array_equal(read_audio(part, RATE_HZ), read_audio(file, RATE_HZ)[RATE_HZ : 2 * RATE_HZ])


@pytest.mark.parametrize("name", FORMATS)
def test_a_stretch_is_cut_out_of_its_recording(name: str, tmp_path: Path, in_tar: Callable):
    file = write(tmp_path / name, sounds(1, 4.0)[0])
    whole = read_audio(file, RATE_HZ)
    (member,) = in_tar([file])
    for start_s, end_s in ((0.0, 0.5), (1.2345, 2.5), (3.9, 4.0)):
        for place in (place_of(file), place_of(member)):
            stretch = Place(place.file, place.offset, place.length, start_s=start_s, end_s=end_s).path
            expected = whole[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
            np.testing.assert_allclose(read_audio(stretch, RATE_HZ), expected, atol=1e-6)
            assert duration_s(stretch) == pytest.approx(end_s - start_s, abs=1e-4)


def test_a_stretch_of_human_speech_in_opus():
    """Other encoders write another pre-skip than libsndfile, after which a jump would land elsewhere."""
    folder = Path(__file__).parents[2].parent / "shared" / "corpora" / "tuxpaint_fleurs" / "da_dk" / "audio" / "train"
    if not folder.is_dir():
        pytest.skip("no ../shared/corpora")
    for file in sorted(folder.iterdir())[:5]:
        stretch = Place(file, start_s=0.1, end_s=0.3).path
        np.testing.assert_array_equal(read_audio(stretch, RATE_HZ), read_audio(file, RATE_HZ)[1600:4800])


def test_one_channel_of_several(tmp_path: Path):
    sound = sounds(1, channels=2)[0]
    file = write(tmp_path / "a.flac", sound)
    for channel in range(2):
        waveform = read_audio(Place(file, channel=channel).path, RATE_HZ)
        np.testing.assert_allclose(waveform, sound[:, channel], atol=1e-4)
    np.testing.assert_allclose(read_audio(file, RATE_HZ), sound.mean(axis=1), atol=1e-4)
    with pytest.raises(AudioError, match="has 2 channels") as caught:
        read_audio(Place(file, channel=2).path, RATE_HZ)
    assert caught.value.reason == "without channel"


def test_a_stretch_beyond_the_end(tmp_path: Path):
    file = write(tmp_path / "a.wav", sounds(1)[0])
    assert duration_s(Place(file, start_s=0.5, end_s=1.04).path) == 0.5  # programs round
    assert duration_s(Place(file, start_s=1.01, end_s=1.04).path) == 0
    for start_s, end_s in ((0.5, 1.06), (2.0, 3.0), (0.5, 0.5), (0.6, 0.5)):
        with pytest.raises(AudioError, match="not within its recording") as caught:
            duration_s(Place(file, start_s=start_s, end_s=end_s).path)
        assert caught.value.reason == "outside its recording"


def test_a_stretch_beyond_the_end_of_audio_of_unknown_length(tmp_path: Path):
    file = write(tmp_path / "a.flac", sounds(1)[0])
    content = bytearray(file.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # 36 bits, of a program that writes into a pipe
    file.write_bytes(content)
    assert len(read_audio(Place(file, start_s=0.5, end_s=1.04).path, RATE_HZ)) == RATE_HZ // 2
    with pytest.raises(AudioError, match=r"announces 0\.56 s but holds 0\.50 s"):
        read_audio(Place(file, start_s=0.5, end_s=1.06).path, RATE_HZ)


def test_a_shard_cut_short_is_truncated_and_what_is_whole_is_read(tmp_path: Path, in_tar: Callable):
    places = in_tar([write(tmp_path / f"{i}.wav", sound) for i, sound in enumerate(sounds(3))])
    shard = tmp_path / "shard.tar"
    shard.write_bytes(shard.read_bytes()[:50_000])
    assert duration_s(places[0]) == 1.0
    for place in places[1:]:
        with pytest.raises(AudioError, match="is cut off") as caught:
            duration_s(place)
        assert caught.value.reason == "truncated"


def test_a_damaged_parquet_file(tmp_path: Path, in_parquet: Callable):
    places = in_parquet([write(tmp_path / "0.wav", sounds(1)[0])])
    with pytest.raises(AudioError, match="has 1 rows"):
        duration_s(Place(tmp_path / "a.parquet", row=1, column="audio").path)
    for column, why in (("none", "no column"), ("text", "no audio in")):
        with pytest.raises(AudioError, match=why):
            duration_s(Place(tmp_path / "a.parquet", row=0, column=column).path)
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError) as caught:
        duration_s(places[0])
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("part", ["offset=0&length=10", "row=0&column=audio", "start_s=0&end_s=1"])
def test_a_missing_file_is_missing(part: str, tmp_path: Path):
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / f"gone.tar#{part}", RATE_HZ)
    assert caught.value.reason == "missing"


def test_a_manifest_keeps_places_and_sees_changes_of_their_files(tmp_path: Path, in_tar: Callable):
    (place,) = in_tar([write(tmp_path / "a.wav", sounds(1)[0])])
    path = tmp_path / "data" / "cs" / "train.jsonl"
    for inside in (False, True):
        if inside:
            shutil.move(tmp_path / "shard.tar", tmp_path / "data" / "shard.tar")
            place = tmp_path / "data" / place.name
        write_manifest(path, [Utterance("a", place, "cs", "text", 1.0)])
        assert f'"{"../" if inside else tmp_path.resolve().as_posix() + "/"}shard.tar#offset=' in path.read_text()
        (utterance,) = read_manifest(path)
        assert duration_s(utterance.audio) == 1.0
    before = file_states()(utterance.audio)
    with (tmp_path / "data" / "shard.tar").open("ab") as shard:
        shard.write(bytes(512))
    assert before is not None
    assert file_states()(utterance.audio) != before


def test_no_byte_outside_a_part_is_read(tmp_path: Path):
    inner = io.BytesIO()
    soundfile.write(inner, sounds(1)[0], RATE_HZ, format="WAV")
    (tmp_path / "a").write_bytes(b"RIFF" * 7 + inner.getvalue() + b"RIFF" * 999)
    place = Place(tmp_path / "a", offset=28, length=len(inner.getvalue())).path
    np.testing.assert_allclose(read_audio(place, RATE_HZ), sounds(1)[0][:, 0], atol=1e-4)
    with pytest.raises(AudioError):
        read_audio(Place(tmp_path / "a", offset=28, length=len(inner.getvalue()) - 2).path, RATE_HZ)


# --- stores and shards


def test_an_address_stays_as_it_is_written(tmp_path: Path):
    for text in (
        "s3://bucket/a/b.flac",
        "s3://bucket/x:/c.flac",
        "simplecache::s3://bucket/a.tar",
        "https://host/a.wav?version=2",
    ):
        path = located(text, tmp_path)
        assert str(path) == text
        assert path.resolve() == path.absolute() == path
        place = Place(path, offset=1, length=2, channel=1)
        assert str(place.path) == f"{text}#offset=1&length=2&channel=1"
        assert place_of(located(str(place.path), tmp_path)) == place
    assert located("file:///data/a.flac", tmp_path) == Path("/data/a.flac")
    assert located("file://localhost/data/a.flac", tmp_path) == Path("/data/a.flac")
    assert located("a.flac", tmp_path) == tmp_path / "a.flac"


@pytest.mark.parametrize("address", ["s3://bucket//a.flac", "hdfs:///a.flac", "s3://bucket/./a.flac"])
def test_an_address_that_no_path_can_hold_is_refused_by_its_line(address: str, tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(f'{{"id": "a", "audio": "{address}", "language": "cs", "text": "x", "duration_s": 1.0}}\n')
    with pytest.raises(InputError, match=r"train\.jsonl:1: the field 'audio' is not right\n.*without empty parts"):
        list(read_manifest(path))


def test_a_manifest_keeps_addresses_and_sees_changes_in_stores(tmp_path: Path, in_tar_in_store: Callable, store: Any):
    (place,) = in_tar_in_store([write(tmp_path / "a.wav", sounds(1)[0])])
    path = tmp_path / "data" / "cs" / "train.jsonl"
    write_manifest(path, [Utterance("a", place, "cs", "text", 1.0)])
    (utterance,) = read_manifest(path)
    assert str(utterance.audio) == str(place)
    assert duration_s(utterance.audio) == 1.0
    before = file_states()(utterance.audio)
    store.pipe("/bucket/shard.tar", bytes(5))
    assert before is not None
    assert file_states()(utterance.audio) not in (None, before)
    store.rm("/bucket/shard.tar")
    assert file_states()(utterance.audio) is None


def test_what_is_missing_empty_or_cut_short_in_a_store_is_told(tmp_path: Path, store: Any, in_tar_in_store: Callable):
    (place,) = in_tar_in_store([write(tmp_path / "a.wav", sounds(1)[0])])
    store.pipe("/bucket/shard.tar", store.cat("/bucket/shard.tar")[:9000])
    store.pipe("/bucket/empty.wav", b"")
    store.pipe("/bucket/half.wav", (tmp_path / "a.wav").read_bytes()[:9000])
    found = {
        "memory://bucket/none.wav": ("missing", "there is no audio file memory://bucket/none.wav"),
        "memory://bucket/empty.wav": ("empty", "the audio file memory://bucket/empty.wav is empty"),
        "memory://bucket/half.wav": ("truncated", "memory://bucket/half.wav is cut off: it has 9,000 bytes"),
        str(place): ("truncated", f"{place} is cut off: "),
        "memory://bucket/a.arrow#row=1&column=audio": ("unreadable", "Arrow files are only read from disks"),
    }
    for address, (reason, message) in found.items():
        with pytest.raises(AudioError, match=re.escape(message)) as caught:
            read_audio(located(address, tmp_path), RATE_HZ)
        assert caught.value.reason == reason


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_a_store_that_refuses_what_lies_beyond_the_end(
    error: type[Exception], store: Any, monkeypatch: pytest.MonkeyPatch
):
    """As S3 and HTTP do; other errors are those of the store."""

    def refusing(self: Any, path: str, start: int | None = None, end: int | None = None) -> bytes:
        raise error("416")

    store.pipe("/bucket/shard.tar", bytes(100))
    monkeypatch.setattr(type(store), "cat_file", refusing)
    with pytest.raises(AudioError, match=r"50 of its 50 bytes are missing") as caught:
        read_audio(Place(Address("memory://bucket/shard.tar"), offset=100, length=50).path, RATE_HZ)
    assert caught.value.reason == "truncated"
    with pytest.raises(InputError, match=r"memory://bucket/shard\.tar cannot be read\n[^\0]*416"):
        read_audio(Place(Address("memory://bucket/shard.tar"), offset=50, length=50).path, RATE_HZ)


def test_a_store_that_cannot_be_reached_is_no_bad_audio(tmp_path: Path):
    """Else all of it would be left out where the network is gone."""
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=r"nowhere://bucket/a\.wav cannot be read\n") as caught:
        read_audio(located("nowhere://bucket/a.wav", tmp_path), RATE_HZ)
    assert "Protocol not known: nowhere" in caught.value.received


class Refused(Exception):
    """An error of a store's own."""


@pytest.mark.parametrize("error", [ConnectionError, TimeoutError, PermissionError, ValueError, Refused])
def test_a_store_that_is_lost_while_parquet_is_read_is_no_bad_audio(
    error: type[Exception], tmp_path: Path, in_parquet: Callable, store: Any, monkeypatch: pytest.MonkeyPatch
):
    (place,) = in_parquet([write(tmp_path / "0.wav", sounds(1)[0])])
    name = f"bucket/{error.__name__}.parquet"  # row groups that were read are kept by their address
    store.pipe(f"/{name}", place_of(place).file.read_bytes())
    there = replace(place_of(place), file=Address(f"memory://{name}")).path

    def failing(*_: Any) -> bytes:
        raise error("lost")

    with monkeypatch.context() as patched:
        patched.setattr(type(store.open(f"/{name}")), "read", failing, raising=False)
        with pytest.raises(InputError, match=rf"{name} cannot be read\n[^\0]*{error.__name__}: lost"):
            read_audio(there, RATE_HZ)
    np.testing.assert_array_equal(read_audio(there, RATE_HZ), read_audio(place, RATE_HZ))


def test_damaged_parquet_in_a_store_is_bad_audio(tmp_path: Path, in_parquet: Callable, store: Any):
    (place,) = in_parquet([write(tmp_path / "0.wav", sounds(1)[0])])
    content = bytearray(place_of(place).file.read_bytes())
    content[-60:-8] = bytes(52)  # of the description at the end
    store.pipe("/bucket/damaged.parquet", bytes(content))
    with pytest.raises(AudioError) as caught:
        read_audio(Address("memory://bucket/damaged.parquet#row=0&column=audio"), RATE_HZ)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("form", ["file", "stream"])
def test_an_arrow_shard_that_is_cut_short_or_lacks_a_row_or_column(form: str, tmp_path: Path):
    places = arrow_shard(form, tmp_path)([write(tmp_path / f"{i}.wav", sound) for i, sound in enumerate(sounds(5))])
    shard = place_of(places[0]).file
    for place, message in ((Place(shard, row=5, column="audio"), "5 rows"), (Place(shard, row=0, column="x"), "'x'")):
        with pytest.raises(AudioError, match=message) as caught:
            read_audio(place.path, RATE_HZ)
        assert caught.value.reason == "missing"
    shard.write_bytes(shard.read_bytes()[:-9000])
    with pytest.raises(AudioError, match=r"a\.arrow#row=0&column=audio cannot be read") as caught:
        read_audio(places[0], RATE_HZ)
    assert caught.value.reason == "unreadable"
