"""Arguments and options of several commands, and functions that open recipes and runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speech_mtl.errors import InputError

if TYPE_CHECKING:
    from speech_mtl.run.folder import Run
    from speech_mtl.settings.recipe import Recipe


def on_this_machine(run: Path | None) -> Path | None:
    """A run's folder, downloaded first where a Hugging Face repository is named."""
    from speech_mtl.run.hub import fetched, is_on_hub

    return fetched(run) if run and is_on_hub(run) else run


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, or a folder with a recipe.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings to change, such as training.num_updates=500; `speech-mtl settings` lists all.",
    ),
]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder that `speech-mtl train` wrote; or hf://USER/NAME, one that `export --format run` packed.",
        callback=on_this_machine,
    ),
]
Decoding = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of decoding to change, such as decoding.kind=greedy; several times if need be.",
    ),
]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Resume although speech or initial weights have changed.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only results.")]

NumProcesses = Annotated[
    int, typer.Option("--processes", min=1, help="Processes on this machine that train together, under JAX.")
]
Hosts = Annotated[int, typer.Option(min=1, help="Machines that run this command together, see docs/processes.md.")]
Host = Annotated[int, typer.Option(min=0, help="Which of them this one is, from 0.")]
Coordinator = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The first of them, and a free port there.")]


def wrong(problem: str, expected: str, received: str) -> InputError:
    """The error of arguments that exclude one another, or lack one."""
    return InputError(problem, expected=expected, received=received, action="change the arguments")


def open_recipe(recipe: Path, overrides: list[str] | None) -> "Recipe":
    """Loads the settings, and imports Keras; prints a note if the recipe is one that comes with the package."""
    from speech_mtl.backend import load_backend
    from speech_mtl.settings.recipe_file import find_recipe, load_recipe

    found = find_recipe(recipe)
    if not recipe.exists():
        print(f"There is no {recipe} here. The one that comes with speech-mtl is used: {found}", file=sys.stderr)
    settings = load_recipe(found, overrides)
    load_backend(training=True)
    return settings


def open_run(path: Path, *, training: bool = False) -> "Run":
    """Opens the run in a folder, and imports Keras if there is one; for `training` see `load_backend`."""
    from speech_mtl.backend import load_backend
    from speech_mtl.settings.recipe_file import refuse_no_run

    refuse_no_run(path)
    load_backend(training=training)
    from speech_mtl.run.folder import Run

    return Run(path)


def open_trained(path: Path) -> "Run":
    """Opens a run to use what it has learnt, and warns if that is not much."""
    run = open_run(path)
    from speech_mtl.run.plateau import tell_untrained
    from speech_mtl.screen import Screen

    tell_untrained(run, Screen())
    return run
