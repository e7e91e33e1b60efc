import json

import keras
import pytest

from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.run import training_speech, validation
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.references import load_references, recognize
from speech_mtl.run.validation import MOST_LENGTHS, DevEvaluation
from speech_mtl.scoring.error_rate import TaskScore


def test_all_languages_are_validated_in_the_same_few_lengths(trained: Run, monkeypatch: pytest.MonkeyPatch):
    recipe, recognizer, asked = trained.recipe(), load_recognizer(trained), []
    references = {name: load_references(recipe, name, "dev", recognizer) for name in recipe.languages}
    transcribe = Recognizer.transcribe_examples

    def noted(self, examples, ids, language, batch_s, num_threads, lengths_s):
        asked.append((language, lengths_s))
        longest_s = max(examples.num_samples) / self.sample_rate_hz
        assert lengths_s == () or lengths_s[-1] >= longest_s
        return transcribe(self, examples, ids, language, batch_s, num_threads, lengths_s)

    monkeypatch.setattr(Recognizer, "transcribe_examples", noted)
    found = []
    for uses_xla in (False, True):
        monkeypatch.setattr(training_speech, "uses_xla", lambda uses_xla=uses_xla: uses_xla)
        found.append(DevEvaluation(recipe, recognizer, references)())
    assert found[0] == found[1]
    (_, none), (_, also_none), (_, lengths_s), (_, others) = asked
    assert none == also_none == ()
    assert 1 < len(lengths_s) <= MOST_LENGTHS
    assert lengths_s == others
    assert [language for language, _ in asked] == list(recipe.languages) * 2


def test_a_target_whose_labels_are_no_tags_has_no_error_where_none_is_predicted(
    trained: Run, monkeypatch: pytest.MonkeyPatch
):
    """F1 is counted against nothing then, and weights that predict no tag are as good as can be."""
    recognizer = load_recognizer(trained)
    recipe = trained.recipe().model_copy(update={"target": "music"})
    references = {"aa": load_references(recipe, "aa", "dev", recognizer)}
    found = recognize(recognizer, "aa", references["aa"], recipe.data)
    monkeypatch.setattr(recognizer, "tasks", {"music": None})
    monkeypatch.setattr(validation, "recognize", lambda *_: found)
    monkeypatch.setattr(validation, "label_errors", lambda *_: [])
    monkeypatch.setattr(validation, "task_score", lambda _: TaskScore())
    error, metrics = DevEvaluation(recipe, recognizer, references)()
    assert (error, metrics["dev_error"]) == (0.0, {"music": None})


def test_the_log_counts_what_xla_compiles(trained: Run):
    """At most 12 shapes: those of training, and those of validation."""
    numbers = [json.loads(line).get("compiled_shapes") for line in trained.log_path.read_text().splitlines()]
    if keras.backend.backend() == "tensorflow":
        assert numbers == [None, None]
    else:
        assert all(number is not None and 2 <= number <= 12 for number in numbers)
