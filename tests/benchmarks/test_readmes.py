"""READMEs with tables: made afresh from their JSON, and refused with the line where something is wrong."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from made_up_summaries import FULL

from benchmarks.readmes import TABLE_KINDS, main, render_readme
from speech_mtl.errors import InputError
from speech_mtl.files import json_text, write_text
from speech_mtl.scoring.tables import CER
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.tables import comparison_table, hours_table
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Estimate, TaskError

README = """\
# A recipe

<!-- results: results/efficiency.json efficiency -->
| an old table |
<!-- end results -->
Between. `<!-- results: a.json KIND -->` in a line of text is text.

<!-- results: results/comparison.json comparison -->
<!-- end results -->
"""


TASK = TaskError("cs", CER, Arm("joint", "a"), 60.0, [0], Estimate(0.2, 0.1, 0.3), [0.2], None)
TABLE = render_block(hours_table(FULL.equivalent_hours), {})
RECORDS = {
    "comparison": FULL.arms,
    "arms": FULL.arms,
    "efficiency": FULL.equivalent_hours,
    "tasks": [TASK],
    "forgetting": FULL.forgotten,
    "targets": FULL.arms,
}


def write(folder: Path, kind: str, records: object) -> None:
    write_text(folder / "results" / f"{kind}.json", json_text(records))


@pytest.fixture
def readme(tmp_path):
    for kind in TABLE_KINDS:
        write(tmp_path, kind, RECORDS[kind])
    path = tmp_path / "README.md"
    path.write_text(README, encoding="utf-8")
    return path


def test_render_readme(readme):
    rendered = render_readme(readme)
    assert readme.read_text(encoding="utf-8") == README, "nothing is written"
    expected = README.replace("| an old table |", f"\n{TABLE}\n")
    table = render_block(comparison_table(FULL.arms), {})
    expected = expected.replace("comparison -->\n", f"comparison -->\n\n{table}\n\n")
    assert rendered == expected
    readme.write_text(rendered, encoding="utf-8")
    assert render_readme(readme) == rendered

    write(readme.parent, "efficiency", FULL.equivalent_hours[:1])
    assert render_readme(readme) != rendered


def test_a_readme_without_tables_stays_as_it_is(readme):
    text = "# No table\n\ntext\u2028more, no newline at the end"
    readme.write_text(text, encoding="utf-8")
    assert render_readme(readme) == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("efficiency -->", "efficiencys -->", r"README.md:3: malformed results comment"),
        ("efficiency -->", "efficiency cs -->", r"README.md:3: malformed results comment"),
        ("results/efficiency.json efficiency", "", r"README.md:3: malformed results comment"),
        ("results/efficiency.json", "efficiency.json", r"README.md:3: the table cannot be made: There is no file"),
        ("results/efficiency.json", "results/comparison.json", r"README.md:3: .*'0\.hours' is missing"),
        ("comparison -->", "comparison de -->", r"README.md:8: malformed results comment"),
        ("| an old table |\n<!-- end results -->", "", r"README.md:3: this table has no end"),
        ("comparison -->\n<!-- end results -->", "comparison -->", r"README.md:8: this table has no end"),
        ("<!-- results: results/efficiency.json efficiency -->\n", "", r"README.md:4: no table begins before its end"),
        ("efficiency -->", "efficiency --", r"README.md:3: malformed results comment"),
        ("<!-- results: results/ef", "<!--results: results/ef", r"README.md:3: malformed results comment"),
        ("<!-- results: results/ef", "<!-- RESULT results/ef", r"README.md:3: malformed results comment"),
        ("<!-- end results -->\nB", "<!-- end result -->\nB", r"README.md:5: malformed results comment"),
        ("results/efficiency.json", "../efficiency.json", r"README.md:3: the rows lie elsewhere"),
        ("results/efficiency.json", "/etc/passwd", r"README.md:3: the rows lie elsewhere"),
        ("results/efficiency.json", "a\0.json", r"README.md:3: malformed results comment"),
        ("results/efficiency.json", "results", r"README.md:3: the table cannot be made: There is no file"),
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
    (readme.parent / "results" / "efficiency.json").write_text(content)
    with pytest.raises(InputError, match=f"Received: {received}"):
        render_readme(readme)


def test_a_readme_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        render_readme(tmp_path / "README.md")


def test_a_table_of_several_comparisons(readme):
    for target, arms in (("cs", FULL.arms[:2]), ("am", FULL.arms)):
        write_text(readme.parent / target / "arms.json", json_text(arms))
        write_text(readme.parent / target / "efficiency.json", json_text(FULL.equivalent_hours))
    readme.write_text("<!-- results: */arms.json targets -->\n<!-- end results -->", encoding="utf-8")
    rendered = render_readme(readme)
    assert rendered.index("| am |") < rendered.index("| cs |")
    (readme.parent / "am" / "efficiency.json").unlink()
    with pytest.raises(
        InputError, match=r"README.md:1: the table cannot be made: There is no file .*am/efficiency.json"
    ):
        render_readme(readme)
    readme.write_text("<!-- results: x/*.json targets -->\n<!-- end results -->", encoding="utf-8")
    with pytest.raises(InputError, match=r"README\.md:1: the table cannot be made: There is no file"):
        render_readme(readme)


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


@pytest.mark.parametrize(
    ("field", "value"),
    [("cer", {"value": float("nan"), "low": 0, "high": 1}), ("arm", {}), ("arm", "a|b"), ("seeds", [-1]), ("cer", 0.1)],
)
def test_records_with_values_of_another_kind(readme, field, value):
    (record,) = json.loads(json_text(FULL.arms[:1]))
    write(readme.parent, "arms", [record | {field: value}])
    readme.write_text("<!-- results: results/arms.json arms -->\n<!-- end results -->", encoding="utf-8")
    with pytest.raises(InputError, match=rf"README\.md:1: .*the field '0\.{field}"):
        render_readme(readme)


def test_records_come_back_from_their_files(readme):
    for kind, records in RECORDS.items():
        found = TABLE_KINDS[kind].read(readme.parent, f"results/{kind}.json", "README.md:1")
        assert (found[0].arms if kind == "targets" else found) == records


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["readmes", *map(str, arguments)])
    main()


def test_tables_are_written_and_checked(readme: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    with pytest.raises(InputError, match="shows a table that differs from its JSON") as refused:
        run(monkeypatch, "--check", readme)
    assert readme.read_text() == README
    run(monkeypatch, *shlex.split(refused.value.action)[3:])
    assert capsys.readouterr().out == f"{readme} written\n"
    run(monkeypatch, "--check", readme)
    run(monkeypatch, readme)
    assert capsys.readouterr().out == ""
    assert TABLE in readme.read_text()
    readme.write_text(readme.read_text().replace(TABLE, TABLE.replace("0", "9", 1)))
    with pytest.raises(InputError, match=re.escape(str(readme))):
        run(monkeypatch, "--check", readme)


def test_without_readmes_those_of_the_project_are_taken(
    readme: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    there = readme.parent / "recipes" / "x"
    shutil.copytree(readme.parent / "results", there / "results")
    shutil.copy(readme, there)
    monkeypatch.chdir(readme.parent)
    run(monkeypatch)
    assert capsys.readouterr().out == "README.md written\nrecipes/x/README.md written\n"
    (there / "results" / "efficiency.json").write_text("[]")
    with pytest.raises(InputError, match=r"^recipes/x/README\.md "):
        run(monkeypatch, "--check")
