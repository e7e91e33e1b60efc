"""A trained run as a folder for others: one language of it in the format of another program, or the run itself.

OUT/model.onnx, saved_model/ or model.tflite    see `export.formats`
OUT/tokens.txt  metadata.json                   the vocabulary; sample rate and frames
OUT/transcribe.py                               beside ONNX: a program of onnxruntime and numpy that recognises files
OUT/README.md                                   the model card
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speech_mtl.data.languages import named_or_only
from speech_mtl.errors import InputError, no_such
from speech_mtl.export.formats import FORMATS
from speech_mtl.export.network import LanguageNetwork
from speech_mtl.files import json_text, write_text
from speech_mtl.run.card import export_card, run_card
from speech_mtl.run.checkpoint import load_recognizer
from speech_mtl.run.folder import Run

EXAMPLE = Path(__file__).parents[1] / "export" / "onnx_example.py"
"""A program by itself; it is copied, and imported nowhere."""

PACKED = "run"
"""The format that is the run itself."""

NEEDED = (
    *("format.json", "settings.yaml", "tokenizers", "tasks", "lm", "calibration.json", "languages.json"),
    *("parameters.json", "evaluation.json", "evaluation.md", "evaluated.json", "tasks.json"),
    "public_models.json",
)
"""Files of a run that are packed besides its best weights: for recognition and for the model card."""


def export(
    run: Run, out: Path, language: str | None, form: str = "onnx", int8: bool = False, licence: str | None = None
) -> Path:
    """Writes a language of a trained run in a format of `FORMATS`, or the whole run for `PACKED`, and a model card.

    Args:
        out: The folder, which is made; whole or not at all.
        language: Whose output layer is exported. It may be None in a run of one language, and must be for `PACKED`.
        int8: Whether matrices are stored in 8 bits.
        licence: For the card, such as `CC-BY-4.0`.

    Returns:
        What programs read: the file or folder of the network, or the packed run.

    Raises:
        InputError: The run is not trained, has no such language, or cannot be written in that format; there is no such
            format; the folder holds something.
    """
    if form not in (*FORMATS, PACKED):
        raise no_such(f"There is no format {form!r}", form, (*FORMATS, PACKED))
    if form == PACKED and (language or int8):
        raise InputError(
            "A packed run has all its languages, as they were trained",
            expected="--format run without --language and --int8",
            received=" ".join([f"--language {language}"] * bool(language) + ["--int8"] * int8),
            action="leave these out, or choose another format",
        )
    with _new_folder(out) as folder:
        if form == PACKED:
            _pack(run, folder)
            write_text(folder / "README.md", run_card(run, out.name, licence))
            return out
        network = _network(run, language)
        written = FORMATS[form].write(network, folder, int8)
        metadata = network.metadata() | {"format": form, "int8": int8, "model": written.name}
        write_text(folder / "tokens.txt", network.tokens())
        write_text(folder / "metadata.json", json_text(metadata))
        if form == "onnx":
            shutil.copyfile(EXAMPLE, folder / "transcribe.py")
        write_text(folder / "README.md", export_card(run, out.name, metadata, licence))
    return out / written.name


def _network(run: Run, language: str | None) -> LanguageNetwork:
    problem = f"{run.path} has several languages, and one is exported"
    name = named_or_only(language, list(run.recipe().languages), problem)
    recognizer = load_recognizer(run)
    return LanguageNetwork(recognizer.model, recognizer.tokenizers[name], recognizer.sample_rate_hz)


def _pack(run: Run, folder: Path) -> None:
    best = run.best_folder()
    for path in [*(run.path / name for name in NEEDED), best]:
        target = folder / path.relative_to(run.path)
        if path.is_dir():
            shutil.copytree(path, target)
        elif path.is_file():
            shutil.copyfile(path, target)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Gives a temporary folder, which becomes `out` when the block ends well.

    Raises:
        InputError: There is something already.
    """
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(
            f"{out} is there already",
            expected="a new or empty folder",
            received="a folder with files in it" if out.is_dir() else "a file",
            action="choose another folder with --out, or remove this one",
        )
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".export-") as temporary:
        folder = Path(temporary) / "whole"
        folder.mkdir()
        yield folder
        folder.rename(out)
