"""Checks that dev and test speech is not in training, in any language: before training, and in evaluations.

The same audio makes errors too low: it is named, and refused above `data.allow_leaks`. The same sentence by the same
speaker, and the same speakers, can be meant so, as with isolated words: they are named.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from speech_mtl.data.index import Manifest, open_manifest
from speech_mtl.data.leaks import comparable_text, same_audio, same_sentence, speakers_line, too_many_leaks
from speech_mtl.data.manifest import line_name
from speech_mtl.datatypes import Utterance
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.run.made_from import made_from, recorded_speech, unpacked
from speech_mtl.run.speech import Split, open_split
from speech_mtl.screen import Screen
from speech_mtl.settings.recipe import Recipe

MOST_NAMED = 3
"""Utterances that a message names."""

SAME_SENTENCE = "other audio of the same text and speaker, or text and length where no speaker is known"


@dataclass(frozen=True)
class Trained:
    """Speech of a manifest that training uses, or has used.

    Attributes:
        manifest: None if it is gone.
        positions: In the manifest.
        digests: Of the audio, by position.
        lines: Digests of the lines, as they were; None: as they are.
    """

    language: str
    path: Path
    manifest: Manifest | None
    positions: np.ndarray
    digests: np.ndarray
    lines: np.ndarray | None = None

    def utterances(self) -> Iterable[Utterance]:
        """The utterances, from the manifest; without those whose lines have changed since."""
        if self.manifest is None:
            return ()
        if self.lines is None:
            return self.manifest.at(self.positions)
        there = self.positions < len(self.manifest)
        positions = self.positions[there]
        return self.manifest.at(positions[self.manifest.digests[positions] == self.lines[there]])


def trained_splits(splits: Iterable[Split]) -> list[Trained]:
    """Training speech that is open."""
    return [Trained(s.language, s.manifest.path, s.manifest, s.positions, s.store.digests[s.positions]) for s in splits]


def earlier_runs(recipe: Recipe, teachers: bool = True) -> list[Run]:
    """The run that a recipe starts from, and its teachers, if wanted."""
    paths = [recipe.init_from, *(own.teacher for own in recipe.teachers.values() if teachers)]
    return [Run(path) for path in paths if path]


def trained_on(runs: Iterable[Run], cache_dir: Path, teachers: bool = True) -> list[Trained]:
    """The training speech of runs and of their earlier runs, as far as it is written down."""
    left, seen, found = list(runs), set(), []
    while left:
        run = left.pop(0)
        if not run.exists() or run.path.resolve() in seen:
            continue
        seen.add(run.path.resolve())
        recipe, record = run.recipe(), made_from(run)
        for language, split, source in recorded_speech(record["speech"], recipe) if record else ():
            if split == "train":
                positions, lines, digests = unpacked(source)
                path = recipe.manifest(language, split)
                manifest = open_manifest(path, cache_dir) if path.is_file() else None
                found.append(Trained(language, path, manifest, positions, digests, lines))
        left += earlier_runs(recipe, teachers)
    return found


def check_splits(recipe: Recipe, training: Sequence[Trained], screen: Screen, splits: Sequence[Split] = ()) -> None:
    """Checks all dev and test splits of a recipe, some of which are open already.

    Those that training does not need may be missing. `training` is the speech of all its languages, and of runs that it
    starts from.

    Raises:
        InputError: More of a split than `data.allow_leaks` is in training.
    """
    opened = {(split.language, split.split): split for split in splits}
    for language in recipe.languages:
        for name in ("dev", "test"):
            if (language, name) not in opened and recipe.manifest(language, name).is_file():
                try:
                    opened[language, name] = open_split(recipe, language, name, screen.progress)
                except InputError as error:
                    screen.warn(f"{language} {name}: not compared with training: {error.problem}")
    check_held_out(list(opened.values()), training, recipe.data.allow_leaks, screen)


def check_held_out(
    held_out: Sequence[Split],
    training: Sequence[Trained],
    allowed: float | None,
    screen: Screen,
    reported: set[str] | None = None,
) -> None:
    """Reports which utterances of some splits are in training.

    Args:
        training: What training uses.
        allowed: Largest fraction of a split whose audio may be in training; None for any.
        reported: Findings that were reported already, and are not repeated.

    Raises:
        InputError: A split has more.
    """
    reported = set() if reported is None else reported
    sentences = same_sentence(
        chain.from_iterable(split.utterances() for split in held_out),
        chain.from_iterable(one.utterances() for one in training),
        comparable_text,
    )
    for split in held_out:
        number = len(split.positions)
        audio, manifest = _same_audio(split, training), str(split.manifest.path)
        texts = {a: b.source for a, b in sentences.items() if a.rpartition(":")[0] == manifest}
        if allowed is not None and too_many_leaks(len(audio), number, allowed):
            raise _too_many(split, audio, allowed)
        both, only = audio.keys() & texts.keys(), {a: b for a, b in texts.items() if a not in audio}
        of_audio = "audio and text" if len(both) == len(audio) else "the same audio"
        for found, what in ((audio, of_audio), (only, SAME_SENTENCE)):
            counted = f"{len(found)} of {number} {split.split} utterances ({what}) are in training"
            line = f"{split.language}: {counted}: {_named(found)}"
            if found and line not in reported:
                reported.add(line)
                screen.warn(line)


def tell_speakers(
    held_out: Sequence[Split], training: Sequence[Trained], screen: Screen, reported: set[str] | None = None
) -> None:
    """Reports whether splits have speakers of training: then their errors do not hold for new speakers.

    Arguments are those of `check_held_out`.
    """
    reported = set() if reported is None else reported
    known: dict[str, set[str | None]] = {}
    for split in held_out:
        if split.language not in known:
            own = (one.utterances() for one in training if one.language == split.language)
            known[split.language] = {utterance.speaker for utterance in chain.from_iterable(own)}
        speakers = [utterance.speaker for utterance in split.utterances()]
        line = speakers_line(speakers, known[split.language])
        if line and (name := f"{split.language} {split.split}") not in reported:
            reported.add(name)
            screen.say(f"{name}: {line}, so its errors are not those of new speakers")


def _same_audio(split: Split, training: Sequence[Trained]) -> dict[str, str]:
    """By line of a split's manifest, the first line of training that has its audio."""
    found: dict[int, str] = {}
    for one in training:
        places = same_audio(split.store.digests[split.positions], one.digests)
        for position, place in zip(split.positions.tolist(), places.tolist(), strict=True):
            if place >= 0:
                found.setdefault(position, line_name(one.path, int(one.positions[place])))
    return {line_name(split.manifest.path, position): found[position] for position in sorted(found)}


def _named(pairs: Mapping[str, str]) -> str:
    named = [f"{line} is {other}" for line, other in list(pairs.items())[:MOST_NAMED]]
    return ", ".join(named) + (", ..." if len(pairs) > MOST_NAMED else "")


def _too_many(split: Split, pairs: Mapping[str, str], allowed: float) -> InputError:
    counted = f"{len(pairs)} of {len(split.positions)} {split.split} utterances"
    return InputError(
        f"{split.language}: {counted} have audio that is in training",
        expected=f"at most {allowed:.0%} of a dev or test split in the training speech of any language",
        received=_named(pairs),
        action="take these lines out of one of the manifests, or set data.allow_leaks=1 to use them as they are",
    )
