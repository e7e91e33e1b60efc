from dataclasses import replace

import numpy as np
import pytest

from speech_mtl.config import Recipe
from speech_mtl.corpora import make_tokenizer, open_split, skipped_by_reason, training_examples
from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.data.tokenizer import PinyinTokenizer
from speech_mtl.errors import InputError


def total_s(recipe: Recipe) -> float:
    return sum(u.duration_s for u in read_manifest(manifest_path(recipe.data.dir, "aa", "train")))


def budgeted(recipe: Recipe, budget_s: float) -> Recipe:
    return recipe.overridden({"languages.aa.budget_s": budget_s})


def test_a_budget_cuts_the_training_split_and_no_other(tiny_recipe: Recipe):
    budget_s = total_s(tiny_recipe) / 2
    split = open_split(budgeted(tiny_recipe, budget_s), "aa", "train")
    seconds = split.store.num_samples[split.positions].sum() / 16_000
    assert 0 < seconds <= budget_s
    assert len(open_split(budgeted(tiny_recipe, budget_s), "aa", "dev").positions) == 3
    assert len(open_split(budgeted(tiny_recipe, budget_s), "bb", "train").positions) == 12


def test_budgets_are_nested_and_independent_of_the_seed_of_a_run(tiny_recipe: Recipe):
    chosen = []
    for share, seed in ((0.3, 1), (0.3, 2), (0.6, 1), (1.005, 3)):
        recipe = budgeted(tiny_recipe, share * total_s(tiny_recipe)).overridden({"seed": seed})
        chosen.append(set(open_split(recipe, "aa", "train").positions))
    assert chosen[0] == chosen[1]
    assert chosen[1] < chosen[2] < chosen[3]
    assert len(chosen[3]) == 12


@pytest.mark.parametrize(("budget_s", "message"), [(600, "is more than there is"), (0.2, "holds no utterance of")])
def test_a_budget_that_cannot_be_met_is_refused(tiny_recipe: Recipe, budget_s: float, message: str):
    with pytest.raises(InputError, match=message):
        open_split(budgeted(tiny_recipe, budget_s), "aa", "train")


@pytest.mark.parametrize("budget_s", [None, 5])
def test_a_manifest_without_usable_audio_is_refused(tiny_recipe: Recipe, budget_s: float | None):
    for utterance in read_manifest(manifest_path(tiny_recipe.data.dir, "aa", "train")):
        utterance.audio.unlink()
    with pytest.raises(InputError, match="12 of 12 utterances cannot be used"):
        open_split(tiny_recipe.overridden({"languages.aa.budget_s": budget_s}), "aa", "train")


def test_the_vocabulary_is_that_of_the_budget(tiny_recipe: Recipe):
    """Else the smaller of two budgets would know letters that it has never seen."""
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    letters = "efghijklmnop"
    utterances = list(read_manifest(path))
    write_manifest(path, [replace(utterance, text=letters[i]) for i, utterance in enumerate(utterances)])
    split = open_split(budgeted(tiny_recipe, total_s(tiny_recipe) / 2), "aa", "train")
    tokenizer = make_tokenizer(tiny_recipe, split)
    assert set(tokenizer.vocabulary[1:]) == {letters[i] for i in split.positions}
    assert len(tokenizer) < 12


def test_a_recipe_chooses_the_kind_of_tokenizer(tiny_recipe: Recipe):
    recipe = tiny_recipe.overridden({"languages.aa.tokenizer.kind": "pinyin"})
    assert isinstance(make_tokenizer(recipe, open_split(recipe, "aa", "train")), PinyinTokenizer)


def test_what_is_left_out_is_counted_by_reason(tiny_recipe: Recipe):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    utterances = list(read_manifest(path))
    utterances[0].audio.write_bytes(b"")
    texts = {1: "?!", 2: "abcd" * 30}
    write_manifest(path, [replace(u, text=texts.get(i, u.text)) for i, u in enumerate(utterances)])
    recipe = tiny_recipe.overridden({"data.allow_skipped": 0.5})
    split = open_split(recipe, "aa", "train")
    examples = training_examples(recipe, split, make_tokenizer(recipe, split), lambda samples: samples // 640)
    assert skipped_by_reason(examples) == {"empty": 1, "no text": 1, "too short for its text": 1}
    assert np.array_equal(examples.positions, np.arange(3, 12))


def test_bad_audio_is_held_against_the_manifest_and_not_against_the_budget(tiny_recipe: Recipe):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    utterances = list(read_manifest(path))
    bad = [replace(utterances[0], id=f"bad{i}", audio=path.parent / f"missing{i}.wav") for i in range(2)]
    repeated = [replace(u, id=f"{u.id}-{i}") for i in range(20) for u in utterances]
    write_manifest(path, [*bad, *repeated])
    recipe = budgeted(tiny_recipe, total_s(tiny_recipe) / 20)
    split = open_split(recipe, "aa", "train")
    examples = training_examples(recipe, split, make_tokenizer(recipe, split), lambda samples: samples // 640)
    assert skipped_by_reason(examples) == {"missing": 2}
    assert 0 < len(examples) < 20, "2 of 242 are less than 1 %, though 2 of the budget's are more"
