"""Which files of the package an utterance passes between its manifest and its loss, seen in one real update.

    python benchmarks/traced_update.py TREE

Trains a tiny recipe of two languages with the package of TREE, for one update, and prints JSON: the files whose
functions are called from when a training manifest is opened until the first CTC loss is there, in order; and those of
them that handle utterances. A function handles utterances where an argument, a returned or a yielded value is or holds
one: a transcript, a waveform, or an array with a row for each utterance of the batch. Of the package only the command
`train` and the class name `Batch` are known, so that earlier layouts can be traced, too.
"""

import inspect
import json
import os
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType

LANGUAGES = ("aa", "bb")
NUM_UTTERANCES = 7
"""Of each language, and of a batch: a length that nothing else in the network has."""
NUM_SAMPLES = 16_411
TEXTS = [f"{a}{b}{a}{b}" for a, b in zip("abcdefg", "bcdefga", strict=True)]
"""Of training."""
DEPTH = 3
"""Depth to which values are searched."""

RECIPE = """
name: traced
target: aa
languages: {{aa: {{}}, bb: {{}}}}
data: {{dir: {data}, cache_dir: {cache}, batch_s: 7.5, num_threads: 1}}
features: {{num_mels: 20}}
augment: {{spec_augment: {{max_mels: 3}}, speeds: [1.0]}}
encoder: {{kind: conformer, num_layers: 1, dim: 16, num_heads: 2, kernel_size: 5, expansion: 2, channels: 4}}
training: {{num_updates: 1, warmup_updates: 1, evaluate_every: 1}}
"""


def write_speech(folder: Path) -> None:
    """A corpus of noise, whose training waveforms have a length that nothing else has, and texts of their own."""
    import numpy as np
    import soundfile

    generator = np.random.default_rng(0)
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True)
        for split, size in (("train", NUM_UTTERANCES), ("dev", 2), ("test", 2)):
            lines = []
            for number in range(size):
                name = f"{language}-{split}-{number}"
                trained, text = split == "train", TEXTS[number]
                waveform = 0.1 * generator.standard_normal(NUM_SAMPLES if trained else 2 * NUM_SAMPLES)
                soundfile.write(folder / language / f"{name}.wav", waveform, 16_000)
                line = {"id": name, "audio": f"{name}.wav", "language": language, "duration_s": len(waveform) / 16_000}
                lines.append(
                    json.dumps(line | {"text": text if trained else text[::-1], "speaker": f"{split}{number}"})
                )
            (folder / language / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Trace:
    """Traces every function of a package that is called between a manifest and a loss.

    Attributes:
        package: Its folder.
        entered: Files whose functions were called, by when first.
        handling: Of these, the ones that handle utterances.
        batch_size: Utterances of the first batch; None until there is one.
    """

    def __init__(self, package: Path):
        self.package = f"{package}{os.sep}"
        self.entered: dict[str, None] = {}
        self.handling: dict[str, None] = {}
        self.batch_size: int | None = None
        self.running = self.ended = False

    def opened(self, event: str, arguments: tuple) -> None:
        """Of `sys.addaudithook`: begins where a training manifest is opened."""
        if event == "open" and str(arguments[0]).endswith("train.jsonl"):
            self.running = not self.ended

    def __call__(self, frame: FrameType, event: str, value: object) -> None:
        if not self.running or event not in ("call", "return"):
            return
        file = frame.f_code.co_filename
        if file.startswith(self.package):
            self._see(frame, file.removeprefix(self.package), event, value)
        elif event == "return" and file.endswith("ctc_ops.py") and self.batch_size:
            self.running, self.ended = False, True

    def _see(self, frame: FrameType, file: str, event: str, value: object) -> None:
        if frame.f_code.co_name == "<module>":
            return
        self.entered.setdefault(file)
        if file in self.handling and self.batch_size:
            return
        values = [value] if event == "return" else list(_arguments(frame))
        if any(self.holds(one) for one in values):
            self.handling.setdefault(file)

    def holds(self, value: object, depth: int = DEPTH) -> bool:
        """Whether a value is an utterance or has some in it."""
        if isinstance(value, str):
            return value.strip() in TEXTS
        if type(value).__name__ == "Batch" and self.batch_size is None:
            self.batch_size = next(iter(_parts(value))).shape[0]
        shape = getattr(value, "shape", None)
        if shape is not None:
            return self._is_of_utterances(shape)
        return depth > 0 and any(self.holds(part, depth - 1) for part in _parts(value))

    def _is_of_utterances(self, shape: object) -> bool:
        try:
            sizes = [int(size) for size in shape]  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            return False
        return bool(sizes) and (sizes[-1] == NUM_SAMPLES or sizes[0] == self.batch_size)


def _arguments(frame: FrameType):
    code = frame.f_code
    num = code.co_argcount + code.co_kwonlyargcount
    num += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return [frame.f_locals[name] for name in code.co_varnames[:num] if name != "self" and name in frame.f_locals]


def _parts(value: object) -> list:
    if isinstance(value, Mapping):
        return list(value.values())[:20]
    if isinstance(value, (list, tuple)):
        return list(value)[:20]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return []


def main(tree: Path) -> None:
    one = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")  # a batch stays whole
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", **one}
    sys.path.insert(0, str(tree))
    import tensorflow as tf

    import speech_mtl
    from speech_mtl import cli

    package = Path(speech_mtl.__file__).resolve().parent
    if package.parent != tree:
        raise SystemExit(f"The package of {tree} was to be traced, and that of {package.parent} was imported")
    tf.config.run_functions_eagerly(True)
    trace = Trace(package)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_speech(folder / "data")
        (folder / "recipe.yaml").write_text(
            RECIPE.format(data=folder / "data", cache=folder / "cache"), encoding="utf-8"
        )
        output, sys.stdout = sys.stdout, sys.stderr
        sys.argv = ["speech-mtl", "train", str(folder / "recipe.yaml"), "--out", str(folder / "run")]
        sys.addaudithook(trace.opened)
        threading.setprofile(trace)
        sys.setprofile(trace)
        try:
            cli.main()
        except SystemExit as ended:
            if ended.code:
                raise
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
    if not trace.ended:
        raise SystemExit("No CTC loss of a batch was seen: was the package changed so that the trace has to be, too?")
    json.dump({"entered": list(trace.entered), "handling": list(trace.handling)}, output)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
