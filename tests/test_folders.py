"""Output folders: what is ours is taken, what is not is refused before anything in it is touched."""

import json
from pathlib import Path

import pytest

import speech_mtl.files as files
from speech_mtl.errors import InputError
from speech_mtl.folders import MARK, claim_folder, names_of, refuse_foreign_folder

KINDS = ("run", "compare", "transfer", "tune")


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_taken_if_it_is_new_empty_or_marked(tmp_path: Path, kind: str):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "folder", tmp_path / "empty"):
        claim_folder(folder, kind)
        (folder / "anything").touch()
        claim_folder(folder, kind)
        assert json.loads((folder / MARK).read_text()).get("kind", "run") == kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names", [["labels.json"], ["checkpoints/mine/weights.bin"], [".git/config"], ["best/photo.jpg", "log.jsonl"]]
)
def test_a_folder_of_something_else_is_refused_and_not_touched(tmp_path: Path, kind: str, names: list[str]):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="and not empty") as caught:
        claim_folder(tmp_path, kind)
    assert names[0].split("/")[0] in caught.value.received
    assert sorted(tmp_path.rglob("*")) == before
    assert all((tmp_path / name).read_text() == "mine" for name in names)


@pytest.mark.parametrize("mark", ["", "{}", '{"format": "x"}', "[1]", '{"my": "format"}', "\x00"])
def test_a_mark_that_is_not_ours_marks_nothing(tmp_path: Path, mark: str):
    (tmp_path / MARK).write_text(mark)
    with pytest.raises(InputError, match="and not empty"):
        refuse_foreign_folder(tmp_path, "run")


def test_output_of_one_command_is_not_that_of_another(tmp_path: Path):
    claim_folder(tmp_path, "compare")
    with pytest.raises(InputError, match="is no output of `speech-mtl transfer`") as caught:
        claim_folder(tmp_path, "transfer")
    assert caught.value.received == "the output of compare"


def test_a_claim_that_was_killed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setattr(files.Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patched.setattr(files.Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing up
        with pytest.raises(KeyboardInterrupt):
            claim_folder(tmp_path / "run", "run")
    (left,) = (tmp_path / "run").iterdir()
    assert left.suffix == ".tmp"
    claim_folder(tmp_path / "run", "run")


def test_what_is_no_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "loop", "dangling"):
        with pytest.raises(InputError) as caught:
            claim_folder(tmp_path / name, "run")
        assert caught.value.received == "something else at that path"


def test_folders_have_their_names_or_else_their_paths():
    one, same, other = Path("a/x"), Path("b/x"), Path("y")
    assert names_of([one, other]) == ["x", "y"]
    assert names_of([one, same]) == ["a/x", "b/x"]
    assert names_of([Path()]) == [Path.cwd().name]
