"""Recognises audio files with the exported network beside this program: python transcribe.py FILE...

Needs onnxruntime, numpy and soundfile, and nothing else. Copy what you need of it.
"""

import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

FOLDER = Path(__file__).parent


class Model:
    """An exported network with its tokens."""

    def __init__(self, folder: Path):
        self.metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
        self.tokens = [line.rsplit(" ", 1)[0].replace("▁", " ") for line in lines]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns of an input that may be left out
        self.session = onnxruntime.InferenceSession(folder / self.metadata["model"], options)

    def transcribe(self, waveform: np.ndarray) -> str:
        """(samples,) float32 in [-1, 1] at the model's rate -> text: the best token of each frame, as CTC has it."""
        log_probs, _ = self.session.run(["log_probs", "num_frames"], {"waveforms": waveform[None]})
        best = np.asarray(log_probs)[0].argmax(axis=-1)
        begins = np.diff(best, prepend=0) != 0  # the first blank, 0, changes nothing
        text = "".join(self.tokens[token] for token in best[begins] if token != 0)
        if joined := self.metadata["joined"]:  # of scripts with a letter for each syllable
            text = re.sub("|".join(map(re.escape, joined)), lambda parts: joined[parts[0]], text)
        return " ".join(unicodedata.normalize("NFC", text).split())


def main() -> None:
    """Prints the text of each file."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    model = Model(FOLDER)
    rate, least = model.metadata["sample_rate_hz"], model.metadata["min_samples"]
    for name in sys.argv[1:]:
        samples, file_rate = soundfile.read(name, dtype="float32", always_2d=True)
        if file_rate != rate:
            sys.exit(f"{name} has {file_rate} samples a second. Convert it: sox {name} -r {rate} converted.wav")
        if len(samples) < least:
            sys.exit(f"{name} is too short: it needs {least / rate:.2f} s")
        print(f"{name}\t{model.transcribe(samples.mean(axis=1))}")


if __name__ == "__main__":
    main()
