import json
from typing import Any, get_type_hints

import pytest
from made_up_rows import COMPARISON, COMPARISON_TABLE, EFFICIENCY, EVALUATION, EVALUATION_TABLE, row

from speech_mtl.errors import InputError
from speech_mtl.scoring.error_rate import score
from speech_mtl.scoring.rows import evaluation_row
from speech_mtl.scoring.tables import evaluation_table, write_results
from speech_mtl.study.report.tables import (
    arm_table,
    comparison_table,
    efficiency_table,
    forgetting_table,
    generation_table,
)
from speech_mtl.study.statistics.rows import Arm, ResultRow


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


def test_arm_table():
    def row(**changes: Any) -> Any:
        return {
            "recipe": "x",
            "language": "cs",
            "arm": Arm("adapters"),
            "budget_s": 600.0,
            "num_seeds": 3,
            **{"cer": 0.2, "cer_low": 0.15, "cer_high": 0.25},
            **{"reduction": 0.1, "reduction_low": -0.05, "reduction_high": 0.25},
            **{"num_trained": 12_345, "num_parameters": 1_116_304, "num_own": 12_345, "wall_time_s": 660.0},
            **changes,
        }

    unknown = ("reduction", "reduction_low", "reduction_high", "num_trained", "num_parameters", "num_own")
    lines = arm_table([row(), row(arm=Arm("alone"), **dict.fromkeys(unknown))]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == (
        "| 10 min | adapters | 3 | 20.0 (15.0–25.0) | 10.0 (−5.0 to 25.0) | 12,345 | 1,116,304 | 12,345 | 11 min |"
    )
    assert lines[3] == "| 10 min | alone | 3 | 20.0 (15.0–25.0) | – | – | – | – | 11 min |"

    known = {"num_updates": 3000.0, "shared_updates": 1200.0, "audio_s": 9000.0, "num_runs": 6, "num_not_stopped": 2}
    own = known | {"shared_updates": 0.0, "audio_s": None, "protocol": "equal_updates"}
    table, caption = arm_table([row(**known), row(**own), row()]).split("\n\n")
    assert caption == "Protocol equal_updates: each arm has as many updates as alone, all its stages together."
    head, _, *lines = table.splitlines()
    assert head.endswith("| Training | Updates | Audio | Runs not stopped early |")
    assert [line.split(" | ", 9)[9] for line in lines] == [
        "3,000 (1,200 shared) | 2.5 h | 2 of 6 |",
        "3,000 | – | 2 of 6 |",
        "– | – | – |",
    ]


FORGETTING = {
    "recipe": "x",
    "language": "de",
    "arm": Arm("pretrain_finetune"),
    "budget_s": 600.0,
    "num_seeds": 3,
    "cer_before": 0.32,
    "cer_after": 0.4,
    "growth": 0.25,
    "growth_low": 0.1,
    "growth_high": 0.5,
    "same": False,
}


def test_forgetting_table():
    rows: Any = [FORGETTING, {**FORGETTING, "arm": Arm("adapters"), "cer_after": 0.32, "growth": 0.0, "same": True}]
    lines = forgetting_table(rows).splitlines()[2:]
    assert lines[0] == "| 10 min | de | pretrain_finetune | 3 | 32.0 | 40.0 | 25.0, 10.0 to 50.0 |"
    assert lines[1] == "| 10 min | de | adapters | 3 | 32.0 | 32.0 | nothing forgotten |"


def test_generation_table_has_a_line_a_run_and_a_column_a_language():
    def cell(generation: int, language: str, cer: float, growth: float | None = None, same: bool = False) -> Any:
        ends = None if growth is None else (growth - 0.1, growth + 0.1)
        return {
            "generation": generation,
            "run": f"runs/{generation}",
            "learnt": ["cs"] if generation == 2 else ["de", "en"],
            "language": language,
            "split": "test",
            "cer": cer,
            "growth": growth,
            "growth_low": ends and ends[0],
            "growth_high": ends and ends[1],
            "same": same,
        }

    rows = [cell(1, "de", 0.3), cell(1, "en", 0.2), cell(2, "de", 0.45, 0.5), cell(2, "en", 0.2, 0.0, True)]
    assert generation_table([*rows, cell(2, "cs", 0.1)]).splitlines() == [
        "| Run | Learnt | de: CER % | en: CER % | cs: CER % |",
        "| --- | --- | ---: | ---: | ---: |",
        "| runs/1 | de, en | 30.0 | 20.0 | – |",
        "| runs/2 | cs | 45.0 (50.0, 40.0 to 60.0) | 20.0 (nothing forgotten) | 10.0 |",
    ]
