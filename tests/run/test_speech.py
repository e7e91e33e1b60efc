from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from speech_mtl.data import manifest as manifest_module
from speech_mtl.data import sampling
from speech_mtl.data.corrupted import with_noise, with_shuffled_transcripts
from speech_mtl.data.examples import Examples, Reading, load_examples
from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.data.pinyin import PinyinTokenizer
from speech_mtl.datatypes import TRANSCRIPT
from speech_mtl.errors import InputError
from speech_mtl.files import lines_or_errors
from speech_mtl.run.held_out import check_held_out, trained_splits
from speech_mtl.run.made_from import sources
from speech_mtl.run.references import load_references
from speech_mtl.run.speech import Split, open_split, training_examples
from speech_mtl.run.targets import make_tokenizer
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.ctc import Ctc
from speech_mtl.targets.target import Target


def total_s(recipe: Recipe) -> float:
    return sum(u.duration_s for u in read_manifest(manifest_path(recipe.data.dir, "aa", "train")))


def frames_of(num_samples: int) -> int:
    return num_samples // 640


def network(num_encoder_frames: Callable[[int], int] = frames_of) -> Any:
    """What reading asks of a network."""
    return SimpleNamespace(
        features=None, num_encoder_frames=num_encoder_frames, frame_times_s=lambda size: np.zeros(frames_of(size))
    )


def budgeted(recipe: Recipe, budget_s: float) -> Recipe:
    return recipe.overridden({"languages.aa.budget_s": budget_s})


def test_a_budget_cuts_the_training_split_and_no_other(tiny_recipe: Recipe):
    budget_s = total_s(tiny_recipe) / 2
    split = open_split(budgeted(tiny_recipe, budget_s), "aa", "train")
    seconds = split.store.num_samples[split.positions].sum() / 16_000
    assert 0 < seconds <= budget_s
    assert len(open_split(budgeted(tiny_recipe, budget_s), "aa", "dev").positions) == 3
    assert len(open_split(budgeted(tiny_recipe, budget_s), "bb", "train").positions) == 12


def rewritten(recipe: Recipe, split: str, **changes: str) -> None:
    """Changes fields of the first utterance of a split of `aa`."""
    path = manifest_path(recipe.data.dir, "aa", split)
    first, *others = read_manifest(path)
    write_manifest(path, [replace(first, **changes), *others])


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("other", ["pl", "german", "ab"])
def test_a_manifest_of_another_language_is_refused_unless_allowed(tiny_recipe: Recipe, split: str, other: str):
    rewritten(tiny_recipe, split, language=other)
    with pytest.raises(InputError, match=rf"{split}\.jsonl:1: the language is another") as caught:
        open_split(tiny_recipe, "aa", split)
    assert (caught.value.expected, caught.value.received) == ("aa", other)
    with pytest.raises(InputError, match="the language is another"):
        open_split(tiny_recipe.overridden({"languages.aa.manifest_languages": ["cs"]}), "aa", split)
    open_split(tiny_recipe.overridden({"languages.aa.manifest_languages": ["cs", other]}), "aa", split)


def test_a_manifest_may_name_its_language_in_another_form(tiny_recipe: Recipe):
    for language in ("AAR", "aa-ET"):
        rewritten(tiny_recipe, "train", language=language)
        open_split(tiny_recipe, "aa", "train")


def targets_of(recipe: Recipe, split: Split) -> dict[str, Target]:
    """The transcripts of a split's language."""
    return {TRANSCRIPT: Ctc(TRANSCRIPT, {split.language: make_tokenizer(recipe, split)})}


def test_lost_letters_are_listed_by_line(tiny_recipe: Recipe):
    rewritten(tiny_recipe, "train", text="abc c?a d?a")
    split = open_split(tiny_recipe, "aa", "train")
    examples = training_examples(tiny_recipe, split, targets_of(tiny_recipe, split), network())
    assert examples.damaged == [f"{split.manifest}:1: 'c?a'"]


def test_budgets_are_nested_and_independent_of_the_seed_of_a_run(tiny_recipe: Recipe):
    chosen = []
    for share, seed in ((0.3, 1), (0.3, 2), (0.6, 1), (1.005, 3)):
        recipe = budgeted(tiny_recipe, share * total_s(tiny_recipe)).overridden({"seed": seed})
        chosen.append(set(open_split(recipe, "aa", "train").positions))
    assert chosen[0] == chosen[1]
    assert chosen[1] < chosen[2] < chosen[3]
    assert len(chosen[3]) == 12


def test_a_budget_counts_transcribed_speech_only(tiny_recipe: Recipe):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    utterances = list(read_manifest(path))
    write_manifest(path, [replace(u, text=None) if i % 3 == 0 else u for i, u in enumerate(utterances)])
    transcribed_s = sum(u.duration_s for i, u in enumerate(utterances) if i % 3)
    chosen = []
    for share in (0.4, 0.8, 1.005):
        split = open_split(budgeted(tiny_recipe, share * transcribed_s), "aa", "train")
        assert all(u.text is not None for u in split.utterances())
        seconds = split.store.num_samples[split.positions].sum() / 16_000
        assert share * transcribed_s - 2 < seconds <= share * transcribed_s
        chosen.append(set(split.positions))
    assert chosen[0] < chosen[1] < chosen[2]
    assert len(chosen[2]) == 8
    with pytest.raises(InputError, match="is more than there is"):
        open_split(budgeted(tiny_recipe, 1.1 * transcribed_s), "aa", "train")
    assert len(open_split(tiny_recipe, "aa", "train").positions) == 12, "no budget takes all lines"


def test_a_manifest_is_parsed_once_whatever_is_made_of_it(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    parsed: list[str] = []

    def counting(path, *arguments):
        for where, line in lines_or_errors(path, *arguments):
            parsed.append(where)
            yield where, line

    monkeypatch.setattr(manifest_module, "lines_or_errors", counting)
    recipe = budgeted(tiny_recipe, total_s(tiny_recipe) / 2).overridden(
        {"data.cache_dir": str(tiny_recipe.data.dir / "cache")}
    )
    parsed.clear()
    for _ in range(2):
        split = open_split(recipe, "aa", "train")
        examples = training_examples(recipe, split, targets_of(recipe, split), network())
        trained = trained_splits([split])
        check_held_out([open_split(recipe, "aa", "dev")], trained, None, Screen(quiet=True))
        assert 0 < len(examples) < sources([split])["aa train"]["num_lines"] == 12
    assert len(parsed) == len(set(parsed)) > 12, "each line of both manifests"


def test_what_a_budget_does_not_need_is_not_decoded(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    budget_s = total_s(tiny_recipe) / 4
    recipe = budgeted(tiny_recipe, budget_s)
    whole = open_split(recipe, "aa", "train")
    monkeypatch.setattr(sampling, "SMALLEST_PART_S", 1.2 * budget_s)
    part = open_split(recipe, "aa", "train")
    np.testing.assert_array_equal(part.positions, whole.positions)
    for position in part.positions:
        np.testing.assert_array_equal(part.store[position], whole.store[position])
    decoded_s = part.store.num_samples.sum() / 16_000
    assert budget_s < decoded_s < total_s(tiny_recipe) / 2


def test_more_is_decoded_where_a_part_holds_less_than_it_says(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    budget_s = total_s(tiny_recipe) / 2
    expected = open_split(budgeted(tiny_recipe, budget_s), "aa", "train").positions
    write_manifest(
        path, [replace(utterance, duration_s=1.09 * utterance.duration_s) for utterance in read_manifest(path)]
    )
    monkeypatch.setattr(sampling, "SMALLEST_PART_S", 1.02 * budget_s)
    split = open_split(budgeted(tiny_recipe, budget_s), "aa", "train")
    np.testing.assert_array_equal(split.positions, expected)


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
    examples = training_examples(recipe, split, targets_of(recipe, split), network())
    assert Counter(skip.reason for skip in examples.skipped) == {"empty": 1, "no text": 1, "too short for its text": 1}
    assert np.array_equal(examples.positions, np.arange(3, 12))


def test_bad_audio_is_held_against_the_manifest_and_not_against_the_budget(tiny_recipe: Recipe):
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    utterances = list(read_manifest(path))
    bad = [replace(utterances[0], id=f"bad{i}", audio=path.parent / f"missing{i}.wav") for i in range(2)]
    repeated = [replace(u, id=f"{u.id}-{i}") for i in range(20) for u in utterances]
    write_manifest(path, [*bad, *repeated])
    recipe = budgeted(tiny_recipe, total_s(tiny_recipe) / 20)
    split = open_split(recipe, "aa", "train")
    examples = training_examples(recipe, split, targets_of(recipe, split), network())
    assert Counter(skip.reason for skip in examples.skipped) == {"missing": 2}
    assert 0 < len(examples) < 20, "2 of 242 are less than 1 %, though 2 of the budget's are more"


# --- batches


# --- controls

CONTROLS = [None, "noise", "shuffled_transcripts"]


def assert_same_examples(one: Examples, other: Examples) -> None:
    """Bit by bit, the waveforms included."""
    assert type(one.store) is type(other.store)
    np.testing.assert_array_equal(one.positions, other.positions)
    assert one.targets.keys() == other.targets.keys()
    for name, column in one.targets.items():
        np.testing.assert_array_equal(column.rows, other.targets[name].rows)
        np.testing.assert_array_equal(column.starts, other.targets[name].starts)
    for position in one.positions:
        np.testing.assert_array_equal(one.store[position], other.store[position])
    assert one.skipped == other.skipped


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_spoils_the_training_speech_of_its_language(tiny_recipe: Recipe, control: str | None):
    """By the budget and the subset's seed, after speed perturbation has been thought of."""
    recipe = budgeted(tiny_recipe, total_s(tiny_recipe) * 0.8).overridden(
        {"languages.aa.replace": control, "data.subset_seed": 3, "augment.speeds": [1.0, 1.25]}
    )
    asked: list[int] = []

    def asked_frames_of(num_samples: int) -> int:
        asked.append(num_samples)
        return frames_of(num_samples)

    for language in ("aa", "bb"):
        split = open_split(recipe, language, "train")
        targets = targets_of(recipe, split)
        reading = Reading(language, list(targets.values()), frames_of, min_speed_samples=0.8)
        expected = load_examples(split.manifest, split.store, split.positions, reading)
        if language == "aa" and control == "noise":
            expected = with_noise(expected)
        if language == "aa" and control == "shuffled_transcripts":
            expected = with_shuffled_transcripts(split.manifest, expected, reading, 3)
        assert_same_examples(training_examples(recipe, split, targets, network(asked_frames_of)), expected)
        assert set(asked) <= {int(size * 0.8) for size in split.store.num_samples}
        asked.clear()


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_control_leaves_vocabulary_and_other_splits_alone(tiny_recipe: Recipe, control: str | None, name: str):
    recipe = tiny_recipe.overridden({"languages.aa.replace": control})
    tokenizer, true = (make_tokenizer(one, open_split(one, "aa", "train")) for one in (recipe, tiny_recipe))
    assert tokenizer.vocabulary == true.vocabulary
    recognizer: Any = SimpleNamespace(tokenizers={"aa": true}, tasks={}, model=SimpleNamespace(features=None))
    spoilt, references = (load_references(one, "aa", name, recognizer) for one in (recipe, tiny_recipe))
    assert spoilt.texts == references.texts
    assert_same_examples(spoilt.examples, references.examples)


def test_too_few_utterances_to_shuffle_are_refused_unless_allowed(tiny_recipe: Recipe):
    """Two of twelve get no transcript: seven say one thing and five another."""
    path = manifest_path(tiny_recipe.data.dir, "aa", "train")
    write_manifest(path, [replace(u, text="ab" if i < 7 else "ba") for i, u in enumerate(read_manifest(path))])
    recipe = tiny_recipe.overridden({"languages.aa.replace": "shuffled_transcripts"})
    split = open_split(recipe, "aa", "train")
    targets = targets_of(recipe, split)
    with pytest.raises(InputError, match="2 of 12 utterances cannot be used"):
        training_examples(recipe, split, targets, network())
    examples = training_examples(recipe.overridden({"data.allow_skipped": 0.2}), split, targets, network())
    assert Counter(skip.reason for skip in examples.skipped) == {"no other transcript fits": 2}
