from dataclasses import replace

import numpy as np
import pytest
from test_speech import network, targets_of

from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.run import training_speech
from speech_mtl.run.speech import open_split, training_examples
from speech_mtl.run.training_speech import TrainingSpeech
from speech_mtl.settings.recipe import Recipe


def test_batches_have_few_lengths_where_xla_compiles_for_each(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    recipe = tiny_recipe.overridden({"augment.speeds": [0.9, 1.0], "data.batch_s": 6.0})
    splits = {i: open_split(recipe, language, "train") for i, language in enumerate(("aa", "bb"))}
    examples = {i: training_examples(recipe, own, targets_of(recipe, own), network()) for i, own in splits.items()}
    speech = TrainingSpeech(recipe, splits, examples)
    monkeypatch.setattr(training_speech, "uses_xla", lambda: False)
    assert speech.limits.lengths == ()
    few = TrainingSpeech(recipe, splits, examples)
    monkeypatch.setattr(training_speech, "uses_xla", lambda: True)
    lengths = few.limits.lengths
    assert 1 < len(lengths) <= training_speech.MOST_LENGTHS
    assert list(lengths) == sorted(lengths)
    for batch, _ in zip(few.batches(0, 10), range(40), strict=False):
        length = min(one for one in lengths if one >= batch.waveforms.shape[1])
        assert len(batch.num_samples) == 1 or len(batch.num_samples) * length <= few.limits.room
    made = {i: replace(own, made=lambda *_: (np.zeros(3, "float32"), 3)) for i, own in examples.items()}
    assert TrainingSpeech(recipe, splits, made).limits.lengths == (), "features made before are no samples"


def test_limits_are_those_of_what_the_network_gets_and_of_the_transcripts(tiny_recipe: Recipe):
    recipe = tiny_recipe.overridden({"data.batch_s": 6.0, "training.part_s": 2.0})
    split = open_split(recipe, "aa", "train")
    examples = training_examples(recipe, split, targets_of(recipe, split), network())
    tripled = replace(examples, num_inputs=lambda num_samples: 3 * num_samples)
    limits = TrainingSpeech(recipe, {0: split}, {0: tripled}).limits
    assert (limits.room, limits.part) == (3 * 96_000, 3 * 32_000)
    assert limits.tokens == max(len(examples.rows(i)[TRANSCRIPT]) for i in range(len(examples))) > 1
    streamed = recipe.overridden({"data.decode_once": False})
    read = training_examples(streamed, open_split(streamed, "aa", "train"), targets_of(recipe, split), network())
    assert TrainingSpeech(streamed, {0: split}, {0: read}).limits.tokens == 0, "not known before they are read"
