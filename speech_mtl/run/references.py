"""The content of a split: read for a recogniser, recognised, and its errors counted and reported."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from speech_mtl.data.examples import Column, Examples, damaged_words, mixed_words
from speech_mtl.data.store import Skipped
from speech_mtl.datatypes import PSEUDO_LABEL, Hypothesis, Utterance
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.errors import InputError
from speech_mtl.run.speech import Split, open_split, with_features
from speech_mtl.scoring.error_rate import Score, TaskScore, score
from speech_mtl.scoring.resampling import error_intervals
from speech_mtl.scoring.rows import Intervals, LabelErrors
from speech_mtl.screen import Screen, Wrap, silent
from speech_mtl.settings.data import DataSettings
from speech_mtl.settings.recipe import Recipe
from speech_mtl.targets.target import ScoredTarget


@dataclass(frozen=True)
class References:
    """The content of a split: audio with its labels, ids, speakers and normalised transcripts, in one order.

    Attributes:
        split: Which utterances of which manifest.
        examples: Audio and labels.
        ids: Of the utterances.
        speakers: Who speaks; None where unknown.
        texts: Transcripts; None where unknown.
        num_out_of_vocabulary: By task, labels with out-of-vocabulary classes or tags, which are left out.
    """

    split: Split
    examples: Examples
    ids: list[str]
    speakers: list[str | None]
    texts: list[str | None]
    num_out_of_vocabulary: dict[str, int]


def load_references(
    recipe: Recipe, language: str, split: str, recognizer: Recognizer, wrap: Wrap = silent
) -> References:
    """Opens a dev or test split for a recogniser. Its transcripts need not be in the tokeniser's vocabulary.

    Raises:
        InputError: The manifest is missing or broken, too many of its utterances cannot be used, none has a text, or a
            label is not one of its task.
    """
    opened, tokenizer = open_split(recipe, language, split, wrap), recognizer.tokenizers[language]
    skipped = list(opened.store.skipped.values())
    _refuse_pseudo_labels(opened, kept := list(opened.utterances()))
    texts = []
    for utterance in kept:
        refused = utterance.text is not None and tokenizer.refusal(utterance.text)
        if refused:
            skipped.append(
                Skipped(utterance.source, "numbers or words refused", f"its errors are not counted: {refused}")
            )
        texts.append(None if refused or utterance.text is None else tokenizer.normalize(utterance.text))
    if not any(texts):
        raise InputError(
            f"{opened.manifest}: no transcript has any text, so errors cannot be counted",
            expected="letters in at least one transcript",
            received=f"{len(texts)} transcripts, such as {kept[0].text!r}",
            action="check the field 'text' of the manifest",
        )
    columns, num_out_of_vocabulary = {}, {}
    for name, task in recognizer.tasks.items():
        encoded = [task.encode(utterance, language) for utterance in kept]
        columns[name] = Column.of(task, encoded, recognizer.model.frame_times_s)
        num_out_of_vocabulary[name] = sum(task.is_out_of_vocabulary(utterance, language) for utterance in kept)
    damaged = [word for utterance in kept for word in damaged_words(utterance)]
    mixed = [word for utterance in kept for word in mixed_words(utterance, language)]
    examples = Examples(opened.store, opened.positions, columns, skipped, damaged=damaged, mixed=mixed)
    examples = with_features(recipe, opened, examples, recognizer.model.features, wrap=wrap)
    ids, speakers = [utterance.id for utterance in kept], [utterance.speaker for utterance in kept]
    return References(opened, examples, ids, speakers, texts, num_out_of_vocabulary)


def _refuse_pseudo_labels(split: Split, utterances: Iterable[Utterance]) -> None:
    """A network must not be measured against the hypotheses of another."""
    found = [one.source for one in utterances if PSEUDO_LABEL in one.labels]
    if found and split.split != "train":
        raise InputError(
            f"{found[0]}: the text is a pseudo-label, and this is {split.split} speech",
            expected="transcripts by people in dev and test speech",
            received=f"{len(found)} utterances with the label {PSEUDO_LABEL}",
            action="take these lines out of the manifest, or use it as training speech",
        )


def recognize(
    recognizer: Recognizer, language: str, references: References, data: DataSettings, lengths_s: Sequence[float] = ()
) -> tuple[Score, list[Hypothesis]]:
    """Recognises a split with its own language's output layer; hypotheses come in the order of the references.

    For `lengths_s` see `Recognizer.transcribe_examples`.
    """
    found = recognizer.transcribe_examples(
        references.examples, references.ids, language, data.batch_s, data.num_threads, lengths_s
    )
    by_id = {hypothesis.id: hypothesis for hypothesis in found}
    hypotheses = [by_id[name] for name in references.ids]
    spaced = recognizer.tokenizers[language].spaced
    pairs = [(text, h.text) for text, h in zip(references.texts, hypotheses, strict=True) if text is not None]
    return score(*zip(*pairs, strict=True), spaced=spaced), hypotheses


def intervals_of(references: References, hypotheses: Sequence[str], spaced: bool) -> Intervals:
    """Intervals of the error rates, over the utterances that have a transcript."""
    all_three = zip(references.texts, hypotheses, references.speakers, strict=True)
    known = [(text, hypothesis, speaker) for text, hypothesis, speaker in all_three if text is not None]
    return error_intervals(*zip(*known, strict=True), spaced=spaced)


def task_score(errors: Sequence[LabelErrors]) -> TaskScore:
    """The errors of all utterances in a task."""
    known = [pair for pair in errors if pair is not None]
    columns = np.array(known).reshape(-1, 2).sum(axis=0)
    return TaskScore(float(columns[0]), float(columns[1]), len(known))


def label_errors(task: ScoredTarget, references: References, hypotheses: Sequence[Hypothesis]) -> list[LabelErrors]:
    """Errors of each utterance in a task, and what they are counted against; None where nothing is known."""
    column, examples = references.examples.targets[task.name], references.examples
    found: list[LabelErrors] = []
    for i, hypothesis in enumerate(hypotheses):
        values = column.values(i, int(examples.num_samples[i]))
        known = not np.isnan(values).all()
        found.append(task.errors(np.asarray(hypothesis.labels[task.name]), values) if known else None)
    return found


def report_damaged(examples: Examples, screen: Screen) -> None:
    """Reports in how many transcripts letters seem to be lost or of another script, and names the first ones."""
    for problem, found in (
        ("letters seem to be lost in {} transcripts, by a wrong encoding", examples.damaged),
        ("letters of another script that look alike are in {} words", examples.mixed),
    ):
        if found:
            first = "; ".join(found[:3]) + (" ..." if len(found) > 3 else "")
            screen.warn(f"{problem.format(len(found))}: {first}")


def report_skipped(references: References, screen: Screen) -> None:
    """Reports which utterances and labels are left out, and where letters seem to be lost."""
    report_damaged(references.examples, screen)
    for skip in references.examples.skipped:
        screen.warn(f"{skip.source}: left out: {skip.message}")
    for task, number in references.num_out_of_vocabulary.items():
        if number:
            screen.warn(
                f"{task}: {number} labels have classes, tags or phones that training has not; these are left out"
            )
