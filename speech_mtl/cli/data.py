"""Commands about transcripts and manifests, before training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speech_mtl.cli.arguments import Quiet
from speech_mtl.cli.console import print_markdown
from speech_mtl.cli.data_text import text
from speech_mtl.errors import InputError, cell

if TYPE_CHECKING:
    from speech_mtl.corpus.findings import Findings

data = typer.Typer(
    help="Check, sum up, split and listen to transcripts and manifests.",
    no_args_is_help=True,
    context_settings={"default_map": {"help": False}},  # as in `cli`
)
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


@data.command()
def split(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A manifest, or a folder DATA_DIR/LANGUAGE with only train.jsonl.")
    ],
    out: Annotated[Path, typer.Option(metavar="DATA_DIR", help="Splits go to DATA_DIR/LANGUAGE/.")],
    dev: Annotated[float, typer.Option(min=0, max=0.5, help="Fraction for validation; 0 for none.")] = 0.1,
    test: Annotated[float, typer.Option(min=0, max=0.5, help="Fraction for test; 0 for none.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another split.")] = 0,
    share_speakers: Annotated[
        bool, typer.Option("--share-speakers", help="Keep only texts apart: for one speaker, or unknown ones.")
    ] = False,
    drop_shared_texts: Annotated[
        bool, typer.Option("--drop-shared-texts", help="Leave out training utterances whose text is in dev or test.")
    ] = False,
    budgets_min: Annotated[
        list[float] | None,
        typer.Option(
            min=0.01, help="Minutes of training speech to show the subset of: that of languages.LANGUAGE.budget_s."
        ),
    ] = None,
    subset_seed: Annotated[int, typer.Option(min=0, help="Of these subsets, as data.subset_seed.")] = 0,
) -> None:
    """Split a manifest into train, dev and test, without a speaker or a text in two of them.

    Example: speech-mtl data split data/mine/cs --out data/split --budgets-min 10 --budgets-min 40
    """
    from speech_mtl.corpus.manifests import find_manifests
    from speech_mtl.corpus.split import SplitSettings, budget_sizes, cut, write_splits
    from speech_mtl.scoring.tables import markdown_table

    files = [file for one in find_manifests([path]) for file in one.files]
    if len(files) != 1:
        raise InputError(
            f"{path} is not one manifest",
            expected="a manifest, or a folder with train.jsonl and no other",
            received=", ".join(str(file.path) for file in files),
            action="name the manifest that is to be split",
        )
    made = cut(files[0], SplitSettings(dev, test, seed, share_speakers, drop_shared_texts))
    subsets = budget_sizes(made.splits["train"], [60 * one for one in budgets_min or ()], subset_seed)
    write_splits(out, files[0].language, made)
    rows = [
        (name, sum(one.duration_s for one in own), len(own), len({one.speaker for one in own} - {None}))
        for name, own in made.splits.items()
    ]
    rows += [(f"train, {budget:g} min", *size) for budget, size in zip(budgets_min or (), subsets, strict=True)]
    lines = [
        (name, f"{seconds / 60:.1f}", f"{number:,}", str(speakers or "unknown"))
        for name, seconds, number, speakers in rows
    ]
    print_markdown(markdown_table(("split", "minutes", "utterances", "speakers"), lines, num_text_columns=1))
    print()
    if made.left_out:
        minutes = sum(one.duration_s for one in made.left_out) / 60
        print(f"Left out, as their text is in another split: {len(made.left_out):,} utterances, {minutes:.1f} minutes")
    if share_speakers:
        print("Speakers may be in several splits: errors are not those of new speakers.")
    print(f"The manifests are in {out / files[0].language}")


@data.command()
def stats(
    paths: Manifests,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with tables and plots, too.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print hours, speakers, characters, speaking rate and durations by language and split.

    Transcripts are as training learns them, by the settings of a recipe or the defaults.

    Example: speech-mtl data stats data/mine --html stats.html
    """
    from speech_mtl.corpus.manifests import find_manifests
    from speech_mtl.corpus.stats import count
    from speech_mtl.files import json_text, write_text
    from speech_mtl.screen import Screen

    screen = Screen(quiet)
    counted = count(find_manifests(paths), screen.progress)
    if json:
        print(json_text([one.record() for one in counted]), end="")
    else:
        from speech_mtl.corpus.stats import table
        from speech_mtl.study.report.markdown import render_block

        print_markdown(render_block(table(counted), {}))
    if html:
        from speech_mtl.corpus.pages import stats_page

        write_text(html, stats_page(", ".join(map(str, paths)), counted))
        screen.say(f"The page is {html}")


@data.command()
def listen(
    paths: Manifests,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page, with the audio in it.")] = Path("listen.html"),
    number: Annotated[int, typer.Option(min=1, max=500, help="Utterances of each language.")] = 20,
    language: Annotated[
        list[str] | None, typer.Option("--language", "-l", help="Only these languages; all if not given.")
    ] = None,
    split_name: Annotated[
        list[str] | None, typer.Option("--split", help="Only these splits: train, dev, test; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other utterances.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Write a page with random utterances, to be listened to beside their transcripts.

    Audio is as training gets it: mono, at data.sample_rate_hz, without loss.

    Example: speech-mtl data listen data/mine --language cs --number 30
    """
    from speech_mtl.corpus.listen import sampled
    from speech_mtl.corpus.manifests import find_manifests
    from speech_mtl.corpus.pages import listen_page
    from speech_mtl.files import write_text
    from speech_mtl.screen import Screen

    screen = Screen(quiet)
    chosen = sampled(find_manifests(paths), language, split_name, number, seed, screen.progress)
    write_text(out, listen_page(", ".join(map(str, paths)), chosen, seed))
    print(f"The page is {out}")


def _print_findings(findings: "Findings") -> None:
    from speech_mtl.scoring.tables import markdown_table

    for one in findings.kept:
        print(cell(f"{one.where}: {one.level}: {one.kind}: {one.message}"))
    if findings.counts:
        does = {"refused": "refuses", "left out": "leaves out", "note": "uses"}
        rows = [(kind, does[level], f"{number:,}") for (level, kind), number in sorted(findings.counts.items())]
        print()
        print_markdown(markdown_table(("finding", "training", "number"), rows, num_text_columns=2))


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
