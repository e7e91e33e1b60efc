"""What `speech-mtl predict` prints, and what it refuses."""

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from speech_mtl.cli import main
from speech_mtl.errors import InputError
from speech_mtl.run.provenance import provenance
from speech_mtl.scoring.error_rate import score
from speech_mtl.scoring.rows import measured_row
from speech_mtl.study import results as report
from speech_mtl.study.predict import prediction_text
from speech_mtl.study.results import Results
from speech_mtl.study.statistics.hypotheses import Model, TestSet
from speech_mtl.study.statistics.rows import Arm, Origin

WRONG = {"alone": (160, 80, 40), "joint": (80, 60, 50), "heads": (40, 80, 120), "rehearsal": (100, 50)}
"""Letters of 400 that are wrong with 10, 20, 40 minutes and so on."""


def distorted(text: str, place: int, wrong: int) -> str:
    num = wrong // 80 + (place < wrong % 80)
    return "x" * num + text[num:]


def results(wrong: dict[str, tuple[int, ...]] = WRONG, language: str = "cs", seeds: tuple[int, ...] = (0,)) -> Results:
    references = [f"abcd{i % 7}" for i in range(80)]
    test_set = TestSet(language, True, [str(i) for i in range(80)], [f"s{i % 16}" for i in range(80)], references)
    rows: list[Any] = []
    for model, number in (
        (Model(Arm(arm), 600.0 * 2**place, seed), number)
        for arm, numbers in wrong.items()
        for place, number in enumerate(numbers)
        for seed in seeds
    ):
        texts = [distorted(text, i, number) for i, text in enumerate(references)]
        test_set.add(model, test_set.ids, texts)
        rows.append(
            {
                **{"recipe": "r", "arm": model.arm, "budget_s": model.budget_s, "seed": model.seed},
                **measured_row(language, "test", score(references, texts)),
                **{"num_updates": 5, "num_parameters": 9, "wall_time_s": 2.0},
            }
        )
    how = asdict(provenance(6.0, {}))
    origin = Origin(**how, recipe="r", about="Sixteen speakers read.", num_replications=300)
    return Results(origin, rows, [test_set])


def ask(*errors: float, minutes: tuple[float, ...] = (), arms: tuple[str, ...] = (), of: Results | None = None) -> str:
    return prediction_text(of or results(), errors, minutes, arms, None)


def test_the_speech_that_an_error_needs():
    text = ask(20, 8)
    table = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert set(table) == {"Arm", "---", "alone", "joint"}
    assert table["Arm"][1:4] == ["Measured with", "Speech for 20 %", "More than measured"]
    assert table["alone"][1] == "10 min to 40 min"
    assert 17 < float(table["alone"][2].split(" min")[0]) < 24  # with 20 minutes, 80 of 400 are wrong
    assert table["alone"][4].endswith("to > 2.667 h)")
    assert table["joint"][4].startswith("more than 2.667 hours")
    assert "For 20 %, joint needs" in text
    assert "the least of 2 arms" in text


def test_what_was_refused_is_said_with_the_reason_and_what_figures_rest_on():
    text = ask(20)
    assert "- heads: nothing is predicted, since its error rises, from 10.0 % with 10 min of speech to 30.0 %" in text
    assert "- rehearsal: nothing is predicted, since it has learnt with only 10 min and 20 min of speech" in text
    assert "Sixteen speakers read." in text
    assert "draws 16 speakers of the test set with replacement, 300 times" in text


def test_the_errors_that_amounts_give():
    assert "CER % with 80 min | CER % with 2.667 h |" in ask()
    assert "CER % with 30 min |" in ask(minutes=(30,))
    row = next(line for line in ask(minutes=(30,), arms=("alone",)).splitlines() if line.startswith("| alone"))
    assert 11 < float(row.split(" | ")[2].split(" ")[0]) < 17


def test_an_error_below_the_floor():
    text = ask(1, of=results({"alone": (320, 120, 80, 72, 70, 70, 70)}, seeds=(0, 1, 2)))
    assert "| below the floor | – |" in text
    assert re.search(r"- 1 % is below the floor of alone, 15\.\d % \(12\.\d–1\d\.\d\)", text)
    assert "For 1 %, alone needs more than 42.67 hours of speech, beyond which nothing is predicted." in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"errors": (0,)}, "--error 0 cannot be predicted"),
        ({"errors": (20, -5)}, "--error -5 cannot be predicted"),
        ({"errors": (100,)}, "--error 100 cannot be predicted"),
        ({"errors": (float("nan"),)}, "--error nan cannot be predicted"),
        ({"minutes": (0,)}, "--minutes 0 cannot be predicted"),
        ({"minutes": (float("inf"),)}, "--minutes inf cannot be predicted"),
        ({"minutes": (161,)}, "2.683 h of speech is too far from what was measured"),
        ({"minutes": (2.4,)}, "2.4 min of speech is too far from what was measured"),
        ({"arms": ("alone", "jiont")}, "There are no results of the arm jiont"),
        ({"arms": ("heads", "rehearsal")}, "There is no curve that could be prolonged: cs in recipe r"),
        ({"language": "de"}, "The results are not of the target de"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], said: str):
    whole = {"errors": (), "minutes": (), "arms": (), "language": None} | asked
    with pytest.raises(InputError) as refused:
        prediction_text(results(), **whole)
    assert refused.value.problem.startswith(said)


def test_of_several_targets_one_is_named():
    both = replace(results(), test_sets=[results().test_sets[0], results(language="de").test_sets[0]])
    assert "target de" in prediction_text(both, (20,), (), (), "de")
    with pytest.raises(InputError, match="--language with one of cs, de"):
        ask(20, of=both)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["speech-mtl", "predict", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_the_command(command: Callable[..., tuple[int, str, str]], tmp_path: Path):
    report.save(results(), tmp_path / "made", rows="comparison.json")
    code, out, err = command(tmp_path / "made", "--error", 20, "--error", "10", "--arm", "alone", "-l", "cs")
    assert (code, err) == (0, "")
    assert out.rstrip() == prediction_text(results(), (20, 10), (), ("alone",), "cs")
    for arguments in (("--error", "0"), ("--error", "twenty"), ("--arm", "x")):
        code, out, err = command(tmp_path / "made", *arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
    code, out, err = command(tmp_path / "none", "--error", 20)
    assert (code, out) == (2, "")
    assert "There are no results in" in err
