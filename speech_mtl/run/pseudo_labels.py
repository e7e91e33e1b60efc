"""Pseudo-labels: a teacher's hypotheses of untranscribed speech, from which a student learns.

RUN/pseudo_labels/LANGUAGE.jsonl    every untranscribed utterance: hypothesis, confidence, and why it is left out
RUN/pseudo_labels/LANGUAGE.json     the teacher, and how much speech there is and is kept

The student never sees the transcripts that a corpus may have of that speech: `Split.hidden` stands in for them.

References: Kahn et al. 2020, "Self-training for end-to-end speech recognition", sections 3.1 and 3.2: the student is
trained on transcribed and pseudo-labelled speech together, and pseudo-labels are filtered by confidence and for
typical mistakes. Xie et al. 2020, "Self-training with noisy student improves ImageNet classification", section 2:
the student is trained with augmentation, and is the next teacher. We differ from both in that confidence is the mean
probability that a word is right, calibrated on validation speech (`decoding.confidence`), that mistakes are found by
the number of letters a second, and that there is no language model unless the teacher decodes with one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import numpy as np
from typing_extensions import TypedDict

from speech_mtl.data.examples import Examples
from speech_mtl.datatypes import Hypothesis
from speech_mtl.decoding.recognizer import Recognizer
from speech_mtl.decoding.words import words
from speech_mtl.errors import InputError
from speech_mtl.files import NotNegative, json_text, read_json, read_json_lines, write_text
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run
from speech_mtl.run.speech import Split, with_features
from speech_mtl.run.weights import COPY_AGAIN
from speech_mtl.scoring.rows import Amount, Rate
from speech_mtl.screen import Screen
from speech_mtl.settings.data import PseudoLabelFilter, PseudoLabelSettings
from speech_mtl.settings.decoding import DecodingSettings
from speech_mtl.settings.recipe import Recipe

NO_WORDS, RATE, UNSURE, LESS_SURE = "no words", "letters a second", "low confidence", "less confident than others"
"""Reasons why a pseudo-label is left out."""


class PseudoLabel(TypedDict):
    """A hypothesis of the teacher; `left_out` is why the student does not learn from it, empty if it does."""

    id: str
    text: str
    confidence: Rate
    duration_s: Amount
    left_out: str


class Taught(TypedDict):
    """The teacher of a language, and how much speech it has transcribed."""

    teacher: str
    weights: str
    """Digest of its weights."""
    num_utterances: NotNegative
    untranscribed_s: Amount
    num_kept: NotNegative
    kept_s: Amount
    confidence: Rate | None
    """Mean of those that are kept."""


@dataclass(frozen=True)
class PseudoLabels:
    """The pseudo-labels of a language."""

    taught: Taught
    labels: list[PseudoLabel]

    def save(self, run: Run, language: str) -> None:
        """Writes them into the run's folder."""
        lines = (json_text(label, indent=None) for label in self.labels)
        write_text(_path(run, language, "jsonl"), "".join(lines))
        write_text(_path(run, language, "json"), json_text(self.taught))

    def fill(self, split: Split) -> Split:
        """The split with a pseudo-label for each untranscribed utterance, or None where it is left out.

        Raises:
            InputError: They are of other utterances.
        """
        texts = {label["id"]: None if label["left_out"] else label["text"] for label in self.labels}
        if texts.keys() != split.hidden.keys():
            raise InputError(
                f"The pseudo-labels of {split.language} are not those of {split.manifest}",
                expected=f"one for each of {len(split.hidden)} untranscribed utterances",
                received=f"{len(texts)}, of which {len(texts.keys() & split.hidden.keys())} are of these",
                action=COPY_AGAIN,
            )
        return replace(split, hidden=texts)


def _path(run: Run, language: str, ending: str) -> Path:
    return run.path / "pseudo_labels" / f"{language}.{ending}"


def saved_taught(run: Run, language: str) -> Taught | None:
    """Reads who taught a language of a run, and how much; None if nobody did.

    Raises:
        InputError: The file is damaged.
    """
    path = _path(run, language, "json")
    return read_json(path, Taught, COPY_AGAIN) if path.is_file() else None


def saved_pseudo_labels(run: Run, language: str) -> PseudoLabels:
    """Reads the pseudo-labels that a run is trained with.

    Raises:
        InputError: They are missing or damaged.
    """
    taught = read_json(_path(run, language, "json"), Taught, COPY_AGAIN)
    labels = [label for _, label in read_json_lines(_path(run, language, "jsonl"), PseudoLabel, COPY_AGAIN)]
    return PseudoLabels(taught, labels)


def teach(
    recipe: Recipe,
    split: Split,
    settings: PseudoLabelSettings,
    screen: Screen,
    decoding: DecodingSettings | None = None,
) -> PseudoLabels:
    """Has the teacher transcribe the untranscribed utterances of a split, and filters its hypotheses.

    It decodes as its settings tell, unless others are given.

    Raises:
        InputError: The teacher is not trained, does not know the language or the sample rate, or no hypothesis passes.
    """
    teacher = Run(settings.teacher)
    recognizer = load_recognizer(teacher, decoding, languages=[split.language])
    language = recognizer.own_name(split.language)
    _refuse_other_rate(recipe, teacher, recognizer)
    screen.say(f"{split.language}: {teacher.path} transcribes {len(split.hidden)} utterances.")
    if language not in recognizer.calibrations:
        screen.warn(
            f"{teacher.path}: confidences of {language} are not calibrated: `speech-mtl evaluate` does that with its "
            "validation set"
        )
    used = list(split.utterances())
    is_hidden = np.array([utterance.id in split.hidden for utterance in used])
    durations_s = {utterance.id: utterance.duration_s for utterance in used if utterance.id in split.hidden}
    examples, data, ids = Examples(split.store, split.positions[is_hidden]), recipe.data, list(durations_s)
    examples = with_features(recipe, split, examples, recognizer.model.features, wrap=screen.progress)
    found = {h.id: h for h in recognizer.transcribe_examples(examples, ids, language, data.batch_s, data.num_threads)}
    tokenizer = recognizer.tokenizers[language]
    rates = [num_letters(tokenizer.normalize(u.text)) / u.duration_s for u in used if u.text is not None]
    labels = filtered([found[name] for name in ids], list(durations_s.values()), rates, settings)
    taught = _taught(teacher, recognizer.weights, labels)
    if not taught["num_kept"]:
        raise InputError(
            f"No hypothesis of {teacher.path} passes the filters",
            expected=f"some of {len(labels)} pseudo-labels of {split.language}",
            received=_reasons(labels),
            action="choose a better teacher, or lower min_confidence or widen rate_range in "
            f"languages.{split.language}.pseudo_labels",
        )
    return PseudoLabels(taught, labels)


def filtered(
    hypotheses: Sequence[Hypothesis],
    durations_s: Sequence[float],
    rates: Sequence[float],
    settings: PseudoLabelFilter,
) -> list[PseudoLabel]:
    """Decides which hypotheses are learnt from.

    Args:
        hypotheses: Of the untranscribed utterances.
        durations_s: Of the same.
        rates: Letters a second of transcribed utterances; with none, those of hypotheses do not matter.
    """
    usual = median(rates) if rates else None
    labels: list[PseudoLabel] = []
    for hypothesis, duration_s in zip(hypotheses, durations_s, strict=True):
        sure, reason = confidence(hypothesis), ""
        rate = num_letters(hypothesis.text) / duration_s
        if not rate:
            reason = NO_WORDS
        elif usual and not settings.rate_range[0] <= rate / usual <= settings.rate_range[1]:
            reason = RATE
        elif sure < settings.min_confidence:
            reason = UNSURE
        labels.append(PseudoLabel(id=hypothesis.id, text=hypothesis.text, confidence=round(sure, 4),
                                  duration_s=duration_s, left_out=reason))  # fmt: skip
    passed = [label for label in labels if not label["left_out"]]
    passed.sort(key=lambda label: (-label["confidence"], label["id"]))
    for label in passed[max(1, round(settings.keep * len(passed))) :]:
        label["left_out"] = LESS_SURE
    return labels


def confidence(hypothesis: Hypothesis) -> float:
    """The mean confidence of its words: where these are calibrated, the expected fraction that are right."""
    return fmean([word.confidence for word in words(hypothesis)] or [0.0])


def num_letters(text: str) -> int:
    """Letters of a text, without spaces."""
    return sum(not letter.isspace() for letter in text)


def taught_line(language: str, taught: Taught, labels: Iterable[PseudoLabel]) -> str:
    """Describes the pseudo-labels of a language."""
    left_out = _reasons(labels)
    return (
        f"{language}: {taught['untranscribed_s'] / 60:.1f} untranscribed minutes, transcribed by {taught['teacher']}; "
        f"{taught['kept_s'] / 60:.1f} are learnt from, {taught['num_kept']} of {taught['num_utterances']} utterances, "
        f"mean confidence {taught['confidence'] or 0.0:.2f}" + (f"; left out: {left_out}" if left_out else "")
    )


def _reasons(labels: Iterable[PseudoLabel]) -> str:
    counts = Counter(label["left_out"] for label in labels if label["left_out"])
    return ", ".join(f"{number} {reason}" for reason, number in counts.items())


def _taught(teacher: Run, weights: str, labels: Sequence[PseudoLabel]) -> Taught:
    kept = [label for label in labels if not label["left_out"]]
    return {
        "teacher": str(teacher.path),
        "weights": weights,
        "num_utterances": len(labels),
        "untranscribed_s": round(sum(label["duration_s"] for label in labels), 3),
        "num_kept": len(kept),
        "kept_s": round(sum(label["duration_s"] for label in kept), 3),
        "confidence": round(fmean(label["confidence"] for label in kept), 4) if kept else None,
    }


def _refuse_other_rate(recipe: Recipe, teacher: Run, recognizer: Recognizer) -> None:
    if recognizer.sample_rate_hz != recipe.data.sample_rate_hz:
        raise InputError(
            f"{teacher.path} cannot transcribe for this run: its speech has another sample rate",
            expected=f"data.sample_rate_hz: {recognizer.sample_rate_hz}",
            received=f"data.sample_rate_hz: {recipe.data.sample_rate_hz}",
            action="choose a teacher of the same sample rate",
        )
