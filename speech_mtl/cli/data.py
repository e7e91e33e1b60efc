"""Commands about transcripts and manifests, before training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speech_mtl.cli.arguments import Quiet
from speech_mtl.cli.data_text import text
from speech_mtl.errors import InputError, cell

if TYPE_CHECKING:
    from speech_mtl.corpus.findings import Findings

data = typer.Typer(help="Check, sum up, split and listen to manifests.", no_args_is_help=True)
data.command()(text)

Manifests = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH...",
        help="Manifests, folders of them (DATA_DIR or DATA_DIR/LANGUAGE), or recipes. Each recipe and each DATA_DIR is "
        "checked by itself, single manifests together.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of the training to change; several times if need be."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@data.command()
def validate(
    paths: Manifests,
    audio: Annotated[
        bool,
        typer.Option(help="Decode all audio. If not, its files must be there, and lengths are those of the manifests."),
    ] = True,
    most: Annotated[int, typer.Option(min=0, help="Findings of a kind that are listed of a manifest; 0 for all.")] = 20,
    if_there: Annotated[bool, typer.Option("--if-there", help="Leave recipes out that have no manifest yet.")] = False,
    changes: Changes = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check manifests as training does, and list all that is wrong by file and line.

    The exit code is 2 if training would refuse something. Of a recipe, its encoder, tokenisers and limits count; else
    the defaults.

    Example: speech-mtl data validate data/mine

    Example: speech-mtl data validate recipes/human --no-audio
    """
    from speech_mtl.backend import load_backend
    from speech_mtl.corpus.findings import Findings
    from speech_mtl.corpus.manifests import find_manifests
    from speech_mtl.screen import Screen

    sets, screen = find_manifests(paths, changes or (), if_there), Screen(quiet)
    load_backend()
    from speech_mtl.corpus.validate import validate as checked

    findings, manifests = Findings(most or None), []
    for one in sets:
        found = Findings(most or None)
        manifests += checked(one, found, audio, screen.progress)
        found.sort([file.path for file in one.files])
        findings.counts.update(found.counts)
        findings.kept += found.kept
    if json:
        _print_json(findings, manifests)
    else:
        _print_findings(findings)
    total = f"{len(manifests)} manifests, {sum(one.num_lines for one in manifests):,} lines"
    screen.say(f"{total}, {sum(one.duration_s for one in manifests) / 3600:.2f} hours")
    if findings.num_refused:
        raise InputError(
            f"Training would refuse this speech: {findings.num_refused} findings",
            expected="manifests without findings of the level refused",
            received=", ".join(
                f"{number} {kind}" for (level, kind), number in findings.counts.items() if level == "refused"
            ),
            action="fix what is listed, or make the manifests again with their data script",
        )


def _print_findings(findings: "Findings") -> None:
    from rich.console import Console
    from rich.table import Table

    for one in findings.kept:
        print(cell(f"{one.where}: {one.level}: {one.kind}: {one.message}"))
    if findings.counts:
        table = Table("finding", "training", title="Findings", title_justify="left")
        table.add_column("number", justify="right")
        for (level, kind), number in sorted(findings.counts.items()):
            table.add_row(kind, {"refused": "refuses", "left out": "leaves out", "note": "uses"}[level], f"{number:,}")
        Console().print(table)


def _print_json(findings: "Findings", manifests: list) -> None:
    from speech_mtl.files import json_text

    record = {
        "manifests": [
            {
                "path": str(one.file.path),
                "language": one.file.language,
                "split": one.file.split,
                "num_lines": one.num_lines,
                "duration_s": round(one.duration_s, 3),
            }
            for one in manifests
        ],
        "counts": [
            {"level": level, "kind": kind, "number": number}
            for (level, kind), number in sorted(findings.counts.items())
        ],
        "findings": [{**one._asdict(), "path": str(one.path)} for one in findings.kept],
    }
    print(json_text(record), end="")
