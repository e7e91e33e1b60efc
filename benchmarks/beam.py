"""Greedy decoding against beam search with n-gram models, on test sets of runs whose models `speech-mtl lm` has tuned.

python -m benchmarks.beam RUN:LANGUAGE... [--pyctcdecode PYTHON] [--out benchmarks/beam.json]

Beside them flashlight's decoders where flashlight-text is installed, and pyctcdecode with a Python of its own that has
it and a `kenlm`: they use the same n-grams, and weights that are tuned on the same validation set.
"""

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, Table, provenance, report
from speech_mtl.backend import load_backend
from speech_mtl.scoring.error_rate import errors_by_utterance, lengths_by_utterance
from speech_mtl.scoring.tables import percent

NUM_REPLICATIONS = 10_000
WIDTH = 50

Decode = Callable[[Sequence[np.ndarray]], list[str]]


def main() -> None:
    """Decodes, writes the result file, and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beam", description=__doc__)
    parser.add_argument("cells", nargs="+", metavar="RUN:LANGUAGE")
    parser.add_argument("--pyctcdecode", metavar="PYTHON")
    parser.add_argument("--about", default="")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "beam.json")
    arguments = parser.parse_args()
    load_backend()
    rows = []
    for cell in arguments.cells:
        path, language = cell.rsplit(":", 1)
        rows += list(_measured(Path(path), language, arguments.pyctcdecode))
    result = provenance("beam " + " ".join(arguments.cells)) | {"about": arguments.about, "rows": rows}
    report(arguments.out, result, *_tables(rows))


def _measured(path: Path, language: str, pyctcdecode: str | None) -> Iterator[dict]:
    from speech_mtl.run.checkpoint import load_recognizer
    from speech_mtl.run.folder import Run
    from speech_mtl.run.stored_lm import lm_folder, load_lm, read_record

    run = Run(path)
    recognizer, folder = load_recognizer(run), lm_folder(run, language)
    tokenizer = recognizer.tokenizers[language]
    model = load_lm(run, language, tokenizer)
    dev, test = (_Split(run, recognizer, language, split) for split in ("dev", "test"))
    decoders = _ours(tokenizer, model) | _flashlight(folder, tokenizer, model, dev)
    if pyctcdecode and model.words:
        decoders["pyctcdecode"] = _pyctcdecode(pyctcdecode, folder, tokenizer, model, dev)
    greedy: np.ndarray | None = None
    for name, decode in decoders.items():
        started = time.process_time()
        texts = decode(test.log_probabilities)
        spent_s = time.process_time() - started
        errors = [np.array(own) for own in errors_by_utterance(test.texts, texts, tokenizer.spaced)]
        greedy = errors[0] if greedy is None else greedy
        row = {
            "run": path.name,
            "language": language,
            "decoder": name,
            "num_utterances": len(test.texts),
            "wer": errors[0].sum() / test.lengths[0],
            "cer": errors[1].sum() / test.lengths[1],
            "fewer_word_errors": _fewer(greedy, errors[0]),
            "network_real_time_factor": test.network_real_time_factor,
            # Of pyctcdecode its own process tells the time.
            "decoder_real_time_factor": getattr(decode, "spent_s", spent_s) / test.speech_s,
            "text_sentences": sum(source["used"] for source in read_record(run, language)["texts"]),
        }
        print(json.dumps(row), flush=True)
        yield row


class _Split:
    """Log-probabilities of a split and its transcripts."""

    def __init__(self, run: Any, recognizer: Any, language: str, split: str):
        from speech_mtl.run.references import load_references

        recipe, tokenizer = run.recipe(), recognizer.tokenizers[language]
        references = load_references(recipe, language, split, recognizer)
        started = time.process_time()
        found = dict(recognizer.log_probabilities_of_examples(references.examples, language, recipe.data.batch_s))
        spent_s, seconds = time.process_time() - started, references.examples.num_samples / recipe.data.sample_rate_hz
        self.network_real_time_factor = spent_s / float(seconds.sum())  # of all: also those without a transcript
        known = [i for i, text in enumerate(references.texts) if text]
        self.texts = [str(references.texts[i]) for i in known]
        self.log_probabilities = [found[i] for i in known]
        self.speech_s = float(seconds[known].sum())
        self.lengths = [sum(own) for own in lengths_by_utterance(self.texts, tokenizer.spaced)]
        self.spaced = tokenizer.spaced

    def errors(self, decode: Decode) -> int:
        """Word errors of a decoder."""
        return sum(errors_by_utterance(self.texts, decode(self.log_probabilities), self.spaced)[0])


def _ours(tokenizer: Any, model: Any) -> dict[str, Decode]:
    from speech_mtl.decoding.beam import Beam
    from speech_mtl.decoding.greedy import Greedy
    from speech_mtl.decoding.language_model import best_row

    vocabulary, language = tokenizer.vocabulary, tokenizer.language

    def texts(decoder: Any) -> Decode:
        def decode(values: Sequence[np.ndarray]) -> list[str]:
            return [decoder.decode(one).text(tokenizer) for one in values]

        return decode

    found = {
        "greedy": texts(Greedy(vocabulary, language)),
        "beam": texts(Beam(vocabulary, language, None, WIDTH, 1, "none", None, None, [], 1.0, True)),
    }
    tuned = best_row(model.tuning, tokenizer.spaced)
    for lm in dict.fromkeys(row["lm"] for row in model.tuning):
        name = f"beam, {lm}" + (" (chosen)" if tuned and tuned["lm"] == lm else "")
        found[name] = texts(Beam(vocabulary, language, model, WIDTH, 1, lm, None, None, [], 1.0, True))
    return found


def _flashlight(folder: Path, tokenizer: Any, model: Any, dev: _Split) -> dict[str, Decode]:
    """Its lexicon-free decoder with n-grams of tokens, and its lexicon decoder with n-grams of words."""
    try:
        from flashlight.lib.text import decoder as flashlight  # pyright: ignore[reportMissingImports]
        from flashlight.lib.text.decoder.kenlm import KenLM  # pyright: ignore[reportMissingImports]
        from flashlight.lib.text.dictionary import Dictionary  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    from speech_mtl.decoding.scorers import symbol

    size, ctc = len(tokenizer.vocabulary), flashlight.CriterionType.CTC
    space = tokenizer.vocabulary.index(" ")

    def texts(decoder: Any, values: Sequence[np.ndarray], padded: bool) -> list[str]:
        # Its lexicon decoder ends each word with a space: the last one, too.
        last = np.full((1, size), -1e4, "float32")
        last[0, space] = 0
        found = []
        for one in values:
            frames = np.ascontiguousarray(np.concatenate([one, last]) if padded else one, "float32")
            path = np.array(decoder.decode(frames.ctypes.data, *frames.shape)[0].tokens[1 : len(frames) + 1])
            kept = path[np.flatnonzero(np.diff(path, prepend=-1))]
            found.append(tokenizer.normalize(tokenizer.decode([int(token) for token in kept if token > 0])))
        return found

    tokens = KenLM(str(folder / "tokens.arpa"), Dictionary([symbol(one) for one in tokenizer.vocabulary]))

    def free(weight: float) -> Decode:
        options = flashlight.LexiconFreeDecoderOptions(WIDTH, size, 25.0, weight * math.log(10), 0.0, True, ctc)
        decoder = flashlight.LexiconFreeDecoder(options, tokens, space, 0, [])
        return lambda values: texts(decoder, values, False)

    found = {"flashlight, tokens": _tuned(dev, [free(weight) for weight in (0.2, 0.4, 0.6)])}
    if model.words:
        spelt = list(model.spellings.items())
        words = KenLM(str(folder / "words.arpa"), Dictionary([word for word, _ in spelt]))
        trie = flashlight.Trie(size, space)
        start = words.start(False)
        for i, (_, spelling) in enumerate(spelt):
            trie.insert([*spelling, space], i, words.score(start, i)[1])
        trie.smear(flashlight.SmearingMode.MAX)

        def bound(weight: float, bonus: float) -> Decode:
            options = flashlight.LexiconDecoderOptions(
                WIDTH, size, 25.0, weight * math.log(10), bonus, -math.inf, 0.0, True, ctc
            )
            decoder = flashlight.LexiconDecoder(options, trie, words, space, 0, -1, [], False)
            return lambda values: texts(decoder, values, True)

        row = min((row for row in model.tuning if row["lm"] == "words"), key=lambda row: row["word_errors"])
        found["flashlight, words"] = bound(row["lm_weight"], row["word_score"])
    return found


def _tuned(dev: _Split, candidates: Sequence[Decode]) -> Decode:
    """The one with the fewest word errors in the validation set."""
    return min(candidates, key=dev.errors)


PYCTCDECODE = """
import json, sys, time, numpy
from pyctcdecode import build_ctcdecoder
folder, given = sys.argv[1:]
values = numpy.load(given + "/values.npz")
told = json.load(open(given + "/told.json"))
words, weights = folder + "/words.arpa", {"alpha": told["alpha"], "beta": told["beta"]}
decoder = build_ctcdecoder(told["labels"], words, told["words"], **weights)
started = time.process_time()
texts = [decoder.decode(values[str(i)], beam_width=told["width"]) for i in range(len(values.files))]
json.dump({"texts": texts, "spent_s": time.process_time() - started}, open(given + "/found.json", "w"))
"""


def _pyctcdecode(python: str, folder: Path, tokenizer: Any, model: Any, dev: _Split) -> Decode:
    def made(alpha: float, beta: float) -> Decode:
        def decode(values: Sequence[np.ndarray]) -> list[str]:
            with tempfile.TemporaryDirectory() as given:
                arrays: dict[str, Any] = {str(i): one for i, one in enumerate(values)}
                np.savez(Path(given, "values.npz"), **arrays)
                told = {"labels": ["", *tokenizer.vocabulary[1:]], "words": model.words.symbols, "width": WIDTH}
                Path(given, "told.json").write_text(json.dumps(told | {"alpha": alpha, "beta": beta}))
                subprocess.run([python, "-c", PYCTCDECODE, str(folder), given], check=True, stderr=subprocess.DEVNULL)
                found = json.loads(Path(given, "found.json").read_text())
            decode.spent_s = found["spent_s"]  # pyright: ignore[reportFunctionMemberAccess]
            return [tokenizer.normalize(text) for text in found["texts"]]

        return decode

    return _tuned(dev, [made(alpha, beta) for alpha, beta in ((0.3, 0.5), (0.3, 2.0), (0.6, 0.5), (0.6, 2.0))])


def _fewer(greedy: np.ndarray, errors: np.ndarray) -> list[float]:
    """By what part of greedy decoding's word errors these are fewer, with a 95 % interval (paired bootstrap)."""
    drawn = np.random.default_rng(0).integers(0, len(errors), (NUM_REPLICATIONS, len(errors)))
    replicates = 1 - errors[drawn].sum(axis=1) / greedy[drawn].sum(axis=1)
    return [float(1 - errors.sum() / greedy.sum()), *np.quantile(replicates, [0.025, 0.975]).tolist()]


def _tables(rows: Sequence[dict]) -> Iterator[Table]:
    heads = (
        "Decoder",
        "WER %",
        "CER %",
        "Fewer word errors than greedy % (95 %)",
        "RTF of decoder",
        "RTF with network",
    )
    for run, language in dict.fromkeys((row["run"], row["language"]) for row in rows):
        own = [row for row in rows if (row["run"], row["language"]) == (run, language)]
        lines = []
        for row in own:
            mean, low, high = (f"{100 * value:.1f}" for value in row["fewer_word_errors"])
            factor = row["decoder_real_time_factor"]
            times = f"{factor:.4f}", f"{factor + row['network_real_time_factor']:.4f}"
            fewer = "" if row is own[0] else f"{mean} ({low} to {high})"
            lines.append([row["decoder"], percent(row["wer"]), percent(row["cer"]), fewer, *times])
        size = f"{own[0]['num_utterances']} utterances, n-grams of {own[0]['text_sentences']} sentences"
        yield Table(f"{language} of {run}: {size}", heads, lines)


if __name__ == "__main__":
    main()
