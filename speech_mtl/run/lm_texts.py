"""The sentences that a language model is made from: those of training and of text files, without dev and test sets."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from speech_mtl.data.index import open_manifest
from speech_mtl.data.tokenizer import Tokenizer
from speech_mtl.errors import InputError
from speech_mtl.files import read_lines
from speech_mtl.run.folder import Run
from speech_mtl.run.speech import open_split, training_utterances
from speech_mtl.run.stored_lm import TextSource
from speech_mtl.screen import Screen

LONG = 16
"""Characters from which on a sentence that is held out is looked for within longer ones, too."""

ALIEN = 0.5
"""Fraction of sentences with letters that the language lacks above which a text file is refused."""


class HeldOut:
    """The sentences of dev and test sets, normalised."""

    def __init__(self, texts: Iterable[str]):
        self.texts = set(texts) - {""}
        self._by_start: dict[str, list[str]] = defaultdict(list)
        for text in self.texts:
            if len(text) >= LONG:
                self._by_start[text[:LONG]].append(text)

    def within(self, text: str) -> bool:
        """Whether a normalised text is one of the sentences, or holds a long one."""
        return text in self.texts or any(
            text.startswith(held_out, i)
            for i in range(len(text) - LONG + 1)
            for held_out in self._by_start.get(text[i : i + LONG], ())
        )


def held_out_sentences(run: Run, language: str, tokenizer: Tokenizer, screen: Screen) -> HeldOut:
    """The sentences of the run's dev and test manifests; warns if one is missing."""
    recipe, texts = run.recipe(), []
    for split in ("dev", "test"):
        path = recipe.manifest(language, split)
        if not path.is_file():
            screen.warn(f"{path} is not there: its sentences cannot be kept out of the language model")
            continue
        manifest = open_manifest(path, recipe.data.cache_dir)
        texts += [tokenizer.normalize(one.text) for one in manifest.at(range(len(manifest))) if one.text]
    return HeldOut(texts)


class Sentences:
    """Normalised sentences, each once and none that is held out, and counts of those that were left out."""

    def __init__(self, tokenizer: Tokenizer, held_out: HeldOut):
        self.tokenizer, self.held_out = tokenizer, held_out
        self.texts: dict[str, None] = {}
        self.sources: list[TextSource] = []
        self.unknown: Counter[str] = Counter()

    def add(self, name: str, lines: Iterable[str]) -> TextSource:
        """Adds the sentences of a text; returns how many of them."""
        known, digest = set(self.tokenizer.vocabulary), hashlib.sha256()
        found = TextSource(name=name, sha256="", used=0, repeated=0, held_out=0, not_spelt=0, empty=0)
        for line in lines:
            text = self.tokenizer.normalize(line)
            unknown = set(self.tokenizer.split(text)) - known
            if not text:
                found["empty"] += 1
            elif unknown or self.tokenizer.refusal(line):
                found["not_spelt"] += 1
                self.unknown.update(unknown)
            elif self.held_out.within(text):
                found["held_out"] += 1
            elif text in self.texts:
                found["repeated"] += 1
            else:
                found["used"] += 1
                self.texts[text] = None
                digest.update(f"{text}\n".encode())
        found["sha256"] = digest.hexdigest()
        self.sources.append(found)
        return found


def gather(run: Run, language: str, files: Sequence[Path], tokenizer: Tokenizer, screen: Screen) -> Sentences:
    """The sentences of the run's training transcripts and of text files, a sentence a line.

    Raises:
        InputError: A file cannot be read, or is in another alphabet; or nothing is left.
    """
    recipe = run.recipe()
    found = Sentences(tokenizer, held_out_sentences(run, language, tokenizer, screen))
    split = open_split(recipe, language, "train", screen.progress)
    transcripts = (utterance.text for utterance in training_utterances(recipe, split) if utterance.text)
    _report(found.add("training transcripts", transcripts), screen)
    for path in files:
        lines = (line for _, line in read_lines(path, "give a text file in UTF-8, a sentence a line"))
        source = found.add(str(path), screen.progress(lines, f"Reading {path}"))
        _refuse_alien(path, source, found)
        _report(source, screen)
    if found.unknown:
        letters = ", ".join(f"{letter!r} in {number}" for letter, number in found.unknown.most_common(10))
        screen.warn(f"no token of {language} for: {letters} sentences; these are left out")
    if not found.texts:
        raise InputError(
            f"There is no sentence to make a language model of {language} from",
            expected="training transcripts or text files with sentences that are not in dev and test sets",
            received="none that can be used",
            action="give a text file in this language",
        )
    return found


def _refuse_alien(path: Path, source: TextSource, found: Sentences) -> None:
    num_sentences = sum(source[key] for key in ("used", "repeated", "held_out", "not_spelt"))
    if not num_sentences or source["not_spelt"] > ALIEN * num_sentences:
        letters = " ".join(letter for letter, _ in found.unknown.most_common(10))
        raise InputError(
            f"{path} is no text in the alphabet of {found.tokenizer.language}",
            expected="sentences in the letters " + "".join(found.tokenizer.vocabulary[1:60]).strip(),
            received=f"{source['not_spelt']} of {num_sentences} sentences with other letters: {letters}",
            action="give a text in this language, written as in the run's transcripts; numbers as words",
        )


def _report(source: TextSource, screen: Screen) -> None:
    left_out = {
        "repeated": source["repeated"],
        "in the validation or test set": source["held_out"],
        "not spelt": source["not_spelt"],
        "without letters": source["empty"],
    }
    reasons = ", ".join(f"{number} {why}" for why, number in left_out.items() if number)
    screen.say(f"{source['name']}: {source['used']} sentences" + (f"; left out: {reasons}" if reasons else ""))
