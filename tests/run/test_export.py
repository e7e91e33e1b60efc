"""The folder of an export: what is in it, the card, packed runs, and what is refused."""

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from recorded_screen import RecordedScreen

from speech_mtl.cli import app
from speech_mtl.errors import InputError
from speech_mtl.export.formats import FORMATS
from speech_mtl.files import read_json
from speech_mtl.run.card import export_card, run_card
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.evaluated import SavedEvaluation
from speech_mtl.run.export import PACKED, export
from speech_mtl.run.folder import Run
from speech_mtl.run.plateau import tell_untrained
from speech_mtl.run.transcribe import Transcriber
from speech_mtl.settings.decoding import BeamDecoding


@pytest.fixture
def exporting() -> None:
    pytest.importorskip("tf2onnx")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow writes other formats")


def test_files_of_an_export(trained: Run, exporting: None, tmp_path: Path):
    found = export(trained, tmp_path / "new" / "out", "BB", "savedmodel")
    assert found == tmp_path / "new" / "out" / "saved_model"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    names = {path.name for path in found.parent.iterdir()}
    assert names == {"saved_model", "tokens.txt", "metadata.json", "README.md"}
    vocabulary = trained.tokenizers()["bb"].vocabulary
    lines = [f"{token} {number}" for number, token in enumerate(vocabulary)]
    assert (found.parent / "tokens.txt").read_text().splitlines() == ["<blk> 0", *lines[1:]]
    metadata = read_json(found.parent / "metadata.json", dict)
    recognizer = load_recognizer(trained)
    times_s = recognizer.model.frame_times_s(16_000)
    assert metadata["frame_step_s"] == pytest.approx(times_s[1] - times_s[0])
    assert metadata["first_frame_start_s"] == pytest.approx(times_s[0] - metadata["frame_step_s"] / 2)
    least = metadata["min_samples"]
    assert [recognizer.model.num_encoder_frames(n) > 0 for n in (least - 1, least)] == [False, True]
    assert (metadata["language"], metadata["vocab_size"], metadata["model"]) == ("bb", len(vocabulary), "saved_model")


def test_a_space_is_written_as_sherpa_reads_it(trained: Run):
    from speech_mtl.data.tokenizer import CharacterTokenizer
    from speech_mtl.export.network import LanguageNetwork

    tokenizer = CharacterTokenizer("bb", ("<blank>", " ", "a", "ß"))
    assert LanguageNetwork(load_recognizer(trained).model, tokenizer, 16_000).tokens() == "<blk> 0\n▁ 1\na 2\nß 3\n"


@pytest.mark.parametrize(
    ("given", "problem", "expected"),
    [
        ({"language": "cs"}, "no output layer for the language 'cs'", "one of aa, bb"),
        ({"language": None}, "has several languages", "--language with one of aa, bb"),
        ({"form": "coreml"}, "no format 'coreml'", "one of onnx, savedmodel, litert, run"),
        ({"form": "run"}, "has all its languages", "--format run without --language and --int8"),
        ({"form": "savedmodel", "int8": True}, "has no weights of 8 bits", "--int8 with --format onnx or litert"),
    ],
)
def test_what_is_refused(given: dict, problem: str, expected: str, trained: Run, exporting: None, tmp_path: Path):
    with pytest.raises(InputError, match=problem) as caught:
        export(trained, tmp_path / "new" / "out", **{"language": "bb", **given})
    assert caught.value.expected == expected
    assert not list(tmp_path.glob("new/*"))


def test_a_folder_that_is_there_is_left_as_it_is(trained: Run, tmp_path: Path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    for out in (folder, folder / "mine.txt"):
        with pytest.raises(InputError, match="is there already"):
            export(trained, out, None, "run")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("form", ["onnx", "run"])
def test_a_run_without_weights(form: str, trained: Run, tmp_path: Path):
    untrained = Run(tmp_path / "untrained")
    untrained.start(trained.recipe(), trained.tokenizers())
    with pytest.raises(InputError, match="has no trained weights yet"):
        export(untrained, tmp_path / "out", None if form == "run" else "aa", form)
    assert not (tmp_path / "out").exists()


def test_another_backend_says_which_one_exports(trained: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from speech_mtl.backend import exporter

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="The Keras backend jax writes no other formats") as caught:
        exporter()
    assert "unset KERAS_BACKEND" in caught.value.action


def test_a_packed_run_recognises_the_same(with_settings, speak, tmp_path: Path):
    import soundfile

    trained = with_settings("run", {})  # a copy: it gets a calibration
    soundfile.write(path := tmp_path / "a.wav", speak("abcd"), 16_000)
    calibration = Transcriber(trained.path).detector.calibrate()
    packed = Run(export(trained, tmp_path / "packed", None, "run"))
    assert json.loads(packed.languages_path.read_text(encoding="utf-8")) == calibration
    assert not packed.checkpoints.exists()
    assert {one.name for one in packed.path.iterdir()} >= {"settings.yaml", "format.json", "tokenizers", "README.md"}
    for run in (trained, packed):
        (found,) = Transcriber(run.path).transcribe(path, "aa")
        assert found.text == "abcd"
        tell_untrained(run, screen := RecordedScreen())
        assert screen.lines == []


def test_the_card_tells_speech_errors_and_licence(with_settings, trained: Run, tmp_path: Path):
    run = with_settings("run", {"about": "Tones of 0.16 s."})
    export(run, tmp_path / "before", None, "run")
    card = (tmp_path / "before" / "README.md").read_text(encoding="utf-8")
    assert "Not evaluated." in card
    assert "Not stated." in card
    evaluate(run, ["dev"], compare_with_training=False)
    export(run, tmp_path / "after", None, "run", licence="CC-BY-4.0")
    card = (tmp_path / "after" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlanguage:\n- aa\n- bb\nlicense: cc-by-4.0\n")
    assert "Tones of 0.16 s." in card
    manifest = trained.recipe().manifest("aa", "train")
    seconds = sum(read["duration_s"] for read in map(json.loads, manifest.read_text().splitlines()))
    assert f"| aa | {seconds / 3600:.2f} | 30 | 2 |" in card
    table = (run.path / "evaluation.md").read_text(encoding="utf-8").strip()
    assert table.splitlines()[2] in card
    assert "Decoding: kind=greedy." in card
    record = json.loads(SavedEvaluation(run).evaluated_path.read_text(encoding="utf-8"))
    SavedEvaluation(run).evaluated_path.write_text(json.dumps(record | {"weights": "others"}), encoding="utf-8")
    export(run, tmp_path / "later", None, "run")
    assert "Not evaluated since its weights changed." in (tmp_path / "later" / "README.md").read_text(encoding="utf-8")


def test_the_card_of_a_program_that_decodes_greedily_has_no_errors_of_beam_search(with_settings):
    run, metadata = with_settings("run", {}), {"format": "onnx", "language": "aa", "sample_rate_hz": 16_000}
    metadata |= {"joined": {}, "model": "model.onnx", "int8": False}
    cards = []
    for decoding in (None, BeamDecoding(lm="none")):
        evaluate(run, ["dev"], compare_with_training=False, decoding=decoding)
        cards.append(export_card(run, "x", metadata, None))
    row = (run.path / "evaluation.md").read_text(encoding="utf-8").splitlines()[2]
    assert row in cards[0]
    assert row not in cards[1]
    assert "Evaluated by other decoding (kind=beam) only" in cards[1]
    assert row in run_card(run, "x", None)


def test_the_command_names_every_format():
    from typer.main import get_command

    command: Any = get_command(app)
    (form,) = (one for one in command.commands["export"].params if one.name == "form")
    assert form.metavar.split("|") == [*FORMATS, PACKED]
