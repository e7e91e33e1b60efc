"""How far predicted errors can be trusted: budgets that were measured are left out and predicted from the others.

python -m benchmarks.prediction [--out benchmarks/prediction.json]

Of every comparison in recipes/ with four budgets or more the largest are left out, or the smallest: all seeds together,
and each by itself. Made-up comparisons, whose curves are known, show how often an interval contains the truth.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.scoring.resampling import Blocks, resampled_rates
from speech_mtl.scoring.tables import percent, speech
from speech_mtl.study.results import load
from speech_mtl.study.statistics.bootstrap import Bootstrap, Sampled, bootstrap, over_seeds
from speech_mtl.study.statistics.hypotheses import Model, TestSet, decoders_of, test_sets_of
from speech_mtl.study.statistics.prediction import MIN_BUDGETS, REACH, error_with, predict
from speech_mtl.study.statistics.rows import Arm
from speech_mtl.study.statistics.summary import Estimate

NUM_REPLICATIONS = 1000
NUM_UTTERANCES = 300
SEED_SPREAD = 0.08
"""Of one run's error, as a part of it."""

MISFIT = 0.03
"""By how much errors lie beside their curve at each budget, whatever the seed."""

CURVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "power 0.35, no floor": lambda times: 0.4 * times**-0.35,
    "power 0.75, no floor": lambda times: 0.4 * times**-0.75,
    "power 0.75, floor 2 %": lambda times: 0.02 + 0.38 * times**-0.75,
    "power 0.75, floor 8 %": lambda times: 0.08 + 0.32 * times**-0.75,
    "power 1.2, floor 8 %": lambda times: 0.08 + 0.32 * times**-1.2,
    "power from 0.9 down to 0.3": lambda times: 0.4 * times ** (-0.9 + 0.06 * np.log2(times)),
}
"""Errors by multiples of the smallest budget. The last is none of the curves that are fitted."""


class Case(NamedTuple):
    """One error that was measured and predicted; the prediction is None where it was refused."""

    budget_s: float
    measured: float
    predicted: tuple[float, float, float] | None

    @property
    def held(self) -> bool:
        return self.predicted is not None and self.predicted[1] <= self.measured <= self.predicted[2]


def _case(budget_s: float, measured: float, found: Estimate | None) -> Case:
    return Case(budget_s, measured, found and (found.value, found.low, found.high))


def main() -> None:
    """Measures, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "prediction.json")
    parser.add_argument("--made-up", type=int, default=40, help="comparisons of each kind")
    arguments = parser.parse_args()
    committed = list(_committed())
    made_up = list(_made_up(arguments.made_up))
    result = provenance("prediction") | {"committed": committed, "made_up": made_up}
    result |= {"seed_spread": SEED_SPREAD, "misfit": MISFIT, "num_made_up": arguments.made_up}
    report(arguments.out, result, *_committed_tables(committed), _made_up_table(made_up))


def _committed() -> Iterator[dict]:
    for folder in sorted((ROOT / "recipes").iterdir()):
        if not (folder / "results.json").is_file():
            continue
        results = load(folder)
        for test_set in test_sets_of(decoders_of(results.test_sets)[0], results.test_sets):
            for arm in dict.fromkeys(model.arm for model in test_set.hypotheses):
                yield from ({"recipe": folder.name} | row for row in _left_out(test_set, arm))


def _left_out(test_set: TestSet, arm: Arm) -> Iterator[dict]:
    models = [model for model in test_set.hypotheses if model.arm == arm]
    budgets = sorted({model.budget_s for model in models})
    seeds = sorted({model.seed for model in models})
    splits = [(budgets[:end], budgets[end:]) for end in range(MIN_BUDGETS, len(budgets))]
    splits += [(budgets[1:], budgets[:1])] if len(budgets) > MIN_BUDGETS else []
    for kept, left in splits:
        for chosen in [seeds, *([seed] for seed in seeds if len(seeds) > 1)]:
            own = [model for model in models if model.seed in chosen]
            measured = _sampled(test_set, own)
            prediction = predict(_sampled(test_set, [model for model in own if model.budget_s in kept]), arm)
            for budget_s in left:
                if not kept[0] / REACH <= budget_s <= kept[-1] * REACH:
                    continue
                found = error_with(prediction, budget_s)
                yield {
                    "arm": arm.name,
                    "language": test_set.language,
                    "from_s": kept,
                    "seeds": chosen,
                    "why_not": prediction.why_not,
                    **_row(_case(budget_s, measured.cer[arm, budget_s].mean, found)),
                }


def _sampled(test_set: TestSet, models: Sequence[Model]) -> Bootstrap:
    hypotheses = {model: test_set.hypotheses[model] for model in models}
    return bootstrap(replace(test_set, hypotheses=hypotheses, label_errors={}), NUM_REPLICATIONS)


def _row(case: Case) -> dict:
    return {
        "budget_s": case.budget_s,
        "measured": round(case.measured, 5),
        "predicted": case.predicted and [round(end, 5) for end in case.predicted],
        "held": case.held,
    }


def _made_up(num: int) -> Iterator[dict]:
    for kind, (name, curve) in enumerate(CURVES.items()):
        for num_budgets in (3, 4, 5):
            for num_seeds in (1, 3):
                generator = np.random.default_rng([kind, num_budgets, num_seeds])
                found = [_made_up_cases(curve, num_budgets, num_seeds, generator) for _ in range(num)]
                about = {"curve": name, "num_budgets": num_budgets, "num_seeds": num_seeds}
                for times, cases in zip((2, REACH), zip(*found, strict=True), strict=True):
                    yield about | {"times": times} | _how_good(cases)


def _made_up_cases(curve: Callable, num_budgets: int, num_seeds: int, generator: np.random.Generator) -> list[Case]:
    """Budgets that double, of which the last two are left out, on one test set."""
    arm = Arm("alone")
    times = 2.0 ** np.arange(num_budgets + 2)
    models = [Model(arm, 600 * float(time), seed) for time in times for seed in range(num_seeds)]
    beside = np.repeat(generator.normal(0, MISFIT, len(times)), num_seeds)
    rates = np.repeat(curve(times), num_seeds) * np.exp(beside + generator.normal(0, SEED_SPREAD, len(models)))
    lengths = generator.integers(5, 60, NUM_UTTERANCES)
    hardness = generator.gamma(4, 1 / 4, NUM_UTTERANCES)
    errors = generator.binomial(lengths[:, None], np.minimum(rates * hardness[:, None], 1))
    kept = num_budgets * num_seeds
    drawn = Blocks("utterance", np.arange(NUM_UTTERANCES), int(generator.integers(2**31)))
    counted = np.broadcast_to(lengths[:, None], (NUM_UTTERANCES, kept))
    sampled = resampled_rates(errors[:, :kept], counted, drawn, NUM_REPLICATIONS)[1]
    measured = dict(zip(models, errors.sum(axis=0) / lengths.sum(), strict=True))
    replicates: dict[Model, np.ndarray] = dict(zip(models, sampled.T, strict=False))
    smallest = 0.5 / lengths.sum()
    cer = over_seeds(Sampled({model: measured[model] for model in replicates}, replicates), smallest, 0)
    prediction = predict(Bootstrap(drawn, cer, {}, smallest), arm)
    cases = []
    for time in times[num_budgets:]:
        found = error_with(prediction, 600 * float(time))
        mean = float(np.mean([measured[Model(arm, 600 * float(time), seed)] for seed in range(num_seeds)]))
        cases.append(_case(600 * float(time), mean, found))
    return cases


def _how_good(cases: Sequence[Case]) -> dict:
    """How many intervals hold, how wide they are, and how far their middles are off."""
    given = [(case, case.predicted) for case in cases if case.predicted]
    if not given:
        return {"num": 0, "num_refused": len(cases)}
    factors = [predicted[0] / case.measured for case, predicted in given]
    return {
        "num": len(given),
        "num_refused": len(cases) - len(given),
        "held": round(float(np.mean([case.held for case, _ in given])), 4),
        "high_by_low": round(float(np.median([predicted[2] / predicted[1] for _, predicted in given])), 3),
        "median_factor": round(float(np.median(factors)), 3),
        "median_off": round(float(np.exp(np.median(np.abs(np.log(factors)))) - 1), 4),
    }


def _committed_tables(rows: list[dict]) -> list[Table]:
    kinds = {
        "the largest, all seeds": lambda row: _beyond(row) and len(row["seeds"]) > 1,
        "the largest, one seed": lambda row: _beyond(row) and len(row["seeds"]) == 1,
        "the smallest, all seeds": lambda row: not _beyond(row) and len(row["seeds"]) > 1,
        "the smallest, one seed": lambda row: not _beyond(row) and len(row["seeds"]) == 1,
    }
    lines = []
    for name, wanted in kinds.items():
        cases = [
            Case(row["budget_s"], row["measured"], row["predicted"] and tuple(row["predicted"]))
            for row in rows
            if wanted(row)
        ]
        if cases:
            lines.append([name, *_line(_how_good(cases))])
    cells = [
        [
            *(row["recipe"], row["arm"], ", ".join(map(str, row["seeds"])), ", ".join(map(speech, row["from_s"]))),
            *(speech(row["budget_s"]), percent(row["measured"])),
            "{} ({}–{})".format(*map(percent, row["predicted"])) if row["predicted"] else "refused: " + row["why_not"],
            "yes" if row["held"] else "–" if row["why_not"] else "no",
        ]
        for row in rows
    ]
    heads = ["Recipe", "Arm", "Seeds", "From", "Left out", "CER %", "Predicted %", "Held"]
    return [
        Table("Committed comparisons: budgets left out", ["Left out", *HEADS], lines),
        Table("Each of them", heads, cells, 5),
    ]


def _beyond(row: dict) -> bool:
    return row["budget_s"] > max(row["from_s"])


MEDIANS = ("high_by_low", "median_factor", "median_off")
HEADS = ("Predicted", "Refused", "Interval holds, %", "High / low", "Middle / measured", "Off by, %")


def _line(good: dict) -> list[str]:
    if not good["num"]:
        return ["0", str(good["num_refused"]), *["–"] * 4]
    ratios = [f"{good[name]:.2f}" for name in ("high_by_low", "median_factor")]
    return [str(good["num"]), str(good["num_refused"]), percent(good["held"]), *ratios, percent(good["median_off"])]


def _made_up_table(rows: list[dict]) -> Table:
    title = (
        f"Made-up comparisons: budgets that double, {NUM_UTTERANCES} test utterances, a spread over seeds of "
        f"{100 * SEED_SPREAD:g} % and {100 * MISFIT:g} % beside the curve. Predicted is the error that would be "
        f"measured with 2 and {REACH} times the largest budget"
    )
    given = [row for row in rows if row["num"]]
    lines = []
    for num_seeds in (1, 3):
        for num_budgets in (3, 4, 5):
            own = [row for row in given if (row["num_seeds"], row["num_budgets"]) == (num_seeds, num_budgets)]
            lines.append([f"{num_budgets} budgets, seeds: {num_seeds}", *_line(_together(own))])
    for name in CURVES:
        for times in (2, REACH):
            own = [row for row in given if (row["curve"], row["times"]) == (name, times)]
            lines.append([f"{name}, {times} times the largest", *_line(_together(own))])
    lines.append(["all", *_line(_together(given))])
    return Table(title, ["", *HEADS], lines)


def _together(rows: Sequence[dict]) -> dict:
    """Of several kinds: the mean share that holds, and medians of the rest."""
    weights = [row["num"] for row in rows]
    return {
        "num": sum(weights),
        "num_refused": sum(row["num_refused"] for row in rows),
        "held": float(np.average([row["held"] for row in rows], weights=weights)),
        **{name: float(np.median([row[name] for row in rows])) for name in MEDIANS},
    }


if __name__ == "__main__":
    main()
