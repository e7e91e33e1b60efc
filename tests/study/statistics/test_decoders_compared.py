"""Results of several decoders: each is summarized by itself, decoders are compared by the same models."""

import json
from dataclasses import replace
from statistics import fmean
from typing import Any

import jiwer
import pytest
from made_up_rows import origin

from speech_mtl.scoring.error_rate import score
from speech_mtl.scoring.rows import measured_row
from speech_mtl.study.report.content import short_text
from speech_mtl.study.report.markdown import render_block
from speech_mtl.study.report.tables import arms_table, comparison_table, hours_table
from speech_mtl.study.results import Results, json_files, load, save, write_report
from speech_mtl.study.statistics.analysis import summarize
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Summary

REFERENCES = [f"ab cd e{chr(97 + i % 26)}" for i in range(60)]
WRONG = {
    "greedy": {("alone", 600.0): 30, ("alone", 1200.0): 15, ("joint", 600.0): 20, ("joint", 1200.0): 12},
    "beam": {("alone", 600.0): 20, ("alone", 1200.0): 10, ("joint", 600.0): 18, ("joint", 1200.0): 10},
}


def results(*decoders: str, name: bool = True) -> Results:
    """With those decoders; `name`: whether models and rows name them."""
    test_set = TestSet("cs", True, [str(i) for i in range(60)], [None] * 60, list(REFERENCES))
    rows: list[Any] = []
    for decoder in decoders:
        for (arm, budget_s), wrong in WRONG[decoder].items():
            for seed in (0, 1):
                texts = ["xy" + text[2:] if i < wrong + seed else text for i, text in enumerate(REFERENCES)]
                test_set.add(Model(Arm(arm), budget_s, seed, decoder=decoder if name else ""), test_set.ids, texts)
                measured = measured_row("cs", "test", score(REFERENCES, texts))
                row = {"recipe": "r", "arm": Arm(arm), "budget_s": budget_s, "seed": seed} | measured
                row |= {"num_updates": 5, "num_parameters": 9, "wall_time_s": 2.0}
                rows.append(row | ({"decoder": decoder} if name else {}))
    return Results(origin(300), rows, [test_set])


def unnamed(summary: Summary) -> dict[str, Any]:
    """The numbers of a summary, without the names of decoders."""
    lists = ("arms", "equivalent_hours", "worse", "not_learnt")
    return {name: [replace(one, decoder="") for one in getattr(summary, name)] for name in lists}


@pytest.fixture(scope="module")
def both() -> Summary:
    return results("greedy", "beam").summary


@pytest.mark.parametrize("decoder", WRONG)
def test_each_decoder_has_the_numbers_that_it_has_by_itself(both: Summary, decoder: str):
    alone = results(decoder, name=False).summary
    (one,) = (own for own in both.by_decoder if own.decoder == decoder)
    assert unnamed(one) == unnamed(alone)
    assert alone.equivalent_hours
    assert {arm.decoder for arm in one.arms} == {decoder}
    assert (alone.decoder, alone.others, alone.gains) == ("", [], [])


def test_what_is_only_shown_of_the_first_decoder_is_not_made_of_the_others(both: Summary):
    (other,) = both.others
    assert all([both.examples, both.languages])
    assert not any([other.examples, other.languages])


def test_gains_are_those_of_the_same_models(both: Summary):
    found = {(one.arm.name, one.budget_s): one for one in both.gains}
    assert found.keys() == WRONG["greedy"].keys()
    test_set = results("greedy", "beam").test_sets[0]
    for (arm, budget_s), one in found.items():
        rates = {
            decoder: fmean(
                jiwer.cer(REFERENCES, test_set.hypotheses[Model(Arm(arm), budget_s, seed, decoder=decoder)])
                for seed in (0, 1)
            )
            for decoder in WRONG
        }
        assert (one.decoder, one.reference, one.seeds) == ("beam", "greedy", [0, 1])
        assert (one.before, one.after) == (pytest.approx(rates["greedy"]), pytest.approx(rates["beam"]))
        assert one.reduction.value == pytest.approx(1 - rates["beam"] / rates["greedy"])
        assert one.reduction.low <= one.reduction.value <= one.reduction.high
    assert found["alone", 600.0].reduction.significant


def test_tables_name_the_decoder_where_there_are_several(both: Summary):
    plain = results("greedy", name=False).summary
    for table, records, own in (
        (arms_table, both.all_arms, plain.arms),
        (comparison_table, both.all_arms, plain.arms),
        (hours_table, both.all_equivalent_hours, plain.equivalent_hours),
    ):
        shown, usual = table(records), table(own)  # pyright: ignore[reportArgumentType]
        assert [head for head in shown.heads if head not in usual.heads] == ["Decoder"]
        column = shown.heads.index("Decoder")
        lines = [
            [cell for i, cell in enumerate(row) if i != column] for row in shown.rows if row[column].text == "greedy"
        ]
        assert lines == usual.rows, "the lines of a decoder are as they are without another"
        assert {row[column].text for row in shown.rows} == set(WRONG)


def test_the_report_shows_both_and_is_the_same_when_read_again(both: Summary, tmp_path):
    made = results("greedy", "beam")
    save(made, tmp_path)
    found = load(tmp_path)
    assert json_files(found.summary) == json_files(both)
    assert {row["decoder"] for row in json.loads(json_files(both)["efficiency.json"])} == set(WRONG)
    assert "decoder" not in json_files(results("greedy", name=False).summary)["arms.json"]
    paths = {path.name for path in write_report(found, tmp_path)}
    assert {"decoders.json", "report-data-efficiency.svg", "report-data-efficiency-beam.svg"} <= paths
    assert {"report-equivalent-hours.svg", "report-equivalent-hours-beam.svg"} <= paths
    text = (tmp_path / "report.md").read_text()
    answers = [line for line in text.splitlines() if line.startswith("**Decoder greedy: With auxiliary languages")]
    assert len(answers) == 1
    assert "Decoder beam: With auxiliary languages" in answers[0]
    assert "## What the decoders change" in text
    assert render_block(hours_table(both.all_equivalent_hours), {}) in text
    assert render_block(comparison_table(both.all_arms), {}) in short_text(found.summary)


def test_a_row_that_comes_twice_is_of_one_decoder(tmp_path):
    made = results("greedy", "beam")
    save(replace(made, rows=[*made.rows, made.rows[-1]]), tmp_path)
    with pytest.raises(Exception, match="a row comes twice"):
        load(tmp_path)


def test_summaries_of_one_decoder_do_not_depend_on_its_name():
    named, plain = results("beam").summary, results("beam", name=False).summary
    assert unnamed(named) == unnamed(plain)
    assert summarize(origin(300), results("beam").rows, results("beam").test_sets).decoder == "beam"
