"""Evaluates a run with the decoders of `compare.decoders`, beside its own evaluation.

A language model of such a decoder is made from the run's own training transcripts and the text files of the comparison,
and tuned on the run's validation set, as by `speech-mtl lm`.
"""

from collections.abc import Sequence

from speech_mtl.run.changes import Now
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.evaluated import ComparedDecoder, saved_evaluation
from speech_mtl.run.folder import Run
from speech_mtl.run.lm import has_lm, make_lm
from speech_mtl.run.stored_lm import lm_folder
from speech_mtl.screen import Screen
from speech_mtl.settings.study import CompareSettings

TESTED = ("test",)
"""The validation set is what their weights are tuned on."""


def is_decoded(run: Run, compared: CompareSettings, languages: Sequence[str], now: Now) -> bool:
    """Whether nothing is left to do for `evaluate_decoders`."""
    kinds = _kinds(compared)
    if kinds and not all(has_lm(run, language, compared.lm_texts, kinds) for language in languages):
        return False
    return all(saved_evaluation(run, TESTED, now, one) is not None for one in _decoded(compared, languages))


def evaluate_decoders(run: Run, compared: CompareSettings, languages: Sequence[str], screen: Screen) -> None:
    """Makes language models and evaluates languages with each decoder, as far as that has not been done.

    Raises:
        InputError: A text file cannot be used.
    """
    kinds = _kinds(compared)
    for language in languages if kinds else ():
        if not has_lm(run, language, compared.lm_texts, kinds):
            folder = lm_folder(run, language)
            if (folder / "lm.json").is_file():
                screen.warn(f"{folder} is made again: it is of other texts or weights than the comparison's")
            make_lm(run, language, compared.lm_texts, screen=screen, kinds=kinds)
    for one in _decoded(compared, languages):
        if saved_evaluation(run, TESTED, decoded=one) is None:
            evaluate(run, TESTED, languages, screen, False, decoding=one.decoding, name=one.name)


def _decoded(compared: CompareSettings, languages: Sequence[str]) -> list[ComparedDecoder]:
    return [ComparedDecoder(*named, languages) for named in compared.decoders.items()] if languages else []


def _kinds(compared: CompareSettings) -> set[str | None]:
    """The kinds of n-grams that are to be tuned; None for all."""
    return {one.lm for one in compared.decoders.values() if one.uses_lm}
