"""Rows of results and the tables that they make."""

from typing import Any

from speech_mtl.datatypes import ErrorCounts
from speech_mtl.scoring.error_rate import Score, score
from speech_mtl.scoring.rows import evaluation_row, measured_row
from speech_mtl.study.statistics.rows import Arm, ResultRow

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
        "arm": Arm(arm),
        "budget_s": budget_s,
        "seed": seed,
        "num_updates": 10,
        "num_parameters": 1000,
        "wall_time_s": 1.5,
        "audio_s": 30.0,
        "stages": [{"run": f"{arm}-{budget_s}-{seed}", "num_updates": 10, "audio_s": 30.0, "stopped": True}],
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

EFFICIENCY: list[Any] = [
    {
        "recipe": "recipes/made_up",
        "language": "cs",
        "arm": Arm(arm),
        "budget_s": budget_s,
        "hours_alone": {"relation": "=", "hours": 0.5, "factor": 3.0},
        "low": {"relation": low, "hours": 0.25, "factor": 1.5},
        "high": {"relation": high, "hours": 4.0, "factor": 24.0},
    }
    for arm, budget_s, low, high in (("joint", 1200.0, "=", ">"), ("joint", 600.0, "<", "="))
]
