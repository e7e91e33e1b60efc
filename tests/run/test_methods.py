"""What every way of fine-tuning must hold to; ways are found by themselves."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from speech_mtl.data.manifest import manifest_path
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.finetune import NewLanguage, finetuning_recipe
from speech_mtl.run.folder import Run
from speech_mtl.run.methods import METHODS
from speech_mtl.run.train import train

FEW_UPDATES = {"training.num_updates": 2, "training.evaluate_every": 2}


def taught(run: Run, language: str, method: str, make_corpus: Callable, folder: Path) -> Run:
    """A run that has learnt a bit of a new language from another run."""
    data = make_corpus((language,), data_dir=folder / f"data-{language}")
    manifests = {split: manifest_path(data, language, split) for split in ("train", "dev", "test")}
    recipe = finetuning_recipe(run, NewLanguage(language, manifests, method=method), FEW_UPDATES)
    return train(recipe, folder / f"{run.path.name}-{language}")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_can_be_repeated_for_language_after_language(
    trained: Run, make_corpus: Callable, tmp_path: Path, method: str, speak: Callable
):
    """Two generations; what leaves the encoder as it is recognises old languages as before, to the bit."""
    waveforms = [speak("abc"), speak("dab")]
    runs = [trained]
    for language in ("cc", "dd"):
        runs.append(taught(runs[-1], language, method, make_corpus, tmp_path))
    hypotheses = [
        {language: load_recognizer(run).transcribe(waveforms, language) for language in run.recipe().languages}
        for run in runs
    ]
    assert [list(languages) for languages in hypotheses] == [
        ["aa", "bb"],
        ["aa", "bb", "cc"],
        ["aa", "bb", "cc", "dd"],
    ]
    for before, after in pairwise(hypotheses):
        for language in before:
            same = [(h.text, h.score) for h in before[language]] == [(h.text, h.score) for h in after[language]]
            assert same or method == "finetune", language
    logits = []
    for run in runs:
        model = load_recognizer(run).model
        inputs = np.stack([waveforms[0][:3000]]), np.array([3000], "int32"), np.array([1], "int32")
        logits.append(np.array(model(*inputs, languages=("bb",)).values[TRANSCRIPT])[..., :5])
    assert np.array_equal(logits[0], logits[1]) == np.array_equal(logits[1], logits[2]) == (method != "finetune")


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_a_docstring(method: str):
    assert METHODS[method].__doc__


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no method 'adaptors'") as caught:
        METHODS["adaptors"]
    assert caught.value.expected == "one of " + ", ".join(METHODS)
