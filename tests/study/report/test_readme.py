"""READMEs with tables: made afresh from their JSON, and refused with the line where something is wrong."""

from typing import get_args, get_type_hints

import pytest
from made_up_rows import COMPARISON, COMPARISON_TABLE, EFFICIENCY, EVALUATION, EVALUATION_TABLE

from speech_mtl.errors import InputError
from speech_mtl.scoring.tables import write_results
from speech_mtl.study.report.readme import TABLE_KINDS, render_readme
from speech_mtl.study.statistics.rows import Arm

README = """\
# A recipe

<!-- results: results/evaluation.json evaluation -->
| an old table |
<!-- end results -->
Between. `<!-- results: a.json KIND -->` in a line of text is text.

<!-- results: results/comparison.json comparison cs -->
<!-- end results -->
"""


TASK = {
    "recipe": "x",
    "task": "cs",
    "metric": "character error rate",
    "arm": Arm("joint", "a"),
    "budget_s": 60.0,
    "num_seeds": 3,
    **dict.fromkeys(("error", "low", "high", "gain", "gain_low", "gain_high"), 0.2),
}


def example_of(kind: type) -> dict[str, object]:
    """A row with a value of the right type in every field."""
    values = {str: "text", int: 3, float: 0.5, bool: False, list[str]: ["cs"], Arm: Arm("joint", "a")}
    hints = {key: [hint, *get_args(hint)] for key, hint in get_type_hints(kind).items()}
    chosen = {"split": "dev", "protocol": "equal_speech"}
    return {key: chosen.get(key) or next(values[h] for h in own if h in values) for key, own in hints.items()}


@pytest.fixture
def readme(tmp_path):
    write_results(tmp_path / "results", "evaluation", EVALUATION, "")
    write_results(tmp_path / "results", "comparison", COMPARISON, "")
    write_results(tmp_path / "results", "efficiency", EFFICIENCY, "")
    write_results(tmp_path / "results", "tasks", [TASK], "")
    for kind in ("arms", "forgetting", "generations"):
        write_results(tmp_path / "results", kind, [example_of(TABLE_KINDS[kind].row)], "")
    path = tmp_path / "README.md"
    path.write_text(README, encoding="utf-8")
    return path


def test_render_readme(readme):
    rendered = render_readme(readme)
    assert readme.read_text(encoding="utf-8") == README, "nothing is written"
    expected = README.replace("| an old table |", f"\n{EVALUATION_TABLE}\n")
    expected = expected.replace("comparison cs -->\n", f"comparison cs -->\n\n{COMPARISON_TABLE}\n\n")
    assert rendered == expected
    readme.write_text(rendered, encoding="utf-8")
    assert render_readme(readme) == rendered

    write_results(readme.parent / "results", "evaluation", EVALUATION[:1], "")
    assert render_readme(readme) != rendered


def test_a_readme_without_tables_stays_as_it_is(readme):
    text = "# No table\n\ntext\u2028more, no newline at the end"
    readme.write_text(text, encoding="utf-8")
    assert render_readme(readme) == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("evaluation -->", "evaluations -->", r"README.md:3: malformed results comment"),
        ("evaluation -->", "evaluation cs -->", r"README.md:3: malformed results comment"),
        ("results/evaluation.json evaluation", "", r"README.md:3: malformed results comment"),
        ("results/evaluation.json", "evaluation.json", r"README.md:3: the table cannot be made: There is no file"),
        ("results/evaluation.json", "results/comparison.json", r"README.md:3: .*'0\.word_substitutions' is missing"),
        ("comparison cs", "comparison de", "no results of de"),
        ("| an old table |\n<!-- end results -->", "", r"README.md:3: this table has no end"),
        ("cs -->\n<!-- end results -->", "cs -->", r"README.md:8: this table has no end"),
        ("<!-- results: results/evaluation.json evaluation -->\n", "", r"README.md:4: no table begins before its end"),
        ("evaluation -->", "evaluation --", r"README.md:3: malformed results comment"),
        ("<!-- results: results/ev", "<!--results: results/ev", r"README.md:3: malformed results comment"),
        ("<!-- results: results/ev", "<!-- RESULT results/ev", r"README.md:3: malformed results comment"),
        ("<!-- end results -->\nB", "<!-- end result -->\nB", r"README.md:5: malformed results comment"),
        ("results/evaluation.json", "../evaluation.json", r"README.md:3: the rows lie elsewhere"),
        ("results/evaluation.json", "/etc/passwd", r"README.md:3: the rows lie elsewhere"),
        ("results/evaluation.json", "a\0.json", r"README.md:3: malformed results comment"),
        ("results/evaluation.json", "results", r"README.md:3: the table cannot be made: There is no file"),
    ],
)
def test_a_readme_that_cannot_be_rendered(readme, old, new, message):
    text = readme.read_text(encoding="utf-8")
    assert old in text
    readme.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        render_readme(readme)


@pytest.mark.parametrize(("content", "received"), [("{}", "{}"), ("[1]", "1"), ("[", "\\[")])
def test_a_json_file_without_rows(readme, content, received):
    (readme.parent / "results" / "evaluation.json").write_text(content)
    with pytest.raises(InputError, match=f"Received: {received}"):
        render_readme(readme)


def test_a_readme_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        render_readme(tmp_path / "README.md")


def test_every_kind_of_table_can_stand_in_a_readme(readme):
    for kind in TABLE_KINDS:
        readme.write_text(f"<!-- results: results/{kind}.json {kind} -->\n<!-- end results -->", encoding="utf-8")
        assert render_readme(readme).count("|") > 8


@pytest.mark.parametrize("content", [b"K\xf6ln", b"\xff\xfe#", b"\xed\xa0\x80"])
def test_a_readme_that_is_not_utf8(readme, content):
    readme.write_bytes(b"# Title\n" + content)
    with pytest.raises(InputError, match=r"README\.md:2: not UTF-8") as caught:
        render_readme(readme)
    assert "iconv" in caught.value.action


@pytest.mark.parametrize(("field", "value"), [("cer", float("nan")), ("arm", {}), ("arm", "a|b"), ("num_seeds", -1)])
def test_rows_with_values_of_another_kind(readme, field, value):
    row = example_of(TABLE_KINDS["arms"].row) | {field: value}
    write_results(readme.parent / "results", "arms", [row], "")
    readme.write_text("<!-- results: results/arms.json arms -->\n<!-- end results -->", encoding="utf-8")
    with pytest.raises(InputError, match=rf"README\.md:1: .*the field '0\.{field}"):
        render_readme(readme)
