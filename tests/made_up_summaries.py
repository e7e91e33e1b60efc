"""Summaries to report on: one with everything in it, one with next to nothing, and one that is too much."""

from dataclasses import replace

from speech_mtl.study.statistics.examples import Example
from speech_mtl.study.statistics.rows import Arm, Origin
from speech_mtl.study.statistics.summary import (
    ArmSummary,
    EquivalentHours,
    Estimate,
    Forgotten,
    Hours,
    LanguageError,
    NotLearnt,
    Prediction,
    Summary,
    Tried,
)
from speech_mtl.study.statistics.training import ArmSize, Effort, Training

HOSTILE = "<script>alert(1)</script>"
ARMS = ("alone", "joint", "pretrain_finetune")
ALONE = {600.0: 0.25, 1200.0: 0.15, 2400.0: 0.08}
OF_ALONE = {"alone": (1.0, 1.0, 1.0), "joint": (0.8, 0.9, 1.3), "pretrain_finetune": (0.62, 0.66, 0.7)}


SIZES = {
    "alone": ArmSize(Arm("alone"), 1_116_304, 1_116_304, 4000),
    "pretrain_finetune": ArmSize(Arm("pretrain_finetune"), 1_157_000, 2_273_162, 4100),
}


def tried(target: str, auxiliary: str, *reduction: float) -> Tried:
    return Tried(target, Arm("joint", auxiliary=auxiliary), 600.0, Estimate(*reduction))


def around(value: float, width: float = 0.1) -> Estimate:
    return Estimate(value, value - width * abs(value), value + width * abs(value))


def arm_summary(arm: str, budget_s: float, cer: float, alone: float | None, seeds: tuple = (0, 1, 2)) -> ArmSummary:
    gain = None if arm == "alone" or alone is None else 1 - cer / alone
    return ArmSummary(
        language="zh-CN",
        arm=Arm(arm),
        budget_s=budget_s,
        seeds=list(seeds),
        cer=around(cer),
        wer=around(2.5 * cer),
        cer_by_seed=[cer * (1 + 0.05 * (place - (len(seeds) - 1) / 2)) for place in range(len(seeds))],
        reduction=None if gain is None else Estimate(gain, gain - 0.1, gain + 0.1),
        p_value=None if gain is None else 0.0,
        mapsswe_z=[] if gain is None else [2.6, 1.3, 3.5][: len(seeds)],
        effort=Effort(3400.0, 1526.1),
        size=SIZES.get(arm),
    )


def equivalent(arm: str, budget_s: float, *minutes: float, relations: str = "===") -> EquivalentHours:
    """Minutes alone, their low and high end; `relations` of the three."""
    ends = [Hours(relation, value / 60) for relation, value in zip(relations, minutes, strict=True)]  # type: ignore
    hours, low, high = ends
    return EquivalentHours(Arm(arm), budget_s, hours, low, high)


def prediction(arm: str) -> Prediction:
    """Errors that fall with the root of the speech."""
    seconds = [150.0 * 2**place for place in range(7)]
    errors = [around(ALONE[600.0] * OF_ALONE[arm][0] * (amount / 600) ** -0.5, 0.3) for amount in seconds]
    return Prediction(Arm(arm), list(ALONE), seconds, errors, Estimate(0.02, 0.0, 0.05))


FULL = Summary(
    origin=Origin(
        recipe="human",
        about="Human speech, one speaker a language: of new speakers nothing is said.",
        num_replications=1000,
        commands=["speech-mtl compare recipes/human --out runs/human", f"echo '{HOSTILE}' ```"],
        commit="f9c491a-dirty",
        versions={"Python": "3.11.2", "keras": "3.15.0"},
        hardware="2 cores, 8 GB",
        finished="2026-11-21T12:55:44+00:00",
        wall_time_s=54321.0,
    ),
    language="zh-CN",
    arms=[
        arm_summary(arm, budget_s, alone * OF_ALONE[arm][place], alone)
        for place, (budget_s, alone) in enumerate(ALONE.items())
        for arm in ARMS
    ],
    equivalent_hours=[
        equivalent("joint", 600.0, 13.0, 9.5, 16.0),
        equivalent("joint", 1200.0, 22.0, 18.5, 26.0),
        equivalent("joint", 2400.0, 31.0, 27.0, 38.0),
        equivalent("pretrain_finetune", 600.0, 19.2, 15.4, 24.3),
        equivalent("pretrain_finetune", 1200.0, 34.0, 28.0, 40.0, relations="==>"),
        equivalent("pretrain_finetune", 2400.0, 40.0, 40.0, 40.0, relations=">>>"),
        equivalent("tiny", 600.0, 10.0, 10.0, 11.0, relations="<<="),
    ],
    predictions=[
        prediction("alone"),
        prediction("pretrain_finetune"),
        Prediction(Arm("joint"), list(ALONE), why_not="its error rises"),
    ],
    worse=[
        Tried("zh-CN", Arm("joint"), 2400.0, Estimate(-0.3, -0.41, -0.2)),
        Tried("zh-CN", Arm("tiny"), 600.0, Estimate(-0.02, -0.09, 0.05)),
    ],
    languages=[
        *(
            LanguageError("zh-CN", Arm(arm), budget_s, alone * factor, alone * factor * 0.95, alone * factor * 1.05)
            for place, (budget_s, alone) in enumerate(ALONE.items())
            for arm, factor in ((arm, OF_ALONE[arm][place]) for arm in ARMS)
        ),
        *(LanguageError(name, Arm("joint"), budget_s, 0.11, 0.1, 0.125) for name in ("de", "en") for budget_s in ALONE),
    ],
    examples=[
        Example("best", Arm("pretrain_finetune"), 2400.0, 0, [("ni3", "ni3"), ("hao3", "hao3")]),
        Example(
            "median",
            Arm("pretrain_finetune"),
            2400.0,
            0,
            [
                ("wo3", "wo3"),
                (HOSTILE, "ma1"),
                ("men5", None),
                ("*bold*", "*bold*"),
                ("|", "|"),
                ("x_y", "x_y"),
                (None, "de5"),
            ],
        ),
        Example("worst", Arm("pretrain_finetune"), 2400.0, 0, [("zai4", None), ("jian4", None)]),
    ],
    transfer=[
        tried("zh-CN", "de", 0.31, 0.22, 0.4),
        tried("zh-CN", "en", 0.12, -0.03, 0.2),
        tried("de", "zh-CN", -0.15, -0.25, -0.05),
        tried("de", "en", 0.2, 0.1, 0.3),
    ],
    forgotten=[
        Forgotten("de", Arm("pretrain_finetune"), 600.0, [0, 1, 2], 0.32, 0.71, Estimate(1.22, 0.9, 1.6), False),
        Forgotten("de", Arm("progressive"), 600.0, [0, 1, 2], 0.32, 0.32, Estimate(0.0, 0.0, 0.0), True),
    ],
    training=Training(sizes=list(SIZES.values())),
    notes=["The intervals are of this speaker's utterances.", f"A note with {HOSTILE} in it."],
)

BARE = Summary(
    origin=Origin([], None, {}, "", "", 0.0, recipe="tiny", about="", num_replications=100),
    language="aa",
    arms=[arm_summary("alone", 6.0, 0.9, None, seeds=(0,))],
    notes=["There is no arm with auxiliary languages."],
)

UNLEARNT = replace(
    BARE,
    arms=[
        replace(arm_summary(arm, budget_s, 1.0, 1.0), cer=Estimate(1.0, 1.0, 1.0), reduction=nothing, p_value=p)
        for budget_s in (600.0, 1200.0)
        for arm, nothing, p in (("alone", None, None), ("joint", Estimate(0.0, 0.0, 0.0), 1.0))
    ],
    no_hours="no run has learnt. Train longer",
    not_learnt=[NotLearnt("aa", Arm(arm), b, [0, 1, 2], 3) for b in (600.0, 1200.0) for arm in ("alone", "joint")],
    notes=["Not learnt: alone and joint."],
)
"""All errors are 100 %."""

FLAT = replace(UNLEARNT, no_hours="the curve of alone does not fall", not_learnt=[], arms=FULL.arms)
"""No hours can be read off the curve of alone."""


def crowded_summary() -> Summary:
    """Eight arms with long names, seven budgets from minutes to 100 hours, twelve languages."""
    arms = [
        *ARMS,
        "joint_finetune",
        *(f"a_way_of_training_with_a_name_that_never_ends_number_{n}" for n in range(1, 5)),
    ]
    codes = ["zh-CN", "de", "en", "fr", "cs", "pl", "sw", "mn", "tr", "ka", "nan-hant-tw", "yue"]
    budgets_s = [600.0, 1800.0, 3600.0, 4 * 3600.0, 20 * 3600.0, 100 * 3600.0]
    cer = {(b, a): 0.5 * 0.6**i * (1 - 0.06 * j) for i, b in enumerate(budgets_s) for j, a in enumerate(arms)}
    return replace(
        FULL,
        origin=replace(FULL.origin, recipe="everything_at_once_with_a_long_recipe_name"),
        arms=[arm_summary(a, b, cer[b, a], cer[b, "alone"], seeds=tuple(range(7))) for b in budgets_s for a in arms],
        equivalent_hours=[
            equivalent(a, b, b / 60 * (1 + 0.4 * j), b / 60 * (0.8 + 0.3 * j), b / 60 * (1.2 + 0.6 * j))
            for b in budgets_s
            for j, a in enumerate(arms[1:])
        ],
        languages=[
            LanguageError(name, Arm(a), b, cer[b, a] * (1 + 0.1 * k), cer[b, a], cer[b, a] * (1.2 + 0.1 * k))
            for b in budgets_s
            for k, name in enumerate(codes)
            for a in (arms if k == 0 else arms[1::2])
        ],
        examples=[replace(FULL.examples[1], pairs=FULL.examples[1].pairs * 8)],
        transfer=[
            tried(t, a, x, x - 0.11, x + 0.11)
            for i, t in enumerate(codes)
            for j, a in enumerate(codes)
            for x in (((i * 7 + j * 5) % 13 - 5) / 20,)
            if t != a and (i + j) % 9
        ],
    )
