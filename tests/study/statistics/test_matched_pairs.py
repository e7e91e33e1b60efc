"""The matched-pairs test against SciPy, regular expressions and examples by hand."""

import math
import random
import re

import jiwer
import numpy as np
import pytest
from scipy import stats

from speech_mtl.scoring.error_rate import score
from speech_mtl.study.statistics.matched_pairs import mapsswe, segment_differences
from speech_mtl.study.statistics.summary import two_sided


def random_texts(source, count, num_words=30, words="abcd"):
    return [" ".join(source.choices(words, k=source.randrange(num_words))) for _ in range(count)]


def corrupted(source, text, share):
    """Words left out, replaced and put in."""
    hypotheses = []
    for word in text.split():
        kind = source.random() / share
        hypotheses += [word] if kind >= 1 else [[], [word + "x"], [word, "y"], ["z", "z", word]][int(4 * kind)]
    return " ".join(hypotheses)


def three_sides(seed, num_utterances=40):
    source = random.Random(seed)
    references = random_texts(source, num_utterances)
    return references, *([corrupted(source, text, share) for text in references] for share in (0.2, 0.3))


def test_where_no_words_end_a_segment_each_utterance_with_an_error_is_one():
    references, hypotheses_a, hypotheses_b = three_sides(14)
    errors = [
        [score([text], [other]).words.num_errors for text, other in zip(references, hypotheses, strict=True)]
        for hypotheses in (hypotheses_a, hypotheses_b)
    ]
    a, b = np.array(errors)[:, (np.array(errors) > 0).any(axis=0)]
    differences = segment_differences(references, hypotheses_a, hypotheses_b, True, min_correct=1000)
    assert len(differences) > 20
    assert differences.tolist() == (b - a).tolist()


@pytest.mark.parametrize("min_correct", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_segments_are_those_of_a_regular_expression(seed, min_correct):
    """Errors become letters, and the line is cut at C's. A is an error of the first, B of the second, M of both."""
    references, hypotheses_a, hypotheses_b = three_sides(seed)
    outputs = [jiwer.process_words(references, hypotheses) for hypotheses in (hypotheses_a, hypotheses_b)]
    differences, total = [], 0
    for reference, *alignments in zip(references, *(output.alignments for output in outputs), strict=True):
        marks = []
        for alignment in alignments:
            words, gaps = ["C"] * len(reference.split()), [0] * (len(reference.split()) + 1)
            for chunk in alignment:
                if chunk.type == "insert":
                    gaps[chunk.ref_start_idx] += chunk.hyp_end_idx - chunk.hyp_start_idx
                elif chunk.type != "equal":
                    words[chunk.ref_start_idx : chunk.ref_end_idx] = "E" * (chunk.ref_end_idx - chunk.ref_start_idx)
            marks.append((words, gaps))
        (words_a, gaps_a), (words_b, gaps_b) = marks
        line = "A" * gaps_a[0] + "B" * gaps_b[0]
        for pair, in_a, in_b in zip(zip(words_a, words_b, strict=True), gaps_a[1:], gaps_b[1:], strict=True):
            line += {"CC": "C", "EC": "A", "CE": "B", "EE": "M"}["".join(pair)] + "A" * in_a + "B" * in_b
        pieces = [piece for piece in re.split("C" * min_correct + "+", line) if piece.strip("C")]
        differences += [piece.count("B") - piece.count("A") for piece in pieces]
        total += line.count("B") - line.count("A")
    found = segment_differences(references, hypotheses_a, hypotheses_b, True, min_correct)
    assert len(references) < len(found)
    assert found.tolist() == differences
    if min_correct == 2:
        z = mapsswe(references, hypotheses_a, hypotheses_b)
        assert z == pytest.approx(stats.ttest_1samp(differences, 0).statistic)
        assert mapsswe(references, hypotheses_b, hypotheses_a) == pytest.approx(-z)
    errors = [score(references, hypotheses).words.num_errors for hypotheses in (hypotheses_a, hypotheses_b)]
    assert found.sum() == errors[1] - errors[0] == total


def test_by_hand():
    texts = (
        #    x: a wrong word, +: one too many, _: one too few
        # 1. Two right words part two segments: (1, 0) and (0, 1).
        # 2. One right word does not: (1, 1).
        # 3. Two right words of A are not two right words of both: (2, 1).
        # 4. An insertion between two right words parts them, so that these do not end the segment: (3, 1).
        # 5. Insertions at both ends, and no reference at all: (1, 0), (0, 2); (0, 1).
        # 6. No error, no segment.
        ["a b c d", "a b c", "a b c d", "a b c d", "a b", "", "a b c"],
        ["x b c d", "x b c", "x b c x", "x b + c x", "+ a b", "", "a b c"],
        ["a b c x", "a b x", "a x c d", "a b c x", "a b + +", "+", "a b c"],
    )
    differences = [-1, 1, 0, -1, -2, -1, 2, 1]
    assert segment_differences(*texts, spaced=True).tolist() == differences
    assert mapsswe(*texts) == pytest.approx(stats.ttest_1samp(differences, 0).statistic)


def differences_of(reference, hypotheses_a, hypotheses_b, spaced=True):
    """In the segments of one utterance."""
    return segment_differences([reference], [hypotheses_a], [hypotheses_b], spaced).tolist()


@pytest.mark.parametrize(
    ("reference", "hypotheses_a", "hypotheses_b", "expected"),
    [
        ("a b c d", "x b c d", "a b c x", [-1, 1]),  # two right words
        ("a b c", "x b c", "a b x", [0]),  # one right word
        ("a b c d", "x b y c d", "a b c x", [-1]),  # two right words, and an insertion between them
        ("a b c d e", "x b y c d e", "a b c d x", [-2, 1]),  # that ends a word earlier
        ("a b c", "b c", "a b c y", [-1, 1]),  # left out at the beginning, put in at the end
        ("a b", "y a b", "a b z z", [-1, 2]),  # put in at both ends
        ("", "a b", "c", [-1]),
        ("a b c", "a b c", "", [3]),
        ("", "", "", []),
        ("a b", "a  b ", "a b", []),  # stray spaces
    ],
)
def test_segments_of_an_utterance(reference, hypotheses_a, hypotheses_b, expected):
    assert differences_of(reference, hypotheses_a, hypotheses_b) == expected


def test_an_utterance_ends_a_segment():
    assert segment_differences(["a", "b"], ["x", "b"], ["a", "x"], spaced=True).tolist() == [-1, 1]
    assert differences_of("a b", "x b", "a x") == [0]


def test_fewer_than_two_segments_show_nothing():
    assert mapsswe(["a b"], ["a b"], ["a b"]) == 0
    assert mapsswe(["a b"], ["a x"], ["a b"]) == 0


def test_the_same_difference_in_all_segments():
    assert mapsswe(["a"] * 9, ["a"] * 9, ["x"] * 9) == pytest.approx(3)
    assert mapsswe(["a"] * 9, ["x"] * 9, ["a"] * 9) == pytest.approx(-3)
    assert mapsswe(["a"] * 9, ["x"] * 9, ["y"] * 9) == 0


def test_without_spaces_characters_are_words():
    reference, hypotheses_a, hypotheses_b = "一二三四五六", "一二三四五七", "七二三四五六"
    assert differences_of(reference, hypotheses_a, hypotheses_b) == [0]
    assert differences_of(reference, hypotheses_a, hypotheses_b, spaced=False) == [1, -1]
    assert differences_of(" ".join(reference), " ".join(hypotheses_a), " ".join(hypotheses_b)) == [1, -1]
    pair = [hypotheses_a] * 3, [reference] * 3
    assert mapsswe([reference] * 3, *pair, spaced=False) == pytest.approx(-math.sqrt(3))


def test_p_values_of_equally_good_systems_are_uniform():
    source, p_values = random.Random(15), []
    for _ in range(300):
        references = [" ".join(source.choices("abcdef", k=12)) for _ in range(30)]
        hypotheses_a, hypotheses_b = ([corrupted(source, text, 0.15) for text in references] for _ in range(2))
        p_values.append(two_sided(mapsswe(references, hypotheses_a, hypotheses_b)))
    for level in (0.05, 0.5):
        share = np.mean(np.array(p_values) <= level)
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / 300), "seeds are fixed: this is no chance"
