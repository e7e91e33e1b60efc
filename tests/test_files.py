from pathlib import Path

import pytest

from speech_mtl.files import replacing, write_text


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
