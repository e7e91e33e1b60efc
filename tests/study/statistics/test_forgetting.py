"""What was forgotten: counted by hand on few utterances, and nothing where nothing changed."""

import math

import numpy as np
import pytest
from scipy import stats

from speech_mtl.study.statistics.forgetting import what_was_forgotten
from speech_mtl.study.statistics.hypotheses import Model, TestSet, before
from speech_mtl.study.statistics.rows import Arm

REFERENCES = ["abcd", "efgh", "ijkl", "mnop"]


def made_up(hypotheses: dict[Model, list[str]]) -> TestSet:
    ids = [str(i) for i in range(len(REFERENCES))]
    made = TestSet("de", True, ids, [None] * 4, REFERENCES)
    for model, texts in hypotheses.items():
        made.add(model, ids, texts)
    return made


def wrong(number: int) -> list[str]:
    """Hypotheses with so many wrong letters, one an utterance at most."""
    return [("x" + text[1:]) if i < number else text for i, text in enumerate(REFERENCES)]


MODELS = [Model(Arm("pretrain_finetune"), 600.0, seed) for seed in range(3)]


def test_rates_are_means_over_seeds_and_growth_is_their_ratio():
    hypotheses = {before(model): wrong(errors) for model, errors in zip(MODELS, (1, 2, 1), strict=True)}
    hypotheses |= {model: wrong(errors) for model, errors in zip(MODELS, (2, 4, 3), strict=True)}
    (one,) = what_was_forgotten([made_up(hypotheses)], 2000)
    assert (one.language, one.arm.name, one.budget_s, one.seeds) == ("de", "pretrain_finetune", 600.0, [0, 1, 2])
    assert (one.before, one.after) == (pytest.approx(4 / 3 / 16), pytest.approx(3 / 16))
    assert one.growth.value == pytest.approx(3 / (4 / 3) - 1)
    assert one.growth.low < one.growth.value < one.growth.high
    assert not one.same


def test_with_one_seed_the_interval_is_that_of_every_draw():
    """All 4 ** 4 ways to draw four utterances, by hand, and 999 quantiles of the factors by which these are widened."""
    hypotheses = {before(MODELS[0]): wrong(2), MODELS[0]: wrong(3)}
    (one,) = what_was_forgotten([made_up(hypotheses)], 50_000)
    columns = [[float(text != said) for text, said in zip(hypotheses[m], REFERENCES, strict=True)] for m in hypotheses]
    draws = np.array(np.meshgrid(*[range(4)] * 4)).reshape(4, -1).T
    factors = np.sqrt(4 / stats.chi2.ppf((np.arange(999)[:, None] + 0.5) / 999, 3))
    sums = [(sum(column), np.array(column)[draws].sum(axis=1)) for column in columns]
    first, after = (np.maximum(whole + factors * (drawn - whole), 0.5) for whole, drawn in sums)
    low, high = np.percentile(after / first - 1, [2.5, 97.5])
    assert one.growth.low == pytest.approx(low, abs=0.05)
    assert one.growth.high == pytest.approx(high, abs=0.05)


def test_nothing_is_forgotten_where_all_is_the_same():
    hypotheses = {before(model): wrong(2) for model in MODELS} | {model: wrong(2) for model in MODELS}
    (one,) = what_was_forgotten([made_up(hypotheses)], 500)
    assert (one.growth.value, one.growth.low, one.growth.high, one.same) == (0, 0, 0, True)


def test_no_errors_before_count_as_half_of_one():
    (one,) = what_was_forgotten([made_up({before(MODELS[0]): wrong(0), MODELS[0]: wrong(1)})], 500)
    assert (one.before, one.growth.value) == (0, pytest.approx(1.0))
    assert math.isfinite(one.growth.high)


def test_arms_and_budgets_are_apart():
    other = Model(Arm("joint_finetune"), 1200.0, 0)
    hypotheses = {before(MODELS[0]): wrong(1), MODELS[0]: wrong(2), before(other): wrong(2), other: wrong(2)}
    found = what_was_forgotten([made_up(hypotheses)], 200)
    assert [(one.arm.name, one.growth.value) for one in found] == [("pretrain_finetune", 1.0), ("joint_finetune", 0.0)]


def test_the_same_runs_under_another_name_forget_the_same():
    hypotheses = {before(model): wrong(errors) for model, errors in zip(MODELS, (1, 2, 1), strict=True)}
    hypotheses |= {model: wrong(errors) for model, errors in zip(MODELS, (2, 4, 3), strict=True)}
    again = {
        model._replace(arm=Arm(model.arm.method.replace("pretrain", "foo"))): own for model, own in hypotheses.items()
    }
    first, second = what_was_forgotten([made_up(hypotheses | again)], 500)
    assert (first.arm.name, second.arm.name) == ("pretrain_finetune", "foo_finetune")
    assert first.growth == second.growth
    assert first.growth.low < first.growth.high


def test_a_language_without_reference_text_has_no_row():
    hypotheses = {before(MODELS[0]): wrong(1), MODELS[0]: wrong(2)}
    silent = made_up(hypotheses)
    silent.references = [""] * 4
    assert what_was_forgotten([silent], 100) == []
