"""The command that gives a trained run to other programs."""

from pathlib import Path
from typing import Annotated

import typer

from speech_mtl.cli.arguments import RunPath, open_run


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
    opened = open_run(run)
    from speech_mtl.run import hub
    from speech_mtl.run.export import export as export_run

    written = export_run(opened, out, language, form, int8, licence)
    print(f"Written: {written}")
    if push:
        print(f"Copied to {hub.push(out, push, private)}")
    else:
        print(f"What it is and how to use it: {out}/README.md")
