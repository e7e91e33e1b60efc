"""Commands that use a trained run."""

from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Decoding, Quiet, RunPath, open_run
from speech_mtl.cli.console import print_markdown
from speech_mtl.errors import InputError


def evaluate(
    run: RunPath,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, dev (validation) or test, several times if need be; dev and test if not given."),
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", "-l", help="Only these languages; all if not given.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Other speech, in one language; results of the run's own dev and test are kept."),
    ] = None,
    changes: Decoding = None,
    quiet: Quiet = False,
) -> None:
    """Print word and character error rates of a run by language and split.

    With the validation set, dev, it also calibrates the confidences that transcribe gives words.

    Example: speech-mtl evaluate runs/human --split test --language zh-CN

    Example: speech-mtl evaluate runs/human --manifest data/held_out.jsonl --language zh-CN
    """
    languages = language or []
    if manifest and (split or len(languages) > 1):
        raise InputError(
            "--manifest replaces --split, and is of one language",
            expected="--manifest FILE, with at most one --language",
            received=f"--split {' '.join(split)}" if split else f"{len(languages)} languages",
            action="leave --split out, and call it once for each language",
        )
    opened = open_run(run)
    from speech_mtl.run import evaluate as evaluation
    from speech_mtl.run.build import decoding_with
    from speech_mtl.screen import Screen

    name, decoding = "evaluation", decoding_with(opened.recipe(), changes or [])
    if manifest:
        one = languages[0] if languages else None
        name += "-" + evaluation.evaluate_manifest(opened, manifest, one, Screen(quiet), decoding)[1]
    else:
        evaluation.evaluate(opened, split or ("dev", "test"), language, Screen(quiet), decoding=decoding)
    print_markdown((run / f"{name}.md").read_text(encoding="utf-8").rstrip())
    print(f"The tables are in {run}/{name}.md and .json, hypotheses in {run}/hypotheses/")


def forgetting(
    run: RunPath,
    split: Annotated[str, typer.Option(help="dev (validation) or test.")] = "test",
    quiet: Quiet = False,
) -> None:
    """Print the forgetting along a line of runs that were fine-tuned one from another.

    Example: speech-mtl forgetting runs/own-cs-pl --split dev
    """
    opened = open_run(run)
    from speech_mtl.screen import Screen
    from speech_mtl.study.lineage import write_forgetting

    path = write_forgetting(opened, split, opened.recipe().compare.num_replications, Screen(quiet))
    print_markdown(path.read_text(encoding="utf-8").rstrip())
    print(f"The table is in {path}, its rows in {path.with_suffix('.json')}")
