"""The command that makes language models."""

from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Quiet, RunPath, open_run
from speech_mtl.cli.console import print_markdown


def lm(
    run: RunPath,
    language: Annotated[str, typer.Option("--language", "-l", help="Of which language, such as zh-CN.")],
    texts: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help="Text files in UTF-8, a sentence a line, besides the run's training transcripts. They are normalised "
            "as these are; sentences of the run's validation and test sets are left out.",
        ),
    ] = None,
    order: Annotated[int, typer.Option(min=1, max=6, help="Length of the longest n-grams of words.")] = 3,
    token_order: Annotated[int, typer.Option(min=1, max=10, help="Length of the longest n-grams of tokens.")] = 6,
    tune: Annotated[bool, typer.Option(help="Tune the weights on the validation set.")] = True,
    quiet: Quiet = False,
) -> None:
    """Make n-gram models of a language for beam search, and tune their weights on the validation set.

    They are used with --set decoding.kind=beam.

    Example: speech-mtl lm runs/human --language de news.txt

    Example: speech-mtl evaluate runs/human --language de --set decoding.kind=beam
    """
    opened = open_run(run)
    from speech_mtl.run.lm import make_lm
    from speech_mtl.run.stored_lm import lm_folder
    from speech_mtl.screen import Screen

    screen = Screen(quiet)
    record, table = make_lm(opened, language, texts or [], order, token_order, screen, [None] if tune else [])
    if tune:
        print_markdown(table)
    print(
        f"The language model is in {lm_folder(opened, record['language'])}. To use it: speech-mtl transcribe {run} "
        f"--language {record['language']} FILE --set decoding.kind=beam"
    )
