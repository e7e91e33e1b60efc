"""Hugging Face repositories, whose library is replaced: there is no network in tests."""

from pathlib import Path

import pytest

from speech_mtl.cli import app
from speech_mtl.errors import InputError
from speech_mtl.run import hub
from speech_mtl.run.folder import Run

library = pytest.importorskip("huggingface_hub")


def test_the_folder_is_uploaded(trained: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys):
    calls = []
    monkeypatch.setattr(library, "create_repo", lambda name, **more: calls.append((name, more)) or "https://there")
    monkeypatch.setattr(library, "upload_folder", lambda **given: calls.append(sorted(given["folder_path"].iterdir())))
    arguments = ["export", str(trained.path), "--format", "run", "--out", str(tmp_path / "out"), "--push", "me/tones"]
    app([*arguments, "--private"], standalone_mode=False)
    files = sorted((tmp_path / "out").iterdir())
    assert calls == [("me/tones", {"private": True, "exist_ok": True}), files]
    assert len(files) > 3
    assert "Copied to https://there" in capsys.readouterr().out


def test_a_run_from_a_repository(trained: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, speak, capsys):
    import soundfile

    soundfile.write(path := tmp_path / "a.wav", speak("abcd"), 16_000)
    monkeypatch.setattr(library, "snapshot_download", {"me/tones": str(trained.path)}.__getitem__)
    app(["transcribe", "hf://me/tones", "-l", "aa", str(path)], standalone_mode=False)
    assert capsys.readouterr().out.rstrip().endswith("\tabcd")


def test_a_push_that_fails_says_how_to_do_it_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def refuse(_name: str, **_: object) -> None:
        raise library.errors.LocalTokenNotFoundError("Token is required")

    monkeypatch.setattr(library, "create_repo", refuse)
    with pytest.raises(InputError, match="me/tones cannot be used") as caught:
        hub.push(tmp_path, "me/tones", private=False)
    assert caught.value.received == "Token is required"
    assert f"hf upload me/tones {tmp_path}" in caught.value.action


@pytest.mark.parametrize("name", ["hf://nobody/nothing", "hf://a/b/c"])
def test_a_repository_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(name: str) -> None:
        library.utils.validate_repo_id(name)
        raise library.errors.LocalEntryNotFoundError("cannot find it on the Hub")

    monkeypatch.setattr(library, "snapshot_download", refuse)
    assert hub.is_on_hub(Path(name))
    with pytest.raises(InputError, match=f"repository {name[5:]} cannot be used"):
        hub.fetched(Path(name))


def test_other_paths_are_folders():
    assert not any(hub.is_on_hub(Path(path)) for path in ("runs/hf", "/hf:", "hf"))


def test_a_run_that_starts_from_a_repository_needs_a_place(
    trained: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    copy = tmp_path / "snapshots" / "0123abc"
    copy.parent.mkdir()
    copy.symlink_to(trained.path)
    monkeypatch.setattr(library, "snapshot_download", lambda _name: str(copy))
    with pytest.raises(InputError, match="needs a place for the new run"):
        app(["finetune", "hf://me/tones", "-l", "cc"], standalone_mode=False)
    assert list(copy.parent.iterdir()) == [copy]
