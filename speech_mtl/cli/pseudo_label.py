"""The command that makes training speech of untranscribed speech."""

from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import Decoding, Quiet, RunPath, open_run


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
    opened = open_run(run)
    from speech_mtl.run.build import decoding_with
    from speech_mtl.run.pseudo_labelled import write_pseudo_labelled
    from speech_mtl.screen import Screen
    from speech_mtl.settings.data import PseudoLabelSettings

    settings = PseudoLabelSettings(teacher=run, keep=keep, min_confidence=min_confidence)
    decoding = decoding_with(opened.recipe(), changes or [])
    taught = write_pseudo_labelled(opened, language, sources, to, settings, decoding, Screen(quiet))
    print(f"{taught['num_kept']} pseudo-labels, {taught['kept_s'] / 60:.1f} minutes, are in {to}")
