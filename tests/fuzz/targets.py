"""What is fuzzed: for each kind of input, whole ones to spoil, and the code that reads them."""

import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import soundfile
from mutations import EXTREMES, spoil_bytes, spoil_head, spoil_json, spoil_json_text, spoil_lines, spoil_numbers
from tones import spoken, tone_corpus, tone_recipe

from benchmarks.readmes import render_readme
from speech_mtl.data.audio import read_audio
from speech_mtl.data.manifest import read_manifest
from speech_mtl.data.pcm import read_pcm
from speech_mtl.datatypes import Hypothesis, Token
from speech_mtl.decoding.words import words
from speech_mtl.decoding.writers import find_writer
from speech_mtl.files import file_digest, json_text, write_text
from speech_mtl.run.build import build_optimizer
from speech_mtl.run.calibration import FEWEST_WORDS, RecognizedWord, save_calibrations
from speech_mtl.run.checkpoint import Checkpoints, load_recognizer
from speech_mtl.run.contents import weights_digest
from speech_mtl.run.evaluate import evaluate
from speech_mtl.run.folder import Run
from speech_mtl.run.language_detection import LanguageDetector
from speech_mtl.run.lm import make_lm
from speech_mtl.run.speech import open_split, training_utterances
from speech_mtl.run.stored_lm import lm_folder, read_record
from speech_mtl.run.targets import make_tokenizer, scored_from
from speech_mtl.run.train import train
from speech_mtl.run.transcribe import Transcriber
from speech_mtl.screen import Screen
from speech_mtl.settings.decoding import BeamDecoding
from speech_mtl.settings.recipe_file import load_recipe
from speech_mtl.study import results as report
from speech_mtl.study.plan import plan_comparison
from speech_mtl.training.objective import Objective
from speech_mtl.training.state import TrainState

PROJECT = Path(__file__).parents[2]
Trial = Callable[[], object]
TARGETS: dict[str, Callable[["Whole", Path, Random], Trial]] = {}


def target(make: Callable[["Whole", Path, Random], Trial]) -> Callable[["Whole", Path, Random], Trial]:
    """Enters a kind of input: a function that writes a spoilt one into a folder and gives the call that reads it."""
    TARGETS[make.__name__] = make
    return make


class Whole:
    """Whole inputs, made once: a tiny corpus of tones with its run, a recipe's results, audio in many formats.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        corpus = tone_corpus(num_train=6, data_dir=folder / "data", labels={"mood": ("calm", "happy")})
        short = {"training.num_updates": 2, "training.warmup_updates": 1, "training.evaluate_every": 1}
        tasks = {"tasks": {"mood": {}}, "weighting": {"kind": "uncertainty"}}
        self.recipe = tone_recipe(corpus, folder / "cache").overridden({**tasks, **short})
        self.run = train(self.recipe, folder / "run")
        self.spoken = spoken("abcd")
        screen = Screen(quiet=True)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            evaluate(self.run, ("dev",))
            make_lm(self.run, "aa", kinds=[None])
            LanguageDetector(self.run, load_recognizer(self.run), screen).calibrate()
        judged = [RecognizedWord(0.5 + i / 300, 1 + i % 5, i % 3 > 0) for i in range(FEWEST_WORDS)]
        save_calibrations(
            self.run, weights_digest(self.run), self.recipe.decoding, {"aa": judged, "bb": judged}, screen
        )
        self.audio = _audio_files(folder / "formats")

    def files(self) -> list[str]:
        """The files of the run, but not those that people alone read."""
        inside = [path.relative_to(self.run.path) for path in sorted(self.run.path.rglob("*")) if path.is_file()]
        return [path.as_posix() for path in inside if path.suffix in (".json", ".jsonl", ".yaml", ".safetensors")]


@target
def recipes(whole: Whole, folder: Path, random: Random) -> Trial:
    """A recipe file, spoilt as a document or as a text."""
    path = random.choice(sorted(PROJECT.glob("recipes/*/recipe.yaml")))
    if random.random() < 0.6:
        values = spoil_json(load_recipe(path).model_dump(mode="json"), random)
        content = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
    else:
        content = random.choice((spoil_bytes, spoil_lines))(path.read_bytes(), random)
    (folder / "recipe.yaml").write_bytes(content)
    return lambda: plan_comparison(load_recipe(folder), folder)


@target
def overrides(whole: Whole, folder: Path, random: Random) -> Trial:
    """Settings as they are typed on the command line."""
    wrong = ["", ".", "a..b", "languages.aa.tokenizer.kind.x", "=", "x" * 9999]
    keys = [*_dotted(whole.recipe.model_dump(mode="json")), *wrong]
    values = [*map(str, EXTREMES), "[1, 2]", "{a: 1}", "{kind: recurrent}", "!!int x", "&a [*a]", "'", "[", "- - -"]
    typed = [f"{random.choice(keys)}={random.choice(values)}" for _ in range(random.choice((1, 1, 2)))]
    if random.random() < 0.1:
        typed.append(random.choice(values))
    path = folder / "recipe.yaml"
    path.write_text(whole.recipe.to_yaml(), encoding="utf-8")
    return lambda: load_recipe(path, typed)


@target
def manifests(whole: Whole, folder: Path, random: Random) -> Trial:
    """A manifest, as far as training reads it: audio, tokeniser, labels."""
    path = whole.recipe.manifest("aa", "train")
    spoilt = folder / "train.jsonl"
    lines = path.read_text(encoding="utf-8").replace('"audio": "', f'"audio": "{path.parent}/')
    spoilt.write_bytes(spoil_json_text(lines, random))
    changes = {"languages.aa.manifests": {"train": str(spoilt)}, "data.cache_dir": str(folder / "cache")}
    recipe = whole.recipe.overridden(changes)

    def read() -> None:
        split = open_split(recipe, "aa", "train")
        make_tokenizer(recipe, split)
        scored_from(recipe, lambda: (("aa", one) for one in training_utterances(recipe, split)))

    return read


@target
def audio(whole: Whole, folder: Path, random: Random) -> Trial:
    """An audio file of any format, with a damaged head or cut."""
    path = random.choice(whole.audio)
    spoilt = folder / path.name
    spoilt.write_bytes(random.choice((spoil_head, spoil_head, spoil_bytes))(path.read_bytes(), random))

    def read() -> None:
        waveform = read_audio(spoilt, 16_000, 0.01, 30.0)
        if not (np.isfinite(waveform).all() and np.abs(waveform).max() <= 1):
            raise ValueError(f"samples beyond 1 or no numbers in {spoilt}")

    return read


@target
def run_folders(whole: Whole, folder: Path, random: Random) -> Trial:
    """A run folder in which one file is damaged, missing, or a folder."""
    run = Run(folder / "run")
    shutil.copytree(whole.run.path, run.path)
    path = run.path / random.choice(whole.files())
    content = path.read_bytes()
    way = random.random()
    if way < 0.1:
        path.unlink()
    elif way < 0.15:
        path.unlink()
        path.mkdir()
    elif path.suffix == ".safetensors":
        path.write_bytes(random.choice((spoil_head, spoil_bytes))(content, random))
    elif path.suffix == ".yaml":
        path.write_bytes(random.choice((spoil_lines, spoil_bytes))(content, random))
    else:
        path.write_bytes(spoil_json_text(content.decode(), random))

    def read() -> None:
        recognizer, recipe = load_recognizer(run), run.recipe()
        objective = Objective(recognizer.model.languages, tuple(run.targets().values()))
        optimizer = build_optimizer(recognizer.model, recipe.training)
        Checkpoints(run).load(
            TrainState(recognizer.model, optimizer, recipe.weighting.make(objective=objective, seed=recipe.seed))
        )
        for reads in (run.labels, run.parameters, run.commits):
            reads()
        run.trim_log(10**6)

    return read


@target
def result_files(whole: Whole, folder: Path, random: Random) -> Trial:
    """What a report is made of, in which one file is damaged."""
    source = random.choice([path.parent for path in sorted(PROJECT.glob("recipes/*/results.json"))])
    for name in ("results.json", "provenance.json", "curves.json"):
        if (source / name).is_file():
            shutil.copy(source / name, folder)
    for path in source.glob("*.jsonl.gz"):
        if random.random() < 0.5:
            shutil.copy(path, folder)
        else:
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    spoilt = random.choice(sorted(folder.iterdir()))
    if spoilt.suffix == ".gz":
        spoilt.write_bytes(spoil_bytes(spoilt.read_bytes(), random))
    else:
        spoilt.write_bytes(spoil_json_text(spoilt.read_text(encoding="utf-8"), random))
    return lambda: _summed_up(folder)


def _summed_up(folder: Path) -> object:
    found = report.load(folder)
    return replace(found, origin=replace(found.origin, num_replications=100)).summary


@target
def readmes(whole: Whole, folder: Path, random: Random) -> Trial:
    """A README with tables."""
    source = random.choice(sorted(PROJECT.glob("recipes/*/README.md")))
    for path in source.parent.glob("*.json"):
        (folder / path.name).symlink_to(path)
    path = folder / "README.md"
    path.write_bytes(random.choice((spoil_lines, spoil_bytes))(source.read_bytes(), random))
    return lambda: render_readme(path)


@target
def tables(whole: Whole, folder: Path, random: Random) -> Trial:
    """A corpus's table, from which a script makes a manifest that training can read."""
    from data_scripts import audiofolder, common_voice, kaldi, mls
    from data_scripts.command_line import make_manifests

    script = random.choice((audiofolder, common_voice, kaldi, mls))
    if script is common_voice:
        place = "de/train.tsv"
        content = "client_id\tpath\tsentence\n" + "".join(f"s\t{i}.wav\tder Satz {i}\n" for i in range(8))
        clips = [f"de/clips/{i}.wav" for i in range(8)]
    elif script is mls:
        place, content = "train/transcripts.txt", "".join(f"1_2_{i}\tder Satz {i}\n" for i in range(8))
        clips = [f"train/audio/1/2/1_2_{i}.flac" for i in range(8)]
    elif script is kaldi:
        tables = {"wav.scp": "{0}.wav", "text": "der Satz {0}", "utt2spk": "s{0}", "spk2age": "2{0}"}
        whole_tables = {name: "".join(f"s{i} {cell.format(i)}\n" for i in range(8)) for name, cell in tables.items()}
        for name, written in whole_tables.items():
            (folder / "corpus" / "train").mkdir(parents=True, exist_ok=True)
            (folder / "corpus" / "train" / name).write_text(written)
        name = random.choice(sorted(tables))
        place, content = f"train/{name}", whole_tables[name]
        clips = [f"{i}.wav" for i in range(8)]
    else:
        lines = [json.dumps({"file_name": f"{i}.wav", "text": f"der Satz {i}"}) for i in range(8)]
        place, content = "train/metadata.jsonl", "\n".join(lines) + "\n"
        clips = [f"train/{i}.wav" for i in range(8)]
    corpus = folder / "corpus"
    for clip in clips:
        (corpus / clip).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(corpus / clip, np.full(1600, 0.1), 16_000)
    spoil = spoil_json_text if script is audiofolder else lambda text, random: spoil_lines(text.encode(), random)
    (corpus / place).write_bytes(spoil(content, random))

    def read() -> None:
        make_manifests(script.CORPUS, corpus, folder / "data", ["de"], allow_skipped=0.9, screen=Screen(quiet=True))
        list(read_manifest(folder / "data" / "de" / "train.jsonl"))

    return read


@target
def pipes(whole: Whole, folder: Path, random: Random) -> Trial:
    """Samples on standard input, alone or in a WAV file."""
    wav = random.choice([path for path in whole.audio if path.name.startswith("WAV")]).read_bytes()
    content = random.choice((spoil_head, spoil_bytes))(wav[random.choice((0, 0, 0, 44)) :], random)
    (folder / "piped").write_bytes(content)

    def read() -> None:
        for samples in read_pcm(io.BytesIO(content), random.choice((8_000, 16_000))):
            if not (np.isfinite(samples).all() and np.abs(samples).max() <= 1.1):  # resampling overshoots
                raise ValueError("samples beyond 1 or no numbers")

    return read


@target
def language_models(whole: Whole, folder: Path, random: Random) -> Trial:
    """N-grams of a language, or what is known of them; their digests may fit, as if somebody had written them anew."""
    run = Run(folder / "run")
    shutil.copytree(whole.run.path, run.path)
    place = lm_folder(run, "aa")
    path = place / random.choice(("tokens.arpa", "words.arpa", "lm.json", "lm.json"))
    if path.suffix == ".json":
        path.write_bytes(spoil_json_text(path.read_text(encoding="utf-8"), random))
    else:
        path.write_bytes(random.choice((spoil_lines, spoil_lines, spoil_bytes))(path.read_bytes(), random))
        if random.random() < 0.9:
            record = read_record(run, "aa")
            record["files"] = {name: file_digest(place / name) for name in record["files"]}
            write_text(place / "lm.json", json_text(record))

    def read() -> None:
        recognizer = load_recognizer(run, BeamDecoding(width=4, num_best=2), calibrated=False)
        recognizer.transcribe([whole.spoken], "aa")

    return read


@target
def calibrations(whole: Whole, folder: Path, random: Random) -> Trial:
    """How confidences of words, or languages, are calibrated."""
    run = Run(folder / "run")
    shutil.copytree(whole.run.path, run.path)
    path = random.choice((run.calibration_path, run.languages_path))
    path.write_bytes(spoil_json_text(path.read_text(encoding="utf-8"), random))

    def read() -> None:
        for one in Transcriber(run.path, screen=Screen(quiet=True)).transcribe(whole.spoken):
            words(one)

    return read


@target
def annotations(whole: Whole, folder: Path, random: Random) -> Trial:
    """A file of ELAN or Praat beside its recording."""
    from data_scripts import elan, praat
    from data_scripts.command_line import make_manifests

    script, form = random.choice(((elan, "eaf"), (praat, "TextGrid")))
    corpus = folder / "corpus"
    corpus.mkdir()
    soundfile.write(corpus / "x.wav", whole.spoken, 16_000)
    tokens = tuple(Token(letter, i / 10, (i + 1) / 10, -0.1) for i, letter in enumerate("ab cd"))
    content = find_writer(form)([Hypothesis("x.wav", "de", "ab cd", -1.0, tokens=tokens, end_s=0.6)], [{}], 0.6)
    spoilt = random.choice((spoil_lines, spoil_lines, spoil_bytes, spoil_numbers))(content.encode(), random)
    (corpus / f"x.{form}").write_bytes(spoilt)

    def read() -> None:
        make_manifests(script.CORPUS, corpus, folder / "data", ["de"], allow_skipped=0.9, screen=Screen(quiet=True))
        list(read_manifest(folder / "data" / "de" / "train.jsonl"))

    return read


def _dotted(values: dict, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def _audio_files(folder: Path) -> list[Path]:
    """A second of a tone in every format that libsndfile writes."""
    folder.mkdir()
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype("float32")
    found = []
    for kind in sorted(soundfile.available_formats()):
        for subtype in sorted(soundfile.available_subtypes(kind)):
            path = folder / f"{kind}-{subtype}.{kind.lower()}"
            try:
                soundfile.write(path, tone, 16_000, format=kind, subtype=subtype)
            except (soundfile.SoundFileError, RuntimeError, ValueError):
                path.unlink(missing_ok=True)
                continue
            found.append(path)
    return found
