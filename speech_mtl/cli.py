"""The command line. Exit codes: 0 done, 2 bad input or settings, 1 a fault of ours, 130 stopped with Ctrl-C."""

import shutil
import sys
import traceback
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markdown import Markdown

from speech_mtl import __version__
from speech_mtl.decoding.writers import WRITERS, find_writer
from speech_mtl.errors import InputError, printable, unusable_file
from speech_mtl.screen import escape_what_cannot_be_shown

if TYPE_CHECKING:
    from speech_mtl.run.folder import Run
    from speech_mtl.settings.recipe import Recipe

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

STOPPED = 130
"""Exit code after Ctrl-C, by the shell's convention and typer's."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)

ARMS = (
    "alone, joint, joint_ramp, multilingual, joint_finetune, pretrain_finetune, heads, heads_first, gradual, "
    "layerwise, rehearsal, adapters, low_rank, progressive, middle"
)
"""Those of `study.arms`, whose import takes longer than a help text may."""

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, or a folder with a recipe.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings to change, such as training.num_updates=500; `speech-mtl settings` lists all.",
    ),
]
ComparisonOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings to change, such as compare.seeds='[0, 1, 2]'; `speech-mtl settings` lists all. "
        f"Arms for compare.arms: {ARMS}.",
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `speech-mtl train` wrote.")]
Decoding = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of decoding to change, such as decoding.kind=greedy; several times if need be.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only results.")]

Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Runs side by side, each with its share of the cores. With another share, the same seed gives losses and "
        "weights that differ in the last digits.",
    ),
]
EngineName = Annotated[str, typer.Option(help="local, or ray for the machines of the cluster that RAY_ADDRESS names.")]
AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="Keep what was trained before speech or first weights changed, and go on."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Train nothing; print the plan, its time and disk.")]


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
        Console(highlight=False, soft_wrap=True).print(WELCOME)


def _load_recipe(recipe: Path, overrides: list[str] | None) -> "Recipe":
    """The settings; says so if the recipe is one that comes with the package."""
    from speech_mtl.settings.recipe_file import find_recipe, load_recipe

    found = find_recipe(recipe)
    if not recipe.exists():
        print(f"There is no {recipe} here. Used is the one that comes with speech-mtl: {found}", file=sys.stderr)
    return load_recipe(found, overrides)


def _load_backend_for(run: Path) -> None:
    """Imports Keras if there is a run to use it for."""
    from speech_mtl.backend import load_backend
    from speech_mtl.settings.recipe_file import refuse_no_run

    refuse_no_run(run)
    load_backend()


@app.command()
def train(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME-OF-RECIPE if not given.")] = None,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe; run again, it goes on from the last checkpoint. With more updates it trains further.

    Example: speech-mtl train recipes/human training.num_updates=500 --out runs/first
    """
    from speech_mtl.backend import load_backend

    settings = _load_recipe(recipe, overrides)
    load_backend()
    from speech_mtl.run.train import train as train_run
    from speech_mtl.screen import Screen

    path = out or Path("runs") / settings.name
    run = train_run(settings, path, Screen(quiet), accept_changes=accept_changes)
    print(f"The run is in {path}")
    _print_next(run, f"speech-mtl evaluate {quote(str(path))}")


def _print_next(run: "Run", usual: str) -> None:
    """What to do after training: look at the errors, or train again where nothing was learnt."""
    from speech_mtl.run.plateau import plateau_text, stuck_languages

    stuck = stuck_languages(run)
    print(f"Next: train again. {plateau_text(stuck, run.recipe())}" if stuck else f"Next: {usual}")


@app.command()
def finetune(
    run: RunPath,
    language: Annotated[str, typer.Option("--language", "-l", help="The language to learn, such as cs or zh-CN.")],
    overrides: Overrides = None,
    train: Annotated[
        Path | None, typer.Option(metavar="MANIFEST", help="Its training speech; else in the run's data.dir.")
    ] = None,
    dev: Annotated[Path | None, typer.Option(metavar="MANIFEST", help="Validation speech, to stop early by.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="MANIFEST", help="Speech to evaluate on later.")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="character, or pinyin for Mandarin; if not given, the run's own for a language it has."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="finetune, or what leaves the encoder as it is: adapters, low_rank, progressive.")
    ] = "finetune",
    rehearse: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of batches from the run's languages, against forgetting them.")
    ] = 0.0,
    replace_head: Annotated[bool, typer.Option("--replace-head", help="A new output layer for one it has.")] = False,
    keep_head: Annotated[bool, typer.Option("--keep-head", help="Go on from the output layer it has.")] = False,
    out: Annotated[Path | None, typer.Option(help="Run folder; RUN-LANGUAGE if not given.")] = None,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Teach a trained run another language. The output layers that it has stay.

    Example: speech-mtl finetune runs/own -l cs --train data/mine/cs/train.jsonl --dev data/mine/cs/dev.jsonl
    """
    from speech_mtl.data.languages import canonical
    from speech_mtl.settings.dotted import parsed_overrides

    if replace_head and keep_head:
        raise InputError(
            "--replace-head and --keep-head exclude one another",
            expected="at most one of them",
            received="both",
            action="leave one out",
        )
    changes = parsed_overrides(overrides or [])
    _load_backend_for(run)
    from speech_mtl.run.finetune import NewLanguage, finetuning_recipe
    from speech_mtl.run.folder import Run
    from speech_mtl.run.train import train as train_run
    from speech_mtl.screen import Screen

    screen = Screen(quiet)
    given = {"train": train, "dev": dev, "test": test}
    manifests = {split: path for split, path in given.items() if path is not None}
    head = "new" if replace_head else "keep" if keep_head else None
    new = NewLanguage(language, manifests, tokenizer, method, head, rehearse)
    named = run.resolve() if run.name in ("", "..") else run  # the folder it is in: `.` has no name
    path = out or named.with_name(f"{named.name}-{canonical(language)}")
    settings = finetuning_recipe(Run(run), new, changes, screen.progress)
    trained = train_run(settings, path, screen, accept_changes=accept_changes)
    print(f"The run is in {path}; {path}/start.json says of every weight where it came from")
    typed = quote(str(path))
    _print_next(trained, f"speech-mtl evaluate {typed}, or speech-mtl forgetting {typed} for what it lost")


@app.command()
def evaluate(
    run: RunPath,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, dev (validation) or test, several times if need be; dev and test if not given."),
    ] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only these languages; all if not given.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Other speech, in one language: what was found in the run's own dev and test stays."),
    ] = None,
    changes: Decoding = None,
    quiet: Quiet = False,
) -> None:
    """Print word and character error rates of a run by language and split.

    Example: speech-mtl evaluate runs/human --split test --language zh-CN

    Example: speech-mtl evaluate runs/human --manifest data/held_out.jsonl --language zh-CN
    """
    if manifest and (split or len(language or []) > 1):
        raise InputError(
            "--manifest takes the place of --split, and is of one language",
            expected="--manifest FILE, with at most one --language",
            received=f"--split {' '.join(split)}" if split else f"{len(language or [])} languages",
            action="leave --split out, and call it once for each language",
        )
    _load_backend_for(run)
    from speech_mtl.run.build import decoding_with
    from speech_mtl.run.evaluate import evaluate as evaluate_run
    from speech_mtl.run.evaluate import evaluate_manifest
    from speech_mtl.run.folder import Run
    from speech_mtl.screen import Screen

    name, decoding = "evaluation", decoding_with(Run(run).recipe(), changes or [])
    if manifest:
        one = language[0] if language else None
        name += "-" + evaluate_manifest(Run(run), manifest, one, Screen(quiet), decoding)[1]
    else:
        evaluate_run(Run(run), split or ("dev", "test"), language, Screen(quiet), decoding=decoding)
    _print_markdown((run / f"{name}.md").read_text(encoding="utf-8").rstrip())
    print(f"The tables are in {run}/{name}.md and .json, what was recognised in {run}/hypotheses/")


@app.command()
def forgetting(
    run: RunPath,
    split: Annotated[str, typer.Option(help="dev (validation) or test.")] = "test",
    quiet: Quiet = False,
) -> None:
    """Print what was forgotten where a run was fine-tuned from another, and that one from another again.

    Example: speech-mtl forgetting runs/own-cs-pl --split dev
    """
    _load_backend_for(run)
    from speech_mtl.run.folder import Run
    from speech_mtl.screen import Screen
    from speech_mtl.study.lineage import write_forgetting

    path = write_forgetting(Run(run), split, screen=Screen(quiet))
    _print_markdown(path.read_text(encoding="utf-8").rstrip())
    print(f"The table is in {path}, its rows in {path.with_suffix('.json')}")


@app.command()
def transcribe(
    run: RunPath,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Audio files that libsndfile reads (wav, flac, mp3, ogg, ...), of any rate, up to the run's "
            "data.max_duration_s, which is 30 s if nobody changed it; folders of them; or patterns such as '*.wav'.",
        ),
    ],
    language: Annotated[str, typer.Option("--language", "-l", help="Whose output layer to use, such as zh-CN.")],
    labels: Annotated[bool, typer.Option("--labels", help="Write what the run's other tasks predict, too.")] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(WRITERS),
            help=" ".join(f"{name}: {(own.__doc__ or name).splitlines()[0]}" for name, own in WRITERS.items()),
        ),
    ] = next(iter(WRITERS)),
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a file for each recording there; else to standard output."),
    ] = None,
    changes: Decoding = None,
) -> None:
    """Print what is said in audio files, one line a file.

    A file that cannot be recognised is named on standard error, and the exit code is then 2.

    Example: speech-mtl transcribe runs/human --language zh-CN recording.wav

    Example: speech-mtl transcribe runs/human --language zh-CN FOLDER --format srt --out subtitles
    """
    _load_backend_for(run)
    from speech_mtl.files import write_text
    from speech_mtl.run.build import decoding_with
    from speech_mtl.run.folder import Run
    from speech_mtl.run.transcribe import audio_files, label_values, transcribe_files, transcript_paths
    from speech_mtl.screen import Screen

    screen, tasks = Screen(), Run(run).labelled() if labels else {}
    found, refused = audio_files(files), 0
    write = find_writer(form, labels, 1 if out else len(found))
    paths = transcript_paths(found, out, form) if out else {}
    decoding = decoding_with(Run(run).recipe(), changes or [])
    is_shown = out is None and sys.stdout.isatty()  # lines show it themselves
    shown = found if is_shown else screen.progress(found, "Transcribing")
    for path, told in transcribe_files(Run(run), shown, language, decoding):
        if isinstance(told, InputError):
            refused += 1
            screen.warn(f"{told.problem}: {told.received}")
        elif out:
            write_text(paths[path], write([told], [label_values(tasks, told)]))
        else:
            print(write([told], [label_values(tasks, told)]), end="", flush=True)
    if out and refused < len(found):
        print(f"The transcripts are in {out}")
    if refused:
        raise InputError(
            f"{refused} of {len(found)} files could not be transcribed",
            expected="audio files with speech",
            received="those named above",
            action="mend or convert these, or leave them out; the others are done",
        )


@app.command()
def compare(
    recipe: RecipePath,
    overrides: ComparisonOverrides = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; runs/compare-NAME-OF-RECIPE if not given.")] = None,
    jobs: Jobs = 1,
    engine: EngineName = "local",
    dry_run: DryRun = False,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Answer how much auxiliary languages help a target: every budget, arm and seed, with intervals and a report.

    Run again, it goes on where it was stopped. Example:

    speech-mtl compare recipes/human compare.budgets_min='[10, 20]' compare.seeds='[0, 1, 2]' --out runs/human
    """
    path = _comparison("compare", recipe, overrides, out, jobs, engine, dry_run, accept_changes, quiet)
    if path:
        print(f"The report is {path}/report.html; rows and plots lie beside it, the runs in {path}/runs/")


@app.command()
def transfer(
    recipe: RecipePath,
    overrides: ComparisonOverrides = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; runs/transfer-NAME-OF-RECIPE if not given.")] = None,
    jobs: Jobs = 1,
    engine: EngineName = "local",
    dry_run: DryRun = False,
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Map which language helps which: every language as the target, each other one as its only auxiliary.

    Run again, it goes on where it was stopped. Example:

    speech-mtl transfer recipes/synthetic compare.budgets_min='[1]' compare.arms='\\[pretrain_finetune]'
    """
    path = _comparison("transfer", recipe, overrides, out, jobs, engine, dry_run, accept_changes, quiet)
    if path:
        print(f"The map is in {path}/report.html; rows and plots lie beside it, the runs in {path}/runs/")


def _comparison(
    kind: str,
    recipe: Path,
    overrides: list[str] | None,
    out: Path | None,
    jobs: int,
    engine: str,
    dry_run: bool,
    accept_changes: bool,
    quiet: bool,
) -> Path | None:
    """Runs or only shows a comparison; returns the output folder if it ran."""
    from speech_mtl.backend import load_backend

    settings = _load_recipe(recipe, overrides)
    load_backend()
    from speech_mtl.screen import Screen
    from speech_mtl.study import compare as comparisons
    from speech_mtl.study import plan as plans

    path = out or Path("runs") / f"{kind}-{settings.name}"
    if dry_run:
        from speech_mtl.study.estimate import estimate_text

        planned = (plans.plan_comparison if kind == "compare" else plans.plan_transfer)(settings, path)
        _print_markdown(estimate_text(planned, jobs))
        return None
    run = comparisons.compare if kind == "compare" else comparisons.transfer
    results = run(settings, path, Screen(quiet), jobs, engine, accept_changes)
    _print_markdown(comparisons.comparison_text(results))
    return path


@app.command()
def tune(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; runs/tune-NAME-OF-RECIPE if not given.")] = None,
    jobs: Jobs = 1,
    engine: EngineName = "local",
    accept_changes: AcceptChanges = False,
    quiet: Quiet = False,
) -> None:
    """Search the weights of languages and tasks on the validation set: a grid, or Bayesian optimisation.

    Run again, it goes on where it was stopped. Example:

    speech-mtl tune recipes/weighting tune.weights='{zh: [0.5, 1, 2, 4]}' --jobs 2
    """
    from speech_mtl.backend import load_backend

    settings = _load_recipe(recipe, overrides)
    load_backend()
    from speech_mtl.screen import Screen
    from speech_mtl.study import tune as searches

    path = out or Path("runs") / f"tune-{settings.name}"
    tuned = searches.tune(settings, path, Screen(quiet), jobs, engine, accept_changes)
    _print_markdown(searches.tuned_text(tuned, settings))
    print(f"All trials are in {path}/tune.json, plots in {path}/plots/, the runs in {path}/runs/")
    print("Next: " + join(["speech-mtl", "train", str(recipe), searches.best_weighting(tuned)]))


@app.command()
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Output of compare or transfer, or a recipe with results.")
    ],
    to: Annotated[
        Path | None, typer.Option(help="Write it into this folder, with all that it is made of but the runs.")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Change nothing; fail if efficiency.json, arms.json, tasks.json or forgetting.json differs."
        ),
    ] = False,
) -> None:
    """Write a comparison's report anew from its results, also while the comparison still runs.

    Example: speech-mtl report runs/human --to recipes/human
    """
    from speech_mtl.study import results as reports

    if to and (check or len(folders) > 1):
        raise InputError(
            "--to takes the results of one folder",
            expected="one FOLDER, and no --check",
            received=f"{len(folders)} folders" + (" and --check" if check else ""),
            action="call it once for each folder",
        )
    if to:
        reports.refuse_foreign_target(to)
    for folder in folders:
        results = reports.load(folder)
        if check:
            reports.refuse_drift(results, folder)
            continue
        if to:
            reports.save(results, to)
        print(f"{reports.write_report(results, to or folder)[0]} written")


@app.command()
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

    The curve of each arm is prolonged, up to four times the largest budget; it takes three budgets or more. Example:

    speech-mtl predict recipes/human --error 10 --error 5
    """
    from speech_mtl.study.predict import prediction_text
    from speech_mtl.study.results import load

    _print_markdown(prediction_text(load(comparison), error or [], minutes or [], arm or [], language))


@app.command()
def tables(
    readmes: Annotated[
        list[Path] | None, typer.Argument(metavar="[README]...", help="README.md and recipes/*/README.md if not given.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if a table is not its JSON's.")] = False,
) -> None:
    """Write the tables in READMEs anew from the result files they name.

    Example: speech-mtl tables recipes/human/README.md
    """
    from speech_mtl.files import read_text, write_text
    from speech_mtl.study.report.readme import render_readme

    for path in readmes or [Path("README.md"), *sorted(Path("recipes").glob("*/README.md"))]:
        text = render_readme(path)
        if text == read_text(path):
            continue
        if check:
            raise InputError(
                f"{path} shows a table that differs from its JSON",
                expected="tables as `speech-mtl tables` writes them",
                received="other text between the result comments",
                action=f"speech-mtl tables {quote(str(path))}",
            )
        write_text(path, text)
        print(f"{path} written")


@app.command("settings")
def list_settings(
    word: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only settings with it in their key or description.")
    ] = "",
) -> None:
    """List the settings of recipes with their values, defaults and descriptions.

    Example: speech-mtl settings rate
    """
    from speech_mtl.settings.listing import all_settings, listing
    from speech_mtl.settings.recipe import Recipe

    found = [setting for setting in all_settings(Recipe) if setting.matches(word)]
    if not found:
        raise InputError(
            f"No setting has {word!r} in its key or description",
            expected="a word such as learning_rate or warm-up",
            received=word,
            action="`speech-mtl settings` lists all",
        )
    print(listing(found, shutil.get_terminal_size((100, 24)).columns))


def _print_markdown(text: str) -> None:
    text = printable(text, len(text))
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        print(text)


def main() -> None:
    """Runs the command line; what the user can mend is printed without a traceback."""
    escape_what_cannot_be_shown()
    try:
        app()
    except InputError as error:
        _print_error(error)
        sys.exit(2)
    except OSError as error:
        if (mendable := unusable_file(error)) is None:
            _report_fault()
        _print_error(mendable)
        sys.exit(2)
    except SystemExit as end:
        if end.code == STOPPED:
            print("\nStopped. train, finetune, compare, transfer and tune go on if started again.", file=sys.stderr)
        raise
    except Exception:
        _report_fault()


def _report_fault() -> NoReturn:
    traceback.print_exc()
    print("\nThis is a fault of speech-mtl. Please report it with all the lines above.", file=sys.stderr)
    sys.exit(1)


def _print_error(error: InputError) -> None:
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("Error: ", style="bold red").append(error.problem, style="bold"))
    for title, text in (("Expected: ", error.expected), ("Received: ", error.received), ("What to do: ", error.action)):
        console.print(Text(title, style="dim").append(text, style="default"))


if __name__ == "__main__":
    main()
