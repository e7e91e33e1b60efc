"""YAML as the specification has it; where it has nothing to say, ruamel's own loader is the second source."""

import math
from pathlib import Path
from random import Random

import pytest
from ruamel.yaml import YAML

from speech_mtl.errors import InputError
from speech_mtl.settings import yaml12
from speech_mtl.settings.yaml12 import Lines, parse_yaml, yaml_text


def parsed(text: str, lines: Lines | None = None):
    return parse_yaml(text, lambda line: f"a.yaml:{line}", "fix it", lines)


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parsed(text)
    return caught.value


TAGS = """
A null: null
Booleans: [ true, True, false, FALSE ]
Integers: [ 0, 0o7, 0x3A, -19 ]
Floats: [ 0., -0.0, .5, +12e03, -2E+05 ]
Also floats: [ .inf, -.Inf, +.INF ]
Not a number: .NAN
"""
"""Example 10.9 of YAML 1.2.2, with the null that block mappings need."""


def test_the_core_schema():
    found = parsed(TAGS)
    assert math.isnan(found.pop("Not a number"))
    assert found == {
        "A null": None,
        "Booleans": [True, True, False, False],
        "Integers": [0, 7, 58, -19],
        "Floats": [0.0, 0.0, 0.5, 12000.0, -200000.0],
        "Also floats": [math.inf, -math.inf, math.inf],
    }
    assert all(type(one) is int for one in found["Integers"])
    assert all(type(one) is float for one in found["Floats"])


@pytest.mark.parametrize(
    "text",
    ["no", "on", "2020-01-01", "2020-01-01 12:00:00", "12:30:45", "1_000", "0b11", "1e", "e5", "0o8", "0x", "nul", "+"],
)
def test_all_else_is_text(text):
    assert parsed(text) == text
    assert parsed(f"'{text}'") == parsed(f"!!str {text}") == text


@pytest.mark.parametrize("text", ["5", "null", "true", "0x1", "2020-02-30", "~", ".inf", ".5e3", ""])
def test_what_stands_in_quotes_is_text(text):
    assert parsed(f"'{text}'") == parsed(f'"{text}"') == text


def test_keys_are_texts():
    assert parsed("{no: 1, 5: 2, null: 3, 2020-02-30: 4, 1.0: 5, '<<': 6}") == {
        "no": 1,
        "5": 2,
        "null": 3,
        "2020-02-30": 4,
        "1.0": 5,
        "<<": 6,
    }


def test_merge_keys_and_aliases_as_ruamel_has_them():
    text = """
a: &a {x: 1, y: [1, 2]}
b: &b {y: 3, z: {}}
one: {<<: *a, y: 0}
several: {<<: [*a, *b], w: 1}
before: {y: 0, <<: *a}
again: [*a, *b, &c text, *c]
"""
    assert parsed(text) == YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("path", sorted(Path("recipes").glob("*/recipe.yaml")), ids=str)
def test_recipes_as_ruamel_has_them(path):
    assert parsed(path.read_text(encoding="utf-8")) == YAML(typ="safe", pure=True).load(path)


def test_lines():
    lines: Lines = {}
    parsed("a: 1\nb:\n  - x\n  - y: 2\n\nc: {d:\n 5}\n", lines)
    assert lines == {(): 1, ("a",): 1, ("b",): 3, ("b", 0): 3, ("b", 1): 4, ("b", 1, "y"): 4, ("c",): 6, ("c", "d"): 7}


def laughs(levels: int) -> str:
    lines = ["x0: &x0 [lol, lol]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines) + f"\nname: *x{levels - 1}\n"


BAD = {
    "billion laughs": (laughs(11), 5, "too many values"),
    "a merge key without a mapping": ("a: &a [1]\nb: {<<: *a}", 2, "without a mapping"),
    "too many": ("[" + "1," * 20_001 + "]", 1, "too many values"),
    "deep lists": ("[" * 100_000, 1, "in one another"),
    "deep mappings": ("{a: " * 60 + "}" * 60, 1, "in one another"),
    "deep blocks": ("- " * 60 + "x", 1, "in one another"),
    "an alias of itself": ("a: &a [*a]", 1, "no value before it has the anchor"),
    "no anchor": ("x: 1\na: *b", 2, "no value before it"),
    "int": ("x: 1\ny: !!int abc", 2, "the tag tag:yaml.org,2002:int"),
    "bool": ("!!bool x", 1, "the tag"),
    "python": ("a: !!python/object/apply:os.system [ls]", 1, "the tag"),
    "binary": ("a: !!binary gIGC", 1, "the tag"),
    "set": ("a: !!set {b}", 1, "the tag"),
    "own tag": ("a: !path x", 1, "the tag !path"),
    "a list that is text": ("a: !!str [x]", 1, "the tag"),
    "no such tag": ("!a!b x", 1, "undefined tag handle"),
    "no such day": ("a: 1\nb: 2026-02-30", 2, "no such number or date"),
    "no such month": ("2026-13-01", 1, "no such number or date"),
    "digits": ("a: " + "9" * 5000, 1, "no such number or date"),
    "a list as a key": ("? [a]\n: b", 1, "a key that is no text"),
    "a mapping as a key": ("{{a: b}: c}", 1, "a key that is no text"),
    "an alias as a key": ("a: &a b\n*a : c", 2, "a key that is no text"),
    "a key twice": ("a: 1\n'a': 2", 2, "is there twice"),
    "two documents": ("a: 1\n---\nb: 1", 2, "a second document"),
    "YAML 1.1": ("%YAML 1.1\n---\na: no", 2, "of another version"),
    "a version beyond all": (f"%YAML 1.{'9' * 5000}\n---\na", 1, "Exceeds the limit"),
    "NUL": ("a: 1\nb: \0", 2, "special characters are not allowed"),
    "escape": ("a: \x1b[2J", 1, "special characters are not allowed"),
    "half a character": ("a: \ud800", 1, "special characters are not allowed"),
    "half a character, escaped": ('a: "\\ud800"', 1, "half a character"),
    "half a character in a key": ('"\\ud800": a', 1, "half a character"),
    "beyond Unicode": ('a: "\\UFFFFFFFF"', 1, ""),
    "line breaks of YAML 1.1": ("a: 1\nb: x\u2028y", 2, "a line break of YAML 1.1"),
    "tab": ("a: 1\n\tb: 2", 2, "cannot start any token"),
    "open quote": ("a: 'x", 1, "unexpected end of stream"),
    "too long": ("x" * (yaml12.MOST_LETTERS + 1), 1, "too long"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str):
    text, line, problem = BAD[case]
    error = refused(text)
    assert error.problem.startswith(f"a.yaml:{line}: ")
    assert problem in error.problem
    assert len(str(error)) < 2000


def test_no_aliases_share_a_value():
    found = parsed("a: &a [1]\nb: *a\nc: {<<: {d: *a}}")
    found["a"].append(2)
    assert found["b"] == found["c"]["d"] == [1]


def random_value(random: Random, depth: int = 3):
    kind = random.randrange(6 if depth else 4)
    if kind == 0:
        return random.choice([None, True, False, random.randrange(-(10**6), 10**6)])
    if kind == 1:
        return random.choice([random.gauss(0, 1), 10 ** random.uniform(-300, 300), 0.0, -0.0, 1e22, 5e-324])
    if kind in (2, 3):
        return random_text(random)
    if kind == 4:
        return [random_value(random, depth - 1) for _ in range(random.randrange(4))]
    return {random_text(random): random_value(random, depth - 1) for _ in range(random.randrange(4))}


def random_text(random: Random) -> str:
    letters = random.choice(
        ["0123456789-+._eExo", "~nulltrueTRUE", "ab: #-\\\n'\"{}[]&*!|>%@`,?<", "č日\u200d\x85\u2028\t\0\x1b😀 "]
    )
    return "".join(random.choice(letters) for _ in range(random.choice([0, 1, 2, 3, 5, 8, 200])))


def test_what_is_written_is_read_back():
    random = Random(0)
    for _ in range(1500):
        value = {"a": random_value(random)}
        text = yaml_text(value)
        assert repr(parsed(text)) == repr(value), text
