"""Which utterances are shown in reports, and how they are aligned."""

import jiwer
import pytest

from speech_mtl.study.statistics.examples import Example, aligned, find_examples
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm

REFERENCES = ["one two", "three four five", "six", "seven eight"]
HYPOTHESES = {
    Model(Arm("alone"), 60.0, 0): ["one", "three", "six", "eleven"],
    Model(Arm("joint"), 60.0, 0): ["one two", "three four five", "nix", "seven ate"],
    Model(Arm("joint"), 60.0, 1): ["", "", "", ""],
    Model(Arm("noisy"), 60.0, 0): ["x", "x", "x", "x"],
    Model(Arm("joint"), 120.0, 0): REFERENCES,
}


def small_set() -> TestSet:
    names = [str(i) for i in range(4)]
    return TestSet("en", True, names, [None] * 4, list(REFERENCES), dict(HYPOTHESES))


def texts(example: Example) -> list[str]:
    """Reference and hypothesis."""
    return [" ".join(filter(None, words)) for words in zip(*example.pairs, strict=True)]


def test_best_median_and_worst_at_the_smallest_budget_as_alone_and_the_best_arm_recognised_them():
    shown = [(e.title, e.arm.name, e.budget_s, e.seed, texts(e)[0]) for e in find_examples(small_set())]
    assert shown == [
        (title, arm, 60.0, 0, reference)
        for title, reference in (("best", REFERENCES[1]), ("median", "six"), ("worst", "seven eight"))
        for arm in ("alone", "joint")
    ]


def test_hypotheses_are_those_of_the_model():
    for example in find_examples(small_set()):
        model = Model(example.arm, example.budget_s, example.seed)
        reference, hypothesis = texts(example)
        assert HYPOTHESES[model][REFERENCES.index(reference)] == hypothesis


def test_alone_is_shown_by_itself_where_it_is_all():
    lonely = small_set()
    lonely.hypotheses = {Model(Arm("alone"), 60.0, 0): HYPOTHESES[Model(Arm("alone"), 60.0, 0)]}
    assert {example.arm.name for example in find_examples(lonely)} == {"alone"}
    lonely.hypotheses = {}
    assert find_examples(lonely) == []


@pytest.mark.parametrize(
    ("reference", "hypothesis", "spaced", "pairs"),
    [
        ("a b c", "a x c", True, [("a", "a"), ("b", "x"), ("c", "c")]),
        ("a b", "a", True, [("a", "a"), ("b", None)]),
        ("a", "a b", True, [("a", "a"), (None, "b")]),
        ("", "b", True, [(None, "b")]),
        ("你好", "你号", False, [("你", "你"), ("好", "号")]),
    ],
)
def test_alignment(reference: str, hypothesis: str, spaced: bool, pairs: list):
    assert aligned(reference, hypothesis, spaced) == pairs


def test_unequal_pairs_are_as_many_as_jiwer_counts_errors():
    for reference in REFERENCES:
        for hypothesis in REFERENCES:
            output = jiwer.process_words(reference, hypothesis)
            unequal = sum(left != right for left, right in aligned(reference, hypothesis))
            assert unequal == output.substitutions + output.deletions + output.insertions
