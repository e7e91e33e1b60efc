"""Commands about transcripts and manifests, before training."""

import typer

from speech_mtl.cli.data_text import text

data = typer.Typer(help="Look at transcripts.", no_args_is_help=True)
data.command()(text)
