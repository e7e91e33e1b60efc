"""Weights are known by their digests, and refused if they, or what gives them their sense, have changed."""

from pathlib import Path

import pytest
from made_up_targets import model_of

from speech_mtl.data.tokenizer import CharacterTokenizer
from speech_mtl.errors import InputError
from speech_mtl.files import write_text
from speech_mtl.run.checkpoint import Checkpoints
from speech_mtl.run.contents import CONTENTS, weights_digest
from speech_mtl.run.folder import Run
from speech_mtl.run.weights import load_part, save_part
from speech_mtl.settings.recipe import Recipe


def exchange(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def halve(path: Path) -> None:
    save_part(path, {name: array.astype("float16") for name, array in load_part(path).items()})


def edit(path: Path, one: str, other: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert one in text
    write_text(path, text.replace(one, other))


CHANGES = {
    "heads/aa.safetensors": lambda run: exchange(*sorted(run.best_folder().glob("heads/*"))),
    "encoder.safetensors": lambda run: halve(run.best_folder() / "encoder.safetensors"),
    "tokenizers/aa.json": lambda run: edit(run.path / "tokenizers" / "aa.json", '"b"', '"c"'),
    "features.hop_s": lambda run: edit(run.settings_path, "hop_s: 0.01", "hop_s: 0.012"),
}
"""By what the message names."""


@pytest.mark.parametrize("named", CHANGES)
def test_weights_and_what_gives_them_their_sense_are_those_that_were_saved(
    tiny_recipe: Recipe, tmp_path: Path, named: str
):
    run, model = Run(tmp_path / "run"), model_of(tiny_recipe, {"aa": 4, "bb": 4})
    run.start(tiny_recipe, {name: CharacterTokenizer.from_texts(["ab"], name) for name in ("aa", "bb")})
    Checkpoints(run).save_best(model, 2)
    saved = Checkpoints(run).load_best(model)
    CHANGES[named](run)
    with pytest.raises(InputError, match="no longer as it was trained") as caught:
        Checkpoints(run).load_best(model)
    assert named in caught.value.received
    (run.best_folder() / CONTENTS).unlink()  # as the message says
    of_now = Checkpoints(run).load_best(model)
    assert of_now == weights_digest(run)
    assert (of_now == saved) is (named == "features.hop_s"), "settings are no part of the digest"
