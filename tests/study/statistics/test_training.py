"""What arms took."""

from typing import Any

from made_up_rows import row

from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.training import Effort, efforts

PRETRAINING = {"pretrain-0": (100, 500.0, True), "pretrain-1": (140, 700.0, False)}


def model(arm: str, budget_s: float, seed: int, own: tuple, start: str = "", **changes: Any) -> Any:
    runs = {start: PRETRAINING[start]} if start else {}
    stages: list[dict[str, Any]] = [
        dict(zip(("run", "num_updates", "audio_s", "stopped"), (name, *took), strict=True))
        for name, took in {**runs, f"{arm}-{budget_s}-{seed}": own}.items()
    ]
    return (
        row(arm, budget_s, seed, 0.1 * (seed + 1))
        | {"stages": stages, "num_updates": sum(one["num_updates"] for one in stages)}
        | changes
    )


ROWS = [
    model("alone", 60.0, 0, (30, 90.0, True)),
    model("alone", 60.0, 0, (30, 90.0, True), split="dev"),
    model("alone", 60.0, 1, (50, None, False)),
    model("joint", 60.0, 0, (80, 400.0, True), "pretrain-0"),
    model("joint", 60.0, 1, (40, 100.0, False), "pretrain-1"),
    model("joint", 120.0, 0, (90, 410.0, True), "pretrain-0"),
    model("joint", 120.0, 0, (90, 410.0, True), "pretrain-0", language="en", cer=0.7),
    row("old", 60.0, 0, 0.5),
]
del ROWS[-1]["stages"], ROWS[-1]["audio_s"]


def test_efforts_are_means_over_seeds_with_every_run_counted_once():
    keys = ("num_updates", "shared_updates", "audio_s", "num_runs", "num_not_stopped")
    found = {(arm.name, b): tuple(getattr(one, key) for key in keys) for (arm, b), one in efforts(ROWS).items()}
    assert found == {
        ("old", 60.0): (10.0, None, None, None, None),
        ("alone", 60.0): (40.0, 0.0, None, 2, 1),
        ("joint", 60.0): ((180 + 180) / 2, 100 / 2, (900 + 800) / 2, 4, 2),
        ("joint", 120.0): (190.0, 100.0, 910.0, 2, 0),
    }
    assert {one.protocol for one in efforts(ROWS, "equal_speech").values()} == {"equal_speech"}
    assert efforts(ROWS[-1:])[Arm("old"), 60.0] == Effort(10.0, 1.5), "an earlier version told no more"
