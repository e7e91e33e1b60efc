"""Rows of results and the tables that they make."""

from speech_mtl.datatypes import ErrorCounts
from speech_mtl.scoring.error_rate import Score, score
from speech_mtl.scoring.rows import EvaluationRow, evaluation_row, measured_row
from speech_mtl.study.statistics.rows import Arm, Origin, ResultRow

EVALUATION: list[EvaluationRow] = [
    {
        **evaluation_row("cs", "test", Score(ErrorCounts(6, 2, 1, 1), ErrorCounts(50, 4, 3, 2), 5)),
        "intervals": {"num_speakers": 3, "drawn": "speaker", "wer": [0.3, 0.6123], "cer": [0.1, 0.2]},
    },
    evaluation_row("zh-CN", "dev", score(["", ""], ["a", ""])),
]
EVALUATION_TABLE = """\
| Language | Split | Utterances | Speakers | WER % | S/D/I | CER % | S/D/I |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| cs | test | 5 | 3 | 44.4 (30.0–61.2) | 22.2/11.1/11.1 | 15.8 (10.0–20.0) | 7.0/5.3/3.5 |
| zh-CN | dev | 2 | – | – | – | – | – |

S/D/I: substitutions, deletions and insertions, in percent of the words or characters. In brackets: 95 % intervals \
over test speakers; another seed's training may differ by more."""


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


def origin(num_replications: int, reference: str = "alone") -> Origin:
    """Of a made-up comparison."""
    named = {"recipe": "made up", "about": "Made up.", "num_replications": num_replications, "reference": reference}
    return Origin([], None, {}, "", "", 0.0, **named)
