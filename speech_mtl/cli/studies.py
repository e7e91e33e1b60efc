"""Commands that train many runs, and those that report on them."""

from pathlib import Path
from shlex import join
from typing import Annotated

import typer

from speech_mtl.cli.arguments import AcceptChanges, Overrides, Quiet, RecipePath, open_recipe, wrong
from speech_mtl.cli.console import print_markdown
from speech_mtl.registry import names_added

TRANSFER = """Map which language helps which: every language as the target, each other one as its only auxiliary.

Run again to resume. Example:

speech-mtl transfer recipes/synthetic compare.budgets_min='[1]' compare.arms='\\[pretrain_finetune]'
"""
"""Help of `compare` under its other name."""

OutFolder = Annotated[
    Path | None, typer.Option(help="Output folder; else runs/COMMAND-RECIPE, such as runs/compare-human.")
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Runs side by side, with equal numbers of cores. With another number, the same seed gives other "
        "losses and weights, as another seed would.",
    ),
]
EngineName = Annotated[str, typer.Option(help="local, or ray for the machines of the cluster that RAY_ADDRESS names.")]


def compare(
    context: typer.Context,
    recipe: RecipePath,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings to change, such as compare.seeds='[0, 1, 2]'; `speech-mtl settings` lists all. "
            f"Arms for compare.arms: {', '.join(names_added('study/arms.py', 'ARMS'))}.",
        ),
    ] = None,
    out: OutFolder = None,
    jobs: Jobs = 1,
    engine: EngineName = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing; print the plan, its time and disk.")
    ] = False,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Measure how much auxiliary languages help a target: every budget, arm and seed, with intervals and a report.

    Run again to resume. Example:

    speech-mtl compare recipes/human compare.budgets_min='[10, 20]' compare.seeds='[0, 1, 2]' --out runs/human
    """
    settings, pairs = open_recipe(recipe, overrides), context.command.name == "transfer"
    from speech_mtl.screen import Screen
    from speech_mtl.study import compare as comparisons
    from speech_mtl.study.report.content import short_text

    path = out or Path("runs") / f"{context.command.name}-{settings.name}"
    if dry_run:
        from speech_mtl.study.estimate import estimate_text
        from speech_mtl.study.plan import plan_comparison

        print_markdown(estimate_text(plan_comparison(settings, path, pairs), jobs))
        return
    results = comparisons.compare(settings, path, Screen(quiet), jobs, engine, accept_changes, pairs)
    print_markdown(short_text(results.summary))
    what = "map is in" if pairs else "report is"
    print(f"The {what} {path}/report.html; rows and plots lie beside it, the runs in {path}/runs/")


def tune(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: OutFolder = None,
    jobs: Jobs = 1,
    engine: EngineName = "local",
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Search loss weights of languages and tasks on the validation set: a grid, or Bayesian optimisation.

    Run again to resume. Example:

    speech-mtl tune recipes/weighting tune.weights='{zh: [0.5, 1, 2, 4]}' --jobs 2
    """
    settings = open_recipe(recipe, overrides)
    from speech_mtl.screen import Screen
    from speech_mtl.study import tune as searches

    path = out or Path("runs") / f"tune-{settings.name}"
    tuned = searches.tune(settings, path, Screen(quiet), jobs, engine, accept_changes)
    print_markdown(searches.tuned_text(tuned, settings))
    print(f"All trials are in {path}/tune.json, plots in {path}/plots/, the runs in {path}/runs/")
    print("Next: " + join(["speech-mtl", "train", str(recipe), searches.best_weighting(tuned)]))


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Output of compare or transfer, or a recipe with results.")
    ],
    to: Annotated[
        Path | None, typer.Option(help="Write it into this folder, with all its data except the runs.")
    ] = None,
) -> None:
    """Write a comparison's report anew from its results, also while the comparison still runs, and print it in short.

    Of several comparisons, print what auxiliary languages save in each. Example:

    speech-mtl report runs/human --to recipes/human
    """
    from speech_mtl.folders import names_of
    from speech_mtl.study import results as reports

    if to and len(folders) > 1:
        raise wrong("--to takes the results of one folder", "one FOLDER at a time", f"{len(folders)} folders")
    if to:
        reports.refuse_foreign_target(to)
    summaries = {}
    for name, folder in zip(names_of(folders), folders, strict=True):
        results = reports.load(folder)
        if to:
            reports.save(results, to)
        print(f"{reports.write_report(results, to or folder)[0]} written")
        summaries[name] = results.summary
    if len(folders) == 1:
        from speech_mtl.study.report.content import short_text

        print_markdown(short_text(*summaries.values()))
    else:
        from speech_mtl.study.report.markdown import render_block
        from speech_mtl.study.report.targets_table import Comparison, targets_table

        found = [Comparison(name, one.all_arms, one.all_equivalent_hours) for name, one in summaries.items()]
        print_markdown(render_block(targets_table(found), {}))


def predict(
    comparison: Annotated[
        Path, typer.Argument(metavar="COMPARISON", help="Output of compare or transfer, or a recipe with results.")
    ],
    error: Annotated[
        list[float] | None, typer.Option(metavar="PERCENT", help="A character error rate to reach; several if need be.")
    ] = None,
    minutes: Annotated[
        list[float] | None,
        typer.Option(
            metavar="MINUTES",
            help="An amount of target speech; several if need be. With neither: twice and four times the largest.",
        ),
    ] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only these arms; all if not given.")] = None,
    language: Annotated[str | None, typer.Option("--language", "-l", help="The target, if there are several.")] = None,
) -> None:
    """Print how much target speech an error needs, and what errors other amounts would give, with intervals.

    The curve of each arm is extrapolated to at most four times the largest budget; it needs three budgets. Example:

    speech-mtl predict recipes/human --error 10 --error 5
    """
    from speech_mtl.study.predict import prediction_text
    from speech_mtl.study.results import load

    print_markdown(prediction_text(load(comparison), error or [], minutes or [], arm or [], language))
