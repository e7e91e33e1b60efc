"""The record of public models in a run: licence, and whether the model is still the same."""

import json
from pathlib import Path

import pytest
from tiny_encoders import encoder_settings
from transformers_wav2vec2 import write_model

from speech_mtl.errors import InputError
from speech_mtl.run.card import run_card
from speech_mtl.run.public_models import described, licence_of, recorded, refuse_other_public_model, write_public_models
from speech_mtl.run.train import train
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: am\nlicense: cc-by-nc-4.0\n---\nText", "cc-by-nc-4.0"),
        ("---\r\nlicense: 'mit'\r\n---\r\n", "mit"),
        ('---\nlicense: other\nlicense_name: "some-licence"\n---\n', "some-licence"),
        ("---\nlanguage: am\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        (None, None),
    ],
)
def test_licences(tmp_path: Path, card: str | None, licence: str | None):
    if card is not None:
        (tmp_path / "README.md").write_bytes(card.encode())
    assert licence_of(tmp_path) == licence


def test_it_is_shown_in_training_and_on_the_card(
    tiny_recipe: Recipe, tmp_path: Path, untraced: None, capsys: pytest.CaptureFixture
):
    folder = write_model(tmp_path / "some-model", conv_kernel=[50, 3, 2], conv_stride=[40, 4, 2])
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    encoder = {**encoder_settings("wav2vec2"), "dir": str(folder)}
    recipe = tiny_recipe.overridden({"encoder": encoder, "features": {"kind": "waveform"}})
    run = train(recipe, tmp_path / "run", Screen())
    line = "Public model some-model: licence apache-2.0"
    shown = capsys.readouterr()
    assert line in shown.out + shown.err
    assert line in run_card(run, "name", None)


def test_another_model_in_its_place_is_refused(tiny_recipe: Recipe, tmp_path: Path):
    from speech_mtl.run.folder import Run

    folder, run = write_model(tmp_path / "model"), Run(tmp_path / "run")
    features = {"kind": "frozen", "dir": str(folder), "layer": 1}
    recipe = tiny_recipe.overridden({"features": features, "encoder.channels": 0})
    assert write_public_models(run, recipe) == described(recorded(run))
    assert "not stated" in described(recorded(run))[0]
    refuse_other_public_model(run, recipe)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "more": 1}))
    with pytest.raises(InputError, match="is not the one that the run was trained with"):
        refuse_other_public_model(run, recipe)


def test_a_run_without_one_has_no_record(tiny_recipe: Recipe, tmp_path: Path):
    from speech_mtl.run.folder import Run

    run = Run(tmp_path / "run")
    assert write_public_models(run, tiny_recipe) == []
    assert not run.public_models_path.exists()
    refuse_other_public_model(run, tiny_recipe)
