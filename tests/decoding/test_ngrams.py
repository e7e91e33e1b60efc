from pathlib import Path

import pytest

from speech_mtl.decoding.kneser_ney import estimate
from speech_mtl.decoding.ngrams import BEGIN, END, UNKNOWN, NGrams, read_ngrams
from speech_mtl.errors import InputError

MODEL = NGrams(
    [
        {(BEGIN,): -9.0, (END,): -1.0, (UNKNOWN,): -3.0, ("a",): -2.0, ("b",): -1.5},
        {(BEGIN, "a"): -0.5, ("a", "b"): -0.2},
    ],
    {(BEGIN,): -0.4, ("a",): -0.7},
)


@pytest.mark.parametrize(
    ("context", "symbol", "expected"),
    [
        ((BEGIN,), "a", -0.5),
        (("b", "a"), "b", -0.2),
        (("a",), "a", -0.7 - 2.0),
        (("b",), "a", -2.0),
        (("a",), "c", -0.7 - 3.0),
        (("c",), END, -1.0),
        ((), UNKNOWN, -3.0),
    ],
)
def test_backs_off_to_shorter_contexts(context: tuple[str, ...], symbol: str, expected: float):
    assert MODEL.log_probability(MODEL.context(context), symbol) == pytest.approx(expected)


def test_what_is_written_is_read(tmp_path: Path):
    model = estimate([["a", "b", "ä"], ["b"], ["a", "b"]], 3)
    model.save(tmp_path / "lm.arpa")
    read = read_ngrams(tmp_path / "lm.arpa", "make it again")
    assert [grams.keys() for grams in read.probabilities] == [grams.keys() for grams in model.probabilities]
    for grams, own in zip(read.probabilities, model.probabilities, strict=True):
        assert grams == pytest.approx(own, abs=1e-5)
    assert read.backoffs == pytest.approx(model.backoffs, abs=1e-5)


GOOD = "\\data\\\nngram 1=4\n\n\\1-grams:\n-1\t<s>\n-1\t</s>\n-1\t<unk>\n-1\ta\n\n\\end\\\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD.replace("\\end\\\n", ""),
        GOOD.replace("-1\ta", "x\ta"),
        GOOD.replace("-1\ta", "nan\ta"),
        GOOD.replace("-1\ta", "-1"),
        GOOD.replace("-1\ta", "-1\ta b"),
        GOOD.replace("<unk>", "c"),
        GOOD.replace("\n\n\\end", "\n\n\\2-grams:\n-1\tz a\n\n\\end"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "lm.arpa"
    path.write_text(GOOD)
    assert read_ngrams(path, "make it again").symbols == ["a"]
    path.write_text(text)
    with pytest.raises(InputError, match=r"lm\.arpa.*not an n-gram model") as caught:
        read_ngrams(path, "make it again")
    assert caught.value.action == "make it again"
