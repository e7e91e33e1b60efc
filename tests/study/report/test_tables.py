"""Records and rows -> tables, as READMEs and the terminal show them."""

from dataclasses import replace
from typing import get_type_hints

import pytest
from made_up_rows import EVALUATION, EVALUATION_TABLE, row
from made_up_summaries import FULL, arm_summary, equivalent

from speech_mtl.scoring.error_rate import score
from speech_mtl.scoring.rows import Drawn, EvaluationRow, evaluation_row
from speech_mtl.scoring.tables import evaluation_table
from speech_mtl.study.report.blocks import Table
from speech_mtl.study.report.language_tables import forgetting_table, generations_table
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.tables import (
    arms_table,
    comparison_table,
    hours_table,
)
from speech_mtl.study.report.targets_table import Comparison, targets_table
from speech_mtl.study.statistics.forgetting import Generation
from speech_mtl.study.statistics.rows import Arm, ResultRow
from speech_mtl.study.statistics.summary import Estimate, Forgotten
from speech_mtl.study.statistics.training import ArmSize, Effort


def lines(table: Table) -> list[str]:
    """The lines of its Markdown, without the note."""
    return render_block(table, {}).split("\n\n")[0].splitlines()


def test_evaluation_table():
    assert evaluation_table(EVALUATION) == EVALUATION_TABLE


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (["utterance"], "over test utterances, for these speakers only;"),
        (["utterance", "speaker"], "over test speakers; over utterances, for these speakers only, where fewer than"),
    ],
)
def test_an_evaluation_says_over_what_its_intervals_are(drawn: list[Drawn], expected: str):
    rows: list[EvaluationRow] = [
        {**EVALUATION[0], "intervals": {"num_speakers": 2, "drawn": unit, "wer": None, "cer": [0.0, 0.1]}}
        for unit in drawn
    ]
    assert expected in evaluation_table(rows)
    assert "brackets" not in evaluation_table(EVALUATION[1:])


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
    assert set(row("alone", 1, 1, 0.1)) == set(get_type_hints(ResultRow)) - {"untranscribed_s", "decoder", "normalizer"}


def test_comparison_has_a_line_for_each_amount_and_alone_first():
    arms = [
        arm_summary("joint", 600.0, 0.55, 0.5, seeds=(1,)),
        arm_summary("alone", 7200.0, 0.2, None),
        arm_summary("alone", 600.0, 0.5, None),
    ]
    assert lines(comparison_table(arms)) == [
        "| Target speech | alone: CER % | joint: CER % | reduced by % |",
        "| --- | ---: | ---: | ---: |",
        "| 10 min | 50.0 (45.0–55.0) | 55.0 (49.5–60.5) | −10.0 (−20.0 to −0.0) |".replace("−0.0", "0.0"),
        "| 2 h | 20.0 (18.0–22.0) | – | – |",
    ]
    assert "mean over seeds (1 to 3 of them)" in comparison_table(arms).note
    assert comparison_table(arms[:1]).heads == ["Target speech", "joint: CER %", "reduced by %"]


def test_hours_beyond_the_measured_are_bounds():
    found = [
        equivalent("joint", 1200.0, 30.0, 15.0, 240.0, relations="==>"),
        equivalent("joint", 600.0, 30.0, 15.0, 240.0, relations="=<="),
    ]
    assert lines(hours_table(found))[2:] == [
        "| 10 min | joint | not significant | 30 min (< 15 min to 4.0 h) | 3.0 (< 1.5 to 24) |",
        "| 20 min | joint | not significant | 30 min (15 min to > 4 h) | 1.5 (0.75 to > 12) |",
    ]


def test_columns_without_any_value_are_left_out():
    arms = [arm_summary("adapters", 600.0, 0.2, 0.25), arm_summary("alone", 600.0, 0.25, None)]
    arms = [replace(one, size=None, effort=Effort(3000.0, 660.0)) for one in arms]
    head, _, first, second = lines(arms_table(arms))
    assert head == (
        "| Target speech | Arm | Seeds | CER % | WER % | CER reduced by % | p, bootstrap | p, MAPSSWE | Updates "
        "| Training |"
    )
    reduced = "**20.0** (18.0–22.0) | 50.0 (45.0–55.0) | 20.0 (10.0 to 30.0) | < 0.001 | 0.19"
    assert first == f"| 10 min | adapters | 0, 1, 2 | {reduced} | 3,000 | 11 min |"
    assert (
        second
        == "| 10 min | alone | 0, 1, 2 | 25.0 (22.5–27.5) | 62.5 (56.2–68.8) | reference | – | – | 3,000 | 11 min |"
    )
    assert "Protocol" not in arms_table(arms).note
    assert "Parameters" not in arms_table(arms).note


def test_arms_with_parameters_and_effort():
    size = ArmSize(Arm("adapters"), 12_345, 1_116_304, 12_345)
    efforts = [
        Effort(3000.0, 660.0, 1200.0, 9000.0, 6, 2),
        Effort(3000.0, 660.0, 0.0, None, 6, 2, "equal_updates"),
        Effort(3000.0, 660.0),
    ]
    made = arm_summary("adapters", 600.0, 0.2, 0.25)
    table = arms_table([replace(made, size=size, effort=effort) for effort in efforts])
    assert (
        table.note.count("Protocol equal_updates: each arm has as many updates as alone, all its stages together.") == 1
    )
    head, _, *found = lines(table)
    ends = (
        " | Updates | Audio | Runs not stopped early | Training | Parameters trained | Parameters | The target's own |"
    )
    assert head.endswith(ends)
    assert [line.split(" | ", 8)[8] for line in found] == [
        "3,000 (1,200 shared) | 2.5 h | 2 of 6 | 11 min | 12,345 | 1,116,304 | 12,345 |",
        "3,000 | – | 2 of 6 | 11 min | 12,345 | 1,116,304 | 12,345 |",
        "3,000 | – | – | 11 min | 12,345 | 1,116,304 | 12,345 |",
    ]


def test_forgetting_table():
    lost = Forgotten("de", Arm("adapters"), 600.0, [0, 1, 2], 0.32, 0.4, Estimate(0.25, 0.1, 0.5), False)
    kept = replace(lost, arm=Arm("heads"), after=0.32, growth=Estimate(0.0, 0.0, 0.0), same=True)
    assert lines(forgetting_table([lost, kept]))[2:] == [
        "| 10 min | de | adapters | 0, 1, 2 | 32.0 | 40.0 | 25.0 (10.0 to 50.0) |",
        "| 10 min | de | heads | 0, 1, 2 | 32.0 | 32.0 | none: all the same |",
    ]


def test_generations_have_a_line_a_run_and_a_column_a_language():
    def cell(number: int, language: str, cer: float, growth: float | None = None, same: bool = False) -> Generation:
        grown = None if growth is None else Estimate(growth, growth - 0.1, growth + 0.1)
        learnt = ["cs"] if number == 2 else ["de", "en"]
        return Generation(number, f"runs/{number}", learnt, language, "test", cer, grown, same)

    rows = [cell(1, "de", 0.3), cell(1, "en", 0.2), cell(2, "de", 0.45, 0.5), cell(2, "en", 0.2, 0.0, True)]
    assert lines(generations_table([*rows, cell(2, "cs", 0.1)])) == [
        "| Run | Learnt | de: CER % | en: CER % | cs: CER % |",
        "| --- | --- | ---: | ---: | ---: |",
        "| runs/1 | de, en | 30.0 | 20.0 | – |",
        "| runs/2 | cs | 45.0 (+50.0 %, 40.0 to 60.0) | 20.0 (nothing forgotten) | 10.0 |",
    ]


def test_the_report_shows_the_tables_of_readmes():
    from speech_mtl.study.report.content import make_report
    from speech_mtl.study.report.plots import make_plots

    report = make_report(FULL, make_plots(FULL))
    shown = [block for section in report.sections for block in section.blocks if isinstance(block, Table)]
    for table in (arms_table(FULL.arms), hours_table(FULL.equivalent_hours), forgetting_table(FULL.forgotten)):
        assert table in shown


def test_targets_have_a_line_for_each_amount_comparison_and_arm_but_alone():
    czech = Comparison("cs", [arm_summary("alone", 600.0, 0.5, None), arm_summary("joint", 600.0, 0.4, 0.5)], [])
    hours = [equivalent("joint", 600.0, 30, 20, 40, relations="=" * 3)]
    amharic = Comparison("am", [arm_summary("joint", 600.0, 0.3, None), arm_summary("joint", 60.0, 0.6, None)], hours)
    heads, _, *rows = lines(targets_table([czech, amharic]))
    assert heads == "| Comparison | Target speech | Arm | CER %, alone | CER % | reduced by % | F |"
    assert rows == [
        "| am | 1 min | joint | – | 60.0 (54.0–66.0) | – | – |",
        "| cs | 10 min | joint | 50.0 (45.0–55.0) | 40.0 (36.0–44.0) | **20.0** (10.0 to 30.0) | – |",
        "| am | 10 min | joint | – | 30.0 (27.0–33.0) | – | 3.0 (2.0–4.0) |",
    ]
