"""The command line. Exit codes: 0 done, 2 bad input or settings, 1 a fault of ours, 130 stopped with Ctrl-C.

Modules here are imported for every help text: what takes long is imported in the command that needs it.
"""

from typing import Annotated

import typer

from speech_mtl import __version__
from speech_mtl.cli.console import run
from speech_mtl.cli.data import data
from speech_mtl.cli.recordings import align, transcribe
from speech_mtl.cli.settings import list_settings
from speech_mtl.cli.studies import TRANSFER, compare, predict, report, tune
from speech_mtl.cli.training import finetune, train
from speech_mtl.cli.using import demo, evaluate, export, forgetting, lm, pseudo_label

WELCOME = """\
[bold]speech-mtl[/bold] trains speech recognition for a language with little transcribed speech, helped by others.

Training needs the extra [bold]tensorflow[/bold] or [bold]jax[/bold], preparing speech the extra [bold]corpora[/bold].

The whole way on a small synthetic corpus, in minutes:

  [bold]python -m data_scripts.synthetic data/synthetic --languages zh,de,fr,es,it --train-minutes 10 \\
    --dev-utterances 60 --test-utterances 150[/bold]
  [bold]speech-mtl compare recipes/synthetic compare.budgets_min='\\[1, 4]' compare.seeds='\\[0]' \\
    compare.arms='\\[alone, pretrain_finetune]' --out runs/demo[/bold]

With your own recordings (a folder of audio files and a metadata table):

  [bold]python -m data_scripts.audiofolder FOLDER data/mine --language cs[/bold]
  [bold]speech-mtl train recipes/own target=cs 'languages={cs: {}}'[/bold]
  [bold]speech-mtl transcribe runs/own --language cs FILE.wav[/bold]

Every command explains itself: [bold]speech-mtl train --help[/bold]
Every setting does, too:       [bold]speech-mtl settings[/bold]
"""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"default_map": {"help": False}},  # else typer has pydantic find out that None is no flag
)


@app.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Speech recognition for languages with little transcribed speech, helped by other languages."""
    if version:
        print(f"speech-mtl {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from rich.console import Console

        Console(highlight=False, soft_wrap=True).print(WELCOME)


for command in (train, finetune, lm, evaluate, forgetting, transcribe, pseudo_label, align, export, demo, compare):
    app.command()(command)
app.command("transfer", help=TRANSFER)(compare)
for command in (tune, report, predict):
    app.command()(command)
app.command("settings")(list_settings)
app.add_typer(data, name="data")


def main() -> None:
    """Runs the command line; what the user can fix is printed without a traceback."""
    run(app)
