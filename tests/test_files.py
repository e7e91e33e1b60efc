import errno
from pathlib import Path
from typing import NotRequired

import pytest
from typing_extensions import TypedDict

from speech_mtl import files
from speech_mtl.errors import InputError
from speech_mtl.files import Finite, files_under, read_json, read_json_lines, replacing, write_text


def test_a_file_is_replaced_as_a_whole_and_folders_are_made(tmp_path: Path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "naïve\n")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text(encoding="utf-8") == "naïve\n"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_under_a_folder_and_behind_links(tmp_path: Path):
    for name in ("top/b/1", "top/a/2", "top/3", "top/.hidden/4", "top/.5", "top/__MACOSX/6", "other/7"):
        write_text(tmp_path / name, "")
    (tmp_path / "top" / "c").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "a" / "round").symlink_to(tmp_path / "top" / "a")
    found = [path.relative_to(tmp_path / "top").as_posix() for path in files_under(tmp_path / "top")]
    assert found == ["3", "a/2", "b/1", "c/7"]


class Point(TypedDict):
    x: Finite
    name: NotRequired[str | None]


BAD_JSON = {
    "half": ('{"x": 1,\n "na', ":2", "not JSON"),
    "empty": ("", ":1", "not JSON"),
    "list": ("[1]", "", "the value is not right"),
    "missing": ("{}", "", "the field 'x' is missing"),
    "text": ('{"x": "1"}', "", "the field 'x' is not right"),
    "true": ('{"x": true}', "", "the field 'x' is not right"),
    "not a number": ('{"x": NaN}', "", "the field 'x' is not right"),
    "infinite": ('{"x": 1e999}', "", "the field 'x' is not right"),
    "beyond all numbers": (f'{{"x": 1{"0" * 400}}}', "", "the field 'x' is not right"),
    "too many digits": (f'{{"x": 1{"0" * 9000}}}', ":1", "not JSON"),
    "deep": ('{"x":' * 100_000, ":1", "not JSON"),
    "half a character": ('{"x": 1, "name": "\\ud800"}', ":1", "not JSON"),
    "control character": ('{"x": 1, "name": "\0"}', ":1", "not JSON"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_a_bad_json_file_is_named_with_line_or_field(case: str, tmp_path: Path):
    text, line, problem = BAD_JSON[case]
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_json(path, Point)
    assert caught.value.problem.startswith(f"{path}{line}: {problem}")


def test_json_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + '{"x": 2, "name": "č", "more": 1}'.encode())
    assert read_json(path, Point) == {"x": 2.0, "name": "č"}
    path.write_bytes(b"\xef\xbb\xbf" + b'{"x": 1}\r\n{"x": 2}')
    assert list(read_json_lines(path, Point)) == [(f"{path}:1", {"x": 1.0}), (f"{path}:2", {"x": 2.0})]


def test_what_cannot_be_read_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match="There is no file"):
        read_json(path, Point)
    path.write_bytes(b'{"x": 1}\n\n{"name": "\xe8"}')
    with pytest.raises(InputError, match=r"a\.json:3: not UTF-8"):
        read_json(path, Point)
    path.write_bytes('{"x": 1}'.encode("utf-16"))
    with pytest.raises(InputError, match=r"a\.json:1: not UTF-8(.|\n)*iconv -f UTF-16 -t UTF-8"):
        read_json(path, Point)
    monkeypatch.setattr(files, "MOST_BYTES", 4)
    monkeypatch.setattr(files, "MOST_LINE_BYTES", 4)
    with pytest.raises(InputError, match="too large"):
        read_json(path, Point)
    with pytest.raises(InputError, match=r"a\.json:1: too long a line"):
        list(read_json_lines(path, Point))


def test_what_the_system_refuses_names_the_file_that_was_to_be_written(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder") as caught:
        write_text(tmp_path / "folder", "x")
    assert str(caught.value.filename) == str(tmp_path / "folder")
