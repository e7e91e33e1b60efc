"""The reader of tables, against the writers of Python's standard library."""

import csv
import io
import json
import random
from pathlib import Path

import pytest

from data_scripts.tables import Row, Unusable, read_json_table, read_keyed_table, read_table
from speech_mtl.errors import InputError

LETTERS = "ab1 \",;|'\\\u2028\u00e9\ufeff#\x1c\x85"


def cells(seed: int, letters: str, num_rows: int = 50) -> list[list[str]]:
    """Rows of three cells, the first never empty."""
    generator = random.Random(seed)
    drawn = [["".join(generator.choices(letters, k=generator.randrange(8))) for _ in range(3)] for _ in range(num_rows)]
    return [["x" + first, *rest] for first, *rest in drawn]


def found(path: Path, **how: object) -> list[list[str] | str]:
    """The cells of each row, or the reason why it cannot be used."""
    rows = read_table(path, **how).rows  # pyright: ignore[reportArgumentType]
    return [list(row.cells.values()) if isinstance(row, Row) else row.reason for row in rows]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tsv_gives_back_what_was_written(seed: int, end: str, tmp_path: Path):
    rows = cells(seed, LETTERS)
    (tmp_path / "a.tsv").write_bytes(end.join(["\t".join(row) for row in [["A", "b", "c"], *rows]]).encode())
    assert read_table(tmp_path / "a.tsv").columns == ["a", "b", "c"]
    assert found(tmp_path / "a.tsv") == rows


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_gives_back_what_the_csv_module_writes(seed: int, end: str, tmp_path: Path):
    rows = cells(seed, LETTERS + "\n")
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=end).writerows([["a", "b", "c"], *rows])
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + buffer.getvalue().encode())
    assert found(tmp_path / "a.csv", delimiter=",", quoted=True) == rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('x,"open,1\ny,b,2\n', ["not CSV", ["y", "b", "2"]]),
        ('x,"a"b,1\ny,b,2\n', ["not CSV", ["y", "b", "2"]]),
        ('x,"a,1\ny,"b",2\nz,c,3\n', ["not CSV", ["y", "b", "2"], ["z", "c", "3"]]),
        ('x,5" pipe,1\ny,b,2\n', [["x", '5" pipe', "1"], ["y", "b", "2"]]),
        ("x,a,1,\ny,b,2\n", ["surplus fields", ["y", "b", "2"]]),
        ("x;a;1\ny,b,2", ["missing fields", ["y", "b", "2"]]),
        ("x,a\rb,1\ny,b,2", ["not CSV", ["y", "b", "2"]]),
        ('x,"a\rb",1\ny,b,2', [["x", "a\rb", "1"], ["y", "b", "2"]]),
    ],
)
def test_one_bad_row_of_csv_takes_no_other_with_it(text: str, expected: list, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(("a,b,c\n" + text).encode())
    assert found(tmp_path / "a.csv", delimiter=",", quoted=True) == expected


def test_every_row_has_its_line(tmp_path: Path):
    (tmp_path / "a.csv").write_text('\n\na,b\n\n1,"x\ny"\n\n2,z\n3\n', encoding="utf-8")
    rows = list(read_table(tmp_path / "a.csv", delimiter=",", quoted=True).rows)
    assert [row.source for row in rows] == [f"{tmp_path / 'a.csv'}:{line}" for line in (5, 8, 9)]


def test_a_table_without_header(tmp_path: Path):
    (tmp_path / "a.csv").write_text("1|x|X\n2|y\n", encoding="utf-8")
    rows = list(read_table(tmp_path / "a.csv", delimiter="|", columns=("id", "text", "normal")).rows)
    assert rows[0] == Row(f"{tmp_path / 'a.csv'}:1", {"id": "1", "text": "x", "normal": "X"})
    assert isinstance(rows[1], Unusable)


@pytest.mark.parametrize("seed", range(5))
def test_json_lines_give_back_what_was_written(seed: int, tmp_path: Path):
    rows = [dict(zip("abc", row, strict=True)) for row in cells(seed, LETTERS + "\n\t")]
    text = "\ufeff" + "\r\n".join(json.dumps(row, ensure_ascii=bool(seed % 2)) for row in rows)
    (tmp_path / "a.jsonl").write_bytes(text.encode())
    table = read_json_table(tmp_path / "a.jsonl")
    assert table.columns == ["a", "b", "c"]
    assert [row.cells if isinstance(row, Row) else row for row in table.rows] == rows


@pytest.mark.parametrize(
    "line",
    [
        *('{"a": 1', "[]", "7", "null", '{"a": "\\ud800"}', '{"a": "x\\u0000"}'),
        *('{"a": 1, "a": 2}', '{"a": 1, "A": 2}', '{"a": "' + "x" * 100_001 + '"}'),
        *("[" * 100_000, '{"a":' * 100_000, '{"a": ' + "1" * 5000 + "}"),
    ],
)
def test_a_bad_line_of_json_takes_no_other_with_it(line: str, tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(f'{{"a": "x"}}\n{line}\n{{"b": "y"}}\n', encoding="utf-8")
    first, second, third = read_json_table(tmp_path / "a.jsonl").rows
    assert isinstance(first, Row)
    assert isinstance(second, Unusable)
    assert second.source == f"{tmp_path / 'a.jsonl'}:2"
    assert isinstance(third, Row)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_keyed_lines_give_back_what_was_written(seed: int, end: str, tmp_path: Path):
    generator = random.Random(seed)
    rows = [
        [first, f"{second} \t{third}".strip(" \t")] for first, second, third in cells(seed, LETTERS.replace(" ", ""))
    ]
    lines = [first + generator.choice([" ", "\t", " \t "]) + rest for first, rest in rows]
    (tmp_path / "a").write_bytes(end.join([*lines[:5], "", *lines[5:]]).encode())
    assert [list(row.cells.values()) for row in read_keyed_table(tmp_path / "a").rows if isinstance(row, Row)] == rows
    (tmp_path / "a").write_bytes(end.join([*lines[:2], "key va\0lue", *lines[2:]]).encode())
    bad = [row for row in read_keyed_table(tmp_path / "a").rows if isinstance(row, Unusable)]
    assert [(one.source, one.reason) for one in bad] == [(f"{tmp_path / 'a'}:3", "NUL in a field")]


def test_lines_of_which_none_is_json_are_refused_with_the_first(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('\n{"a": 1\n[]\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.jsonl:2: not a JSON object"):
        read_json_table(tmp_path / "a.jsonl")


def test_a_missing_table_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="There is no file"):
        read_table(tmp_path / "a.tsv")
