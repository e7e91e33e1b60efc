import random
import time

import pytest

from speech_mtl.datatypes import ErrorCounts
from speech_mtl.errors import InputError
from speech_mtl.scoring.error_rate import Score, errors_by_utterance, right_words, score


def edit_distance(reference, hypothesis):
    """Fewest edits, by filling the whole table."""
    table = [[row + column for column in range(len(hypothesis) + 1)] for row in range(len(reference) + 1)]
    for row, wanted in enumerate(reference, 1):
        for column, got in enumerate(hypothesis, 1):
            table[row][column] = min(
                table[row - 1][column - 1] + (wanted != got),
                table[row - 1][column] + 1,
                table[row][column - 1] + 1,
            )
    return table[-1][-1]


def check(counts, pairs):
    assert counts.num_errors == sum(edit_distance(*pair) for pair in pairs)
    assert counts.num_reference == sum(len(reference) for reference, _ in pairs)
    assert counts.hits + counts.substitutions + counts.insertions == sum(len(hypothesis) for _, hypothesis in pairs)
    assert min(counts.hits, counts.substitutions, counts.deletions, counts.insertions) >= 0


def random_texts(source, count):
    words = ["a", "b", "ab", "ba", "šč", "हिन्दी", "n't"]
    return [" ".join(source.choices(words, k=source.randrange(8))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(60))
def test_counts_are_those_of_the_edit_distance(seed):
    source = random.Random(seed)
    count = source.randrange(1, 12)
    references, hypotheses = random_texts(source, count), random_texts(source, count)
    result = score(references, hypotheses)
    assert result.num_utterances == count
    check(result.characters, list(zip(references, hypotheses, strict=True)))
    pairs = zip(references, hypotheses, strict=True)
    check(result.words, [(reference.split(), hypothesis.split()) for reference, hypothesis in pairs])


@pytest.mark.parametrize("spaced", [True, False])
def test_errors_of_each_utterance_are_those_of_its_score(spaced):
    source = random.Random(1)
    references, hypotheses = random_texts(source, 300), random_texts(source, 300)
    references[:3], hypotheses[:3] = ["", "a", " a  b "], ["a", "", "a b"]
    parts = [score([one], [other], spaced) for one, other in zip(references, hypotheses, strict=True)]
    found = errors_by_utterance(references, hypotheses, spaced)
    assert found == tuple([getattr(part, kind).num_errors for part in parts] for kind in ("words", "characters"))
    with pytest.raises(ValueError, match="zip"):
        errors_by_utterance(["a", "b"], ["a"], spaced)


def test_each_kind_of_error():
    assert score(["a b c"], ["a x c"]).words == ErrorCounts(hits=2, substitutions=1)
    assert score(["a b c"], ["a c"]).words == ErrorCounts(hits=2, deletions=1)
    assert score(["a b c"], ["a b d c"]).words == ErrorCounts(hits=3, insertions=1)
    assert score(["abc"], ["abd"]).characters == ErrorCounts(hits=2, substitutions=1)
    assert score(["a b"], ["ab"]).characters == ErrorCounts(hits=2, deletions=1)


def test_empty_texts():
    assert score([""], ["a b"]) == Score(ErrorCounts(insertions=2), ErrorCounts(insertions=3), 1)
    assert score(["a b"], [""]) == Score(ErrorCounts(deletions=2), ErrorCounts(deletions=3), 1)
    assert score([""], [""]) == Score(ErrorCounts(), ErrorCounts(), 1)
    assert score(["", "a"], ["b", "a"]).words.rate == 1.0


def test_without_spaces_a_character_is_a_word():
    result = score(["你好世界", "ก ข"], ["你号世界啊", "กข"], spaced=False)
    assert result.words == result.characters == ErrorCounts(hits=5, substitutions=1, deletions=1, insertions=1)


def test_stray_spaces_are_no_errors():
    assert score([" a  b "], ["a b"]) == Score(ErrorCounts(hits=2), ErrorCounts(hits=3), 1)


def test_what_cannot_be_scored():
    with pytest.raises(InputError, match="Nothing to score"):
        score([], [])
    with pytest.raises(InputError, match="2 references and 1 hypotheses"):
        score(["a", "b"], ["a"])


def test_ten_thousand_utterances_take_seconds():
    source = random.Random(1)
    texts = [" ".join("".join(source.choices("abcdefgh", k=6)) for _ in range(12)) for _ in range(10_000)]
    start = time.perf_counter()
    result = score(texts, [text.replace("a", "b", 3) for text in texts])
    assert time.perf_counter() - start < 20
    assert result.characters.substitutions > 0


def test_right_words_are_those_of_the_alignment():
    assert right_words("the quick brown fox", ["the", "brawn", "fox"]) == [True, False, True]
    assert right_words("", ["a", "b"]) == [False, False]
    assert right_words("a b", []) == []
    assert right_words("\u4f60\u597d\u5417", list("\u4f60\u5417\u5417"), spaced=False) == [True, False, True]
    score_of = score(["a b c d e"], ["a x c e f"])
    assert sum(right_words("a b c d e", ["a", "x", "c", "e", "f"])) == score_of.words.hits
