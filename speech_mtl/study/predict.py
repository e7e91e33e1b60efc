"""Predicts the target speech that an error needs, and the errors with other amounts, for the arms of a comparison."""

from collections.abc import Sequence

from speech_mtl.errors import InputError
from speech_mtl.scoring.tables import speech
from speech_mtl.study.report.blocks import Paragraph
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.predicted import amounts_to_show, needed_least, predicted
from speech_mtl.study.results import Results
from speech_mtl.study.statistics.bootstrap import bootstrap
from speech_mtl.study.statistics.hypotheses import TestSet, decoders_of, test_sets_of
from speech_mtl.study.statistics.notes import how_drawn
from speech_mtl.study.statistics.prediction import MIN_BUDGETS, REACH, error_with, predict
from speech_mtl.study.statistics.summary import Prediction


def prediction_text(
    results: Results, errors: Sequence[float], minutes: Sequence[float], arms: Sequence[str], language: str | None
) -> str:
    """The answer as Markdown; of several decoders, for that of the runs' own settings.

    Args:
        results: Of a comparison.
        errors: Character error rates to reach, in percent.
        minutes: Amounts of target speech; twice and four times the largest budget where both are empty.
        arms: Names of some; all where empty.
        language: The target language; None where there is one.

    Raises:
        InputError: An error, an amount, an arm or the language is none that can be asked for, or no arm has a curve.
    """
    _refuse_beyond("--error", errors, 100, "a character error rate in percent, above 0 and below 100")
    _refuse_beyond("--minutes", minutes, float("inf"), "an amount of target speech above 0")
    test_sets = test_sets_of(decoders_of(results.test_sets)[0], results.test_sets)
    test_set = _test_set(test_sets, language)
    num_replications = results.origin.num_replications
    sampled = bootstrap(test_set, num_replications)
    known = {arm.name: arm for arm, _ in sampled.cer}
    if unknown := [name for name in arms if name not in known]:
        raise InputError(
            f"There are no results of the arm {', '.join(unknown)}",
            expected="some of " + ", ".join(known),
            received=", ".join(arms),
            action="correct --arm",
        )
    predictions = [predict(sampled, arm) for name, arm in known.items() if not arms or name in arms]
    given = [one for one in predictions if one.seconds]
    if not given:
        raise _nothing_to_prolong(predictions, f"{test_set.language} in recipe {results.origin.recipe}")
    amounts_s = [60 * amount for amount in minutes] or ([] if errors else amounts_to_show(given))
    _refuse_too_far(amounts_s, given)
    rates = [error / 100 for error in errors]
    blocks = [
        Paragraph(f"Recipe {results.origin.recipe}, target {test_set.language}. {results.origin.about.strip()}"),
        *(needed_least(given, rate) for rate in rates),
        *predicted(predictions, amounts_s, rates),
        Paragraph(how_drawn(sampled, "the test set", num_replications)),
    ]
    return "\n\n".join(render_block(block, {}) for block in blocks)


def _refuse_beyond(option: str, values: Sequence[float], end: float, expected: str) -> None:
    for value in values:
        if not 0 < value < end:
            raise InputError(
                f"{option} {value:g} cannot be predicted", expected=expected, received=f"{value:g}", action="correct it"
            )


def _test_set(test_sets: Sequence[TestSet], language: str | None) -> TestSet:
    found = [test_set for test_set in test_sets if language in (None, test_set.language)]
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"The results are not of the target {language}" if language else "The results are of several targets",
        expected="--language with one of " + ", ".join(test_set.language for test_set in test_sets),
        received=language or "no --language",
        action="name one of them",
    )


def _nothing_to_prolong(predictions: Sequence[Prediction], what: str) -> InputError:
    arms: dict[str, list[str]] = {}
    for one in predictions:
        arms.setdefault(one.why_not, []).append(one.arm.name)
    return InputError(
        f"There is no curve that could be prolonged: {what}",
        expected=f"an arm that has learnt with {MIN_BUDGETS} amounts of speech or more, and errs less with more",
        received="; ".join(f"{', '.join(names)}: {why_not}" for why_not, names in arms.items()),
        action=f"give compare.budgets_min {MIN_BUDGETS} amounts or more, each about twice the one before, train longer "
        "what has not learnt, and run the comparison again: finished runs are not repeated",
    )


def _refuse_too_far(amounts_s: Sequence[float], given: Sequence[Prediction]) -> None:
    for amount_s in amounts_s:
        if not any(error_with(one, amount_s) for one in given):
            least, most = min(one.seconds[0] for one in given), max(one.seconds[-1] for one in given)
            raise InputError(
                f"{speech(amount_s)} of speech is too far from what was measured: where a floor begins is not known",
                expected=f"{speech(least)} to {speech(most)}: a {REACH}th of the smallest amount to {REACH} times "
                "the largest",
                received=f"{amount_s / 60:g} minutes",
                action="choose an amount in between, or compare with budgets that are nearer to it",
            )
