"""READMEs with tables: made afresh from their JSON, and refused with the line where something is wrong."""

from typing import get_type_hints

import pytest
from made_up_rows import COMPARISON, COMPARISON_TABLE, EFFICIENCY, EVALUATION, EVALUATION_TABLE

from speech_mtl.errors import InputError
from speech_mtl.scoring.readme import TABLE_KINDS, render_readme
from speech_mtl.scoring.tables import write_results

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
    "arm": "joint:a",
    "budget_s": 60.0,
    "num_seeds": 3,
    **dict.fromkeys(("error", "low", "high", "gain", "gain_low", "gain_high"), 0.2),
}


@pytest.fixture
def readme(tmp_path):
    write_results(tmp_path / "results", "evaluation", EVALUATION, "")
    write_results(tmp_path / "results", "comparison", COMPARISON, "")
    write_results(tmp_path / "results", "efficiency", EFFICIENCY, "")
    write_results(tmp_path / "results", "tasks", [TASK], "")
    for kind in ("arms", "forgetting", "generations"):
        hints = get_type_hints(TABLE_KINDS[kind].row)
        row = {key: "text" if hint is str else ["cs"] if hint == list[str] else 0.5 for key, hint in hints.items()}
        write_results(tmp_path / "results", kind, [row], "")
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
        ("results/evaluation.json", "evaluation.json", r"README.md:3: the table cannot be made(?s:.*)No such file"),
        ("results/evaluation.json", "results/comparison.json", r"row 1 without word_substitutions, word_del"),
        ("comparison cs", "comparison de", "no results of de"),
        ("| an old table |\n<!-- end results -->", "", r"README.md:3: this table has no end"),
        ("cs -->\n<!-- end results -->", "cs -->", r"README.md:8: this table has no end"),
    ],
)
def test_a_readme_that_cannot_be_rendered(readme, old, new, message):
    text = readme.read_text(encoding="utf-8")
    assert old in text
    readme.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        render_readme(readme)


@pytest.mark.parametrize(("content", "received"), [("{}", "dict"), ("[1]", "row 1 without language"), ("[", "Expect")])
def test_a_json_file_without_rows(readme, content, received):
    (readme.parent / "results" / "evaluation.json").write_text(content)
    with pytest.raises(InputError, match=f"Received: {received}"):
        render_readme(readme)


def test_a_readme_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="There is no README"):
        render_readme(tmp_path / "README.md")


def test_every_kind_of_table_can_stand_in_a_readme(readme):
    for kind in TABLE_KINDS:
        readme.write_text(f"<!-- results: results/{kind}.json {kind} -->\n<!-- end results -->", encoding="utf-8")
        assert render_readme(readme).count("|") > 8
