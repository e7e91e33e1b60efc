"""Commands that train one run."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from speech_mtl.cli.arguments import (
    AcceptChanges,
    Coordinator,
    Host,
    Hosts,
    NumProcesses,
    Overrides,
    Quiet,
    RecipePath,
    RunPath,
    open_recipe,
    open_run,
    wrong,
)
from speech_mtl.cli.launching import Processes, launched
from speech_mtl.errors import InputError
from speech_mtl.registry import names_added

if TYPE_CHECKING:
    from speech_mtl.run.folder import Run


def train(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME-OF-RECIPE if not given.")] = None,
    accept_changes: AcceptChanges = False,
    processes: NumProcesses = 1,
    hosts: Hosts = 1,
    host: Host = 0,
    coordinator: Coordinator = None,
    quiet: Quiet = False,
) -> None:
    """Train a recipe. Run again to resume from the last checkpoint, or with more updates to train further.

    Example: speech-mtl train recipes/human training.num_updates=500 --out runs/first
    """
    if launched(Processes(processes, hosts, host, coordinator)):
        return
    settings = open_recipe(recipe, overrides)
    from speech_mtl.run.train import train as train_run
    from speech_mtl.screen import Screen

    path = out or Path("runs") / settings.name
    run = train_run(settings, path, Screen(quiet), accept_changes=accept_changes)
    print(f"The run is in {path}")
    _print_next(run, f"speech-mtl evaluate {quote(str(path))}")


def finetune(
    run: RunPath,
    language: Annotated[str, typer.Option("--language", "-l", help="The language to learn, such as cs or zh-CN.")],
    overrides: Overrides = None,
    train: Annotated[
        Path | None, typer.Option(metavar="MANIFEST", help="Its training speech; else in the run's data.dir.")
    ] = None,
    dev: Annotated[Path | None, typer.Option(metavar="MANIFEST", help="Validation speech, for early stopping.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="MANIFEST", help="Speech to evaluate on later.")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Kind, as in recipes: character, bpe, unigram, phones, syllable_parts, pinyin, pinyin_parts; if not "
            "given, the run's own for a language that it has, else character."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="|".join(names_added("run/methods.py", "METHODS")),
            help="How to fine-tune; all but finetune freeze the encoder.",
        ),
    ] = "finetune",
    rehearse: Annotated[
        float,
        typer.Option(
            min=0, max=0.99, help="Fraction of the speech from the run's other languages, against forgetting."
        ),
    ] = 0.0,
    replace_head: Annotated[bool, typer.Option("--replace-head", help="A new output layer for one it has.")] = False,
    keep_head: Annotated[bool, typer.Option("--keep-head", help="Initialise from the output layer it has.")] = False,
    out: Annotated[Path | None, typer.Option(help="Run folder; RUN-LANGUAGE if not given.")] = None,
    accept_changes: AcceptChanges = False,
    processes: NumProcesses = 1,
    hosts: Hosts = 1,
    host: Host = 0,
    coordinator: Coordinator = None,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a trained run on another language. Its output layers are kept.

    Example: speech-mtl finetune runs/own -l cs --train data/mine/cs/train.jsonl --dev data/mine/cs/dev.jsonl
    """
    if launched(Processes(processes, hosts, host, coordinator)):
        return
    from speech_mtl.settings.dotted import parsed_overrides

    if replace_head and keep_head:
        raise wrong("--replace-head and --keep-head exclude one another", "at most one of them", "both")
    path = out or _beside(run, language)
    changes, opened = parsed_overrides(overrides or []), open_run(run, training=True)
    from speech_mtl.run.finetune import NewLanguage, finetuning_recipe
    from speech_mtl.run.train import train as train_run
    from speech_mtl.screen import Screen

    given = {"train": train, "dev": dev, "test": test}
    manifests = {split: path for split, path in given.items() if path is not None}
    head = "new" if replace_head else "keep" if keep_head else None
    new = NewLanguage(language, manifests, tokenizer, method, head, rehearse)
    screen = Screen(quiet)
    settings = finetuning_recipe(opened, new, changes, screen.progress)
    trained = train_run(settings, path, screen, accept_changes=accept_changes)
    print(f"The run is in {path}; {path}/start.json gives the origin of all weights")
    typed = quote(str(path))
    _print_next(trained, f"speech-mtl evaluate {typed}, or speech-mtl forgetting {typed} for the old languages")


def _beside(run: Path, language: str) -> Path:
    """RUN-LANGUAGE, beside the run that is fine-tuned."""
    from speech_mtl.data.languages import canonical
    from speech_mtl.run.hub import is_fetched

    if is_fetched(run):
        raise InputError(
            "A run from a Hugging Face repository needs a place for the new run",
            expected="--out FOLDER",
            received="none, and the repository lies in a cache",
            action="add --out runs/NAME",
        )
    named = run.resolve() if run.name in ("", "..") else run  # the folder it is in: `.` has no name
    return named.with_name(f"{named.name}-{canonical(language)}")


def _print_next(run: "Run", usual: str) -> None:
    """Prints the next step: evaluate, or train again if nothing was learnt."""
    from speech_mtl.run.plateau import plateau_text, stuck_languages

    if stuck := stuck_languages(run):
        usual = f"train again, in another folder (--out). {plateau_text(stuck, run.recipe())}"
    print(f"Next: {usual}")
