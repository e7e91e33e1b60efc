import json
from typing import get_type_hints

import pytest

from speech_mtl.datatypes import ErrorCounts
from speech_mtl.errors import InputError
from speech_mtl.scoring.error_rate import Score, score
from speech_mtl.scoring.results import EfficiencyRow, ResultRow, evaluation_row, measured_row
from speech_mtl.scoring.tables import (
    TABLE_KINDS,
    comparison_table,
    efficiency_table,
    evaluation_table,
    render_readme,
    write_results,
)

EVALUATION = [
    evaluation_row("cs", "test", Score(ErrorCounts(6, 2, 1, 1), ErrorCounts(50, 4, 3, 2), 5)),
    evaluation_row("zh-CN", "dev", score(["", ""], ["a", ""])),
]
EVALUATION_TABLE = """\
| Language | Split | Utterances | Words | WER % | S / D / I | CER % | S / D / I |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| cs | test | 5 | 9 | 44.4 | 2 / 1 / 1 | 15.8 | 4 / 3 / 2 |
| zh-CN | dev | 2 | 0 | – | 0 / 0 / 1 | – | 0 / 0 / 1 |"""


def row(arm, budget_s, seed, cer, wer: float | None = 0.5, language="cs", split="test") -> ResultRow:
    return {
        **measured_row(language, split, score(["a b"], ["a b"])),
        "cer": cer,
        "wer": wer,
        "recipe": "recipes/made_up",
        "arm": arm,
        "budget_s": budget_s,
        "seed": seed,
        "num_updates": 10,
        "num_parameters": 1000,
        "wall_time_s": 1.5,
    }


COMPARISON = [
    row("joint", 600.0, 1, 0.55, 1.05),
    row("alone", 7200.0, 1, 0.2),
    row("pretrain_finetune", 600.0, 1, 0.25, 0.6),
    row("alone", 600.0, 1, 0.4, 0.9),
    row("alone", 600.0, 2, 0.6, 1.1),
    row("joint", 600.0, 1, 0.01, language="en"),
    row("alone", 600.0, 1, 0.99, split="dev"),
]
COMPARISON_TABLE = (
    "| Target speech | alone: CER % | WER % | joint: CER % | reduced by % | WER %"
    " | pretrain_finetune: CER % | reduced by % | WER % |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    "| 10 min | 50.0 (40.0–60.0) | 100.0 (90.0–110.0) | 55.0 | −10.0 | 105.0 | 25.0 | 50.0 | 60.0 |\n"
    "| 2 h | 20.0 | 50.0 | – | – | – | – | – | – |"
)


def test_evaluation_table():
    assert evaluation_table(EVALUATION) == EVALUATION_TABLE


def test_rows_are_those_of_the_score():
    made = score(["a b c", "d"], ["a x", "d"])
    assert evaluation_row("cs", "dev", made) == {
        "language": "cs",
        "split": "dev",
        "num_utterances": 2,
        "num_reference_words": 4,
        "num_reference_characters": 6,
        "wer": 0.5,
        "cer": 0.5,
        "word_substitutions": 1,
        "word_deletions": 1,
        "word_insertions": 0,
        "character_substitutions": 1,
        "character_deletions": 2,
        "character_insertions": 0,
    }
    assert set(row("alone", 1, 1, 0.1)) == set(get_type_hints(ResultRow))


@pytest.mark.parametrize("language", [None, "cs"])
def test_comparison_table(language):
    assert comparison_table(COMPARISON, language) == COMPARISON_TABLE


def test_comparison_without_the_arm_alone():
    table = comparison_table([row("joint", 90.0, 1, 0.2), row("new_arm", 90.0, 1, None, None)], "cs")
    assert table.splitlines()[2] == "| 1.5 min | – | – | 20.0 | – | 50.0 | – | – | – |"
    assert "| new_arm: CER % |" in table


def test_reduction_against_no_errors_is_undefined():
    table = comparison_table([row("alone", 90.0, 1, 0.0), row("joint", 90.0, 1, 0.2)])
    assert table.splitlines()[2] == "| 1.5 min | 0.0 | 50.0 | 20.0 | – | 50.0 |"


def test_comparison_that_cannot_be_shown():
    with pytest.raises(InputError, match=r"cannot be told(?s:.*)Received: cs, en"):
        comparison_table([*COMPARISON, row("alone", 600.0, 1, 0.3, language="en")])
    with pytest.raises(InputError, match=r"cannot be told(?s:.*)Received: none"):
        comparison_table([])
    with pytest.raises(InputError, match="no results of de"):
        comparison_table(COMPARISON, "de")
    with pytest.raises(InputError, match=r"budget_s 600\.0, arm joint, seed 1 twice"):
        comparison_table([*COMPARISON, COMPARISON[0]])


EFFICIENCY: list[EfficiencyRow] = [
    {
        "recipe": "recipes/made_up",
        "language": "cs",
        "arm": arm,
        "budget_s": budget_s,
        "hours_alone": {"relation": "=", "hours": 0.5, "factor": 3.0},
        "low": {"relation": low, "hours": 0.25, "factor": 1.5},
        "high": {"relation": high, "hours": 4.0, "factor": 24.0},
    }
    for arm, budget_s, low, high in (("joint", 1200.0, "=", ">"), ("joint", 600.0, "<", "="))
]


def test_efficiency_says_in_words_what_lies_beyond_the_measured():
    assert efficiency_table(EFFICIENCY).splitlines()[2:] == [
        "| 10 min | joint | 30 min | less than 15 min to 4 h | 3.00 | less than 1.50 to 24.00 |",
        "| 20 min | joint | 30 min | 15 min to more than 4 h | 3.00 | 1.50 to more than 24.00 |",
    ]


def test_write_results(tmp_path):
    folder = tmp_path / "new" / "results"
    for _ in range(2):
        write_results(folder, "evaluation", EVALUATION, evaluation_table(EVALUATION))
        assert sorted(path.name for path in folder.iterdir()) == ["evaluation.json", "evaluation.md"]
        assert json.loads((folder / "evaluation.json").read_text(encoding="utf-8")) == EVALUATION
        assert (folder / "evaluation.md").read_text(encoding="utf-8") == EVALUATION_TABLE + "\n"


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
        assert render_readme(readme).count("\n") > 4
