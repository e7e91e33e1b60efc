"""Commands that use a trained run: to test it, to try it, to make more of it, and to give it to others."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Decoding, Quiet, RunPath, on_this_machine, open_run, open_trained, wrong
from speech_mtl.cli.console import print_markdown
from speech_mtl.errors import refuse_missing


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
        Path | None, typer.Option(help="Other speech, in one language; results of the run's own dev and test are kept.")
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
        problem = "--manifest replaces --split, and is of one language"
        received = f"--split {' '.join(split)}" if split else f"{len(languages)} languages"
        raise wrong(problem, "--manifest FILE without --split, once for each language", received)
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
    run: RunPath, split: Annotated[str, typer.Option(help="dev (validation) or test.")] = "test", quiet: Quiet = False
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


def pseudo_label(
    run: RunPath,
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Manifests (.jsonl), of which lines with a text stay as they are; audio files; folders of them.",
        ),
    ],
    language: Annotated[str, typer.Option("--language", "-l", help="The language of the speech.")],
    to: Annotated[Path, typer.Option(metavar="MANIFEST", help="The manifest to write.")],
    keep: Annotated[float, typer.Option(min=0.01, max=1, help="Fraction to keep: the most confident.")] = 0.8,
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Least mean confidence of words.")] = 0.0,
    changes: Decoding = None,
    quiet: Quiet = False,
) -> None:
    """Transcribe untranscribed speech with a run, and write a manifest to train on, with confidences.

    Texts of a manifest stay; where they are null, the run's hypotheses are put in, unless they are filtered out. Such
    lines have the label pseudo_label, and are refused as validation and test speech.

    Example: speech-mtl pseudo-label runs/cs -l cs data/mine/cs/train.jsonl RADIO --to data/mine/cs/more.jsonl

    Example: speech-mtl train recipes/own target=cs 'languages={cs: {manifests: {train: data/mine/cs/more.jsonl}}}'
    """
    opened = open_trained(run)
    from speech_mtl.run.build import decoding_with
    from speech_mtl.run.pseudo_labelled import write_pseudo_labelled
    from speech_mtl.screen import Screen
    from speech_mtl.settings.data import PseudoLabelSettings

    settings = PseudoLabelSettings(teacher=run, keep=keep, min_confidence=min_confidence)
    decoding = decoding_with(opened.recipe(), changes or [])
    taught = write_pseudo_labelled(opened, language, sources, to, settings, decoding, Screen(quiet))
    print(f"{taught['num_kept']} pseudo-labels, {taught['kept_s'] / 60:.1f} minutes, are in {to}")


def export(
    run: RunPath,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder to write into.")],
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="Whose output layer to export; not needed if there is one.")
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="onnx|savedmodel|litert|run",
            help="onnx: for onnxruntime and sherpa-onnx. savedmodel: for TensorFlow. litert: for phones. "
            "run: the run itself, with all its languages and without what only training needs.",
        ),
    ] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Store matrices in 8 bits (onnx, litert).")] = False,
    licence: Annotated[
        str | None, typer.Option(help="What the model card says, such as CC-BY-4.0. It depends on the speech.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Copy the folder to this Hugging Face repository, too.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make that repository a private one.")] = False,
) -> None:
    """Write a trained run for other programs: features, encoder, one output layer, tokens and a model card.

    Example: speech-mtl export runs/human --language zh-CN --format onnx --int8 --out exported/zh

    Example: speech-mtl export runs/human --format run --out exported/human --licence CC-BY-4.0 --push USER/NAME
    """
    opened = open_trained(run)
    from speech_mtl.run import hub
    from speech_mtl.run.export import export as export_run

    written = export_run(opened, out, language, form, int8, licence)
    print(f"Written: {written}")
    if push:
        print(f"Copied to {hub.push(out, push, private)}")
    else:
        print(f"What it is and how to use it: {out}/README.md")


def demo(
    run: RunPath,
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN2]", help="A second run, to compare: a monolingual baseline, say.", callback=on_this_machine
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", "-l", help="The language chosen at first; the run's target if not given."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = 7860,
    max_seconds: Annotated[float, typer.Option(min=1, max=3600, help="Longest recording.")] = 60,
    max_mb: Annotated[float, typer.Option(min=0.1, max=1000, help="Largest file, in millions of bytes.")] = 20,
    changes: Decoding = None,
) -> None:
    """Open a page to try one or two runs on: record or upload speech; see spectrogram, token probabilities, words.

    Needs the extra `demo`. No recording is kept, and nothing is loaded from the internet.

    Example: speech-mtl demo runs/human --language zh-CN

    Example: speech-mtl demo runs/alone runs/pretrained
    """
    refuse_missing("werkzeug.serving", extra="demo", purpose="speech-mtl demo")
    opened = [open_trained(path) for path in (run, other) if path is not None]
    from speech_mtl.demo import server
    from speech_mtl.demo.shown import load_runs
    from speech_mtl.screen import Screen

    listening, local = server.listen(host, port), server.is_local(host)
    page = server.Page(load_runs(opened, changes or []), language, max_seconds, max_mb, local)
    if not local:
        Screen().warn(
            f"At {host} everybody in your network can open the page, and what they send is not encrypted. Browsers "
            "let a page record only at https addresses and at localhost: others can only upload files."
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as with Ctrl-C, an upload that is being read is removed
    server.serve(page, listening, lambda url: print(f"The page is at {url} until you press Ctrl-C", flush=True))
