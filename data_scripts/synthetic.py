"""Synthetic speech in any of about a hundred languages: espeak-ng speaks phrases of locale data, with added noise.

For checks of the pipeline without a corpus. Results do not hold for human speech.
"""

import contextlib
import itertools
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated

import numpy as np
import pypinyin
import soundfile
import soxr
import typer

from data_scripts.articulation import articulation
from data_scripts.command_line import ALREADY_THERE, report_input_errors
from data_scripts.summaries import SplitSummary, print_summaries, summarise
from data_scripts.synthetic_text import split_of, texts
from speech_mtl.data.espeak import Delivery, Speech, espeak
from speech_mtl.data.manifest import manifest_path, write_manifest
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import replacing, write_text
from speech_mtl.screen import Screen

SAMPLE_RATE_HZ = 16000

# Variants of espeak's voices, chosen by measurement: German words spoken by each were told apart by comparing with
# the plain voice, and none is clipped. Left out are variants that failed, near copies of one another across splits,
# whispering ones, which have no pitch and so no tones, and those that speak half as fast again as the rest. Speakers of
# dev and test are not in training.
VARIANTS = {
    "train": (
        *("m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "croak", "klatt3", "klatt6"),
        *("Annie", "Mario", "belinda", "edward", "gustave"),
    ),
    "dev": ("m5", "Alex", "grandma"),
    "test": ("boris", "paul", "quincy", "steph"),
}
RATES = (110, 160)  # words per minute
PITCHES = (35, 65)
PITCH_RANGES = (30, 70)

EMOTIONS = {
    "calm": ((110, 150), (35, 60), (30, 60)),
    "happy": ((130, 175), (55, 80), (60, 95)),
    "sad": ((85, 125), (20, 45), (5, 35)),
    "angry": ((145, 190), (30, 55), (60, 95)),
}
"""Ways of speaking that stand for emotions: rates, pitches and pitch ranges. Neighbours overlap."""

GENDERS = {"m": "male", "f": "female"}
"""By the first letter of a variant with a number; of the others nothing is known."""

LABELS = ("articulation", "emotion", "gender", "rate")
"""What `--labels` can ask for; see `_labels`."""
SNRS_DB = (10.0, 30.0)
PEAKS = (0.3, 0.9)
DURATIONS_S = (0.8, 6.0)
NUM_TRIES = 50

BLOCK = 16
"""Utterances that a process makes at a time."""

README = """# Synthetic speech

Made by `python -m data_scripts.synthetic`: espeak-ng says phrases composed of Unicode CLDR locale data (places,
languages, dates, amounts) and spelled-out numbers, in several voices, with added noise. Good for checking the
machinery. It says nothing about human speech.
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Utterances of one split that one process makes: those with the numbers `start` to `stop - 1`."""

    data_dir: Path
    language: str
    split: str
    seed: int
    start: int
    stop: int
    labels: tuple[str, ...] = ()
    shared_voices: bool = False


def make_corpus(
    data_dir: Path,
    languages: list[str],
    *,
    train_minutes: dict[str, float],
    dev_utterances: int = 60,
    test_utterances: int = 150,
    seed: int = 0,
    labels: tuple[str, ...] = (),
    shared_voices: bool = False,
    jobs: int | None = None,
    overwrite: bool = False,
    screen: Screen | None = None,
) -> list[SplitSummary]:
    """Speaks a corpus: audio to `data_dir/LANGUAGE/audio/SPLIT/`, manifests to `data_dir/LANGUAGE/SPLIT.jsonl`.

    Every utterance depends on nothing but the seed, its language, its split and its number in the split. So a corpus
    with more minutes contains the one with fewer, and the number of processes changes nothing.

    Args:
        data_dir: Where the corpus goes.
        languages: BCP 47 tags that both espeak-ng and babel know.
        train_minutes: Minutes of training speech by language.
        dev_utterances: Utterances in dev, by each language.
        test_utterances: Utterances in test, by each language.
        seed: Another seed, another corpus.
        labels: Which of `LABELS` manifests have; with `emotion`, there are four ways of speaking.
        shared_voices: Whether dev and test have the voices of training, so that speakers can be recognised.
        jobs: Processes; None for as many as there are cores.
        overwrite: Make manifests and audio again that are there already.
        screen: Shows messages and progress; None for a new one.

    Raises:
        InputError: espeak-ng or babel does not know a language.
    """
    screen = screen or Screen()
    for language, split in itertools.product(languages, SPLITS):  # whether it can be done, before any is
        _speech(Block(data_dir, language, split, seed, 0, 1, labels, shared_voices), Random(0))
    write_text(data_dir / "README.md", README)
    summaries = []
    with _executor(jobs) as executor:
        for language, split in itertools.product(languages, SPLITS):
            first = Block(data_dir, language, split, seed, 0, BLOCK, labels, shared_voices)
            wished_s = 60 * train_minutes[language] if split == "train" else None
            wished = {"dev": dev_utterances, "test": test_utterances}.get(split)
            if manifest_path(data_dir, language, split).exists() and not overwrite:
                screen.say(ALREADY_THERE.format(manifest_path(data_dir, language, split)))
                summaries.append(summarise(data_dir, language, split))
            elif wished_s or wished:
                _make_split(executor, first, wished, wished_s, screen)
                summaries.append(summarise(data_dir, language, split, {}))
    return summaries


def _make_split(
    executor: Executor | None, first: Block, wished: int | None, wished_s: float | None, screen: Screen
) -> None:
    """Makes a split's audio and then its manifest, so that a manifest vouches for its audio."""
    path = manifest_path(first.data_dir, first.language, first.split)
    path.unlink(missing_ok=True)
    with contextlib.closing(_speak_on(executor, first, wished)) as spoken:
        wanted = _until(spoken, wished, wished_s)
        utterances = list(screen.progress(wanted, f"Speaking {first.language} {first.split}"))
    kept = {utterance.audio.name for utterance in utterances}
    for audio in (path.parent / "audio" / first.split).glob("*.flac*"):
        if audio.name not in kept:  # made ahead, or left from a larger corpus
            audio.unlink()
    write_manifest(path, utterances)


def _executor(jobs: int | None) -> contextlib.AbstractContextManager[Executor | None]:
    """Processes, as espeak's state is global; None to do the work in this one."""
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        return contextlib.nullcontext()
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _until(utterances: Iterator[Utterance], wished: int | None, wished_s: float | None) -> Iterator[Utterance]:
    """Utterances in the order of their numbers until there are as many, or as long ones, as wished."""
    duration_s = 0.0
    for count, utterance in enumerate(utterances, 1):
        yield utterance
        duration_s += utterance.duration_s
        if count == wished or (wished_s is not None and duration_s >= wished_s):
            return


def _speak_on(executor: Executor | None, first: Block, wished: int | None) -> Generator[Utterance, None, None]:
    """Speaks block after block, a few of them ahead if there are processes; without end if no number is wished."""
    starts = itertools.count(0, BLOCK) if wished is None else range(0, wished, BLOCK)
    blocks = (replace(first, start=start, stop=min(start + BLOCK, wished or sys.maxsize)) for start in starts)
    if executor is None:
        for block in blocks:
            yield from speak_block(block)
        return
    ahead = deque(executor.submit(speak_block, block) for block in itertools.islice(blocks, 1 + (os.cpu_count() or 1)))
    try:
        while ahead:
            yield from ahead.popleft().result()
            ahead.extend(executor.submit(speak_block, block) for block in itertools.islice(blocks, 1))
    finally:
        wait([future for future in ahead if not future.cancel()])  # so that no file turns up later


def speak_block(block: Block) -> list[Utterance]:
    """Makes the utterances of a block and writes their audio."""
    folder = block.data_dir / block.language / "audio" / block.split
    return [_speak_utterance(block, number, folder) for number in range(block.start, block.stop)]


def _speak_utterance(block: Block, number: int, folder: Path) -> Utterance:
    random = Random(f"{block.seed}/{block.language}/{block.split}/{number}")
    text, delivery, emotion, speech = _speech(block, random)
    waveform = with_noise(soxr.resample(speech.waveform, espeak().sample_rate_hz, SAMPLE_RATE_HZ), random)
    id = f"{block.language}-{block.split}-{number:06d}"
    path = folder / f"{id}.flac"
    with replacing(path) as temporary:
        soundfile.write(temporary, waveform, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    speaker = delivery.voice.split("/")[-1]
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    known = {
        "articulation": articulation(speech.phones, duration_s) if "articulation" in block.labels else None,
        "emotion": emotion,
        "gender": _gender(delivery.voice.split("+")[-1]),
        "rate": delivery.rate,
    }
    labels = {name: known[name] for name in block.labels}
    return Utterance(id, path, block.language, text, duration_s, speaker, labels)


def _gender(variant: str) -> str | None:
    return GENDERS.get(variant[0]) if variant[1:].isdigit() else None


def _speech(block: Block, random: Random) -> tuple[str, Delivery, str | None, Speech]:
    """A text of the block's split, its way of speaking, and the speech; tried until its length is in range."""
    voice = espeak().voice(block.language)
    variants = VARIANTS["train" if block.shared_voices else block.split]
    for _ in range(NUM_TRIES):
        text = texts(block.language).sample(
            random, lambda text: split_of(text) == block.split and is_read_well(text, voice)
        )
        emotion = random.choice(list(EMOTIONS)) if "emotion" in block.labels else None
        rates, pitches, pitch_ranges = EMOTIONS[emotion] if emotion else (RATES, PITCHES, PITCH_RANGES)
        delivery = Delivery(
            voice=f"{voice}+{random.choice(variants)}",
            rate=random.randint(*rates),
            pitch=random.randint(*pitches),
            pitch_range=random.randint(*pitch_ranges),
            seed=random.getrandbits(31),
        )
        speech = espeak().speak(text, delivery)
        if DURATIONS_S[0] <= len(speech.waveform) / espeak().sample_rate_hz <= DURATIONS_S[1]:
            return text, delivery, emotion, speech
    raise InputError(
        f"espeak-ng does not get along with texts in {block.language!r}",
        expected=f"between {DURATIONS_S[0]} and {DURATIONS_S[1]} seconds of speech",
        received=f"none among {NUM_TRIES} texts",
        action="leave the language out",
    )


def is_read_well(text: str, voice: str) -> bool:
    """Whether espeak knows how to read a text.

    It spells out letters that it does not know, in English, such as the Chinese letters of Japanese; and some Chinese
    letters have several readings, of which it takes another one than pypinyin.
    """
    phonemes = espeak().phonemes(text, voice)
    if "(en)" in phonemes:
        return False
    if voice != "sit/cmn":
        return True
    pinyin = " ".join(pypinyin.lazy_pinyin(text, style=pypinyin.Style.TONE3, neutral_tone_with_five=True))
    return _sounds(phonemes) == _sounds(espeak().phonemes(pinyin, "sit/cmn-Latn-pinyin"))


def _sounds(phonemes: str) -> str:
    """Phonemes without stress and pauses, which differ between words and single syllables."""
    return "".join(character for character in phonemes if character not in "',%=_:| ")


def with_noise(waveform: np.ndarray, random: Random) -> np.ndarray:
    """Adds white or pink noise at a random signal-to-noise ratio and scales to a random peak.

    Args:
        waveform: (S,) float32; not silent.
        random: Decides.
    """
    generator = np.random.default_rng(random.getrandbits(64))
    # A power of two, for lengths with large prime factors make the Fourier transform slow.
    noise = generator.standard_normal(1 << (len(waveform) - 1).bit_length(), dtype=np.float32)
    if random.random() < 0.5:  # pink: power falls with frequency
        spectrum = np.fft.rfft(noise)
        spectrum /= np.sqrt(np.arange(len(spectrum)) + 1)
        noise = np.fft.irfft(spectrum)
    noise = noise[: len(waveform)]
    ratio = np.sqrt(np.mean(waveform**2) / np.mean(noise**2)) / 10 ** (random.uniform(*SNRS_DB) / 20)
    noisy = waveform + ratio * noise
    return (noisy * random.uniform(*PEAKS) / np.max(np.abs(noisy))).astype(np.float32)


def parse_labels(text: str) -> tuple[str, ...]:
    """Reads `emotion,rate`.

    Raises:
        InputError: A name is not one of `LABELS`.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if unknown := [name for name in names if name not in LABELS]:
        raise InputError(
            f"--labels: there is no label {unknown[0]!r}",
            expected="any of " + ", ".join(LABELS),
            received=text,
            action="take it out",
        )
    return names


def parse_minutes(text: str, languages: list[str]) -> dict[str, float]:
    """Reads `20`, `zh=10,de=20` or `20,zh=10` as minutes by language.

    Raises:
        InputError: The text cannot be read so, or leaves a language without minutes.
    """
    minutes: dict[str, float] = {}
    default: float | None = None
    for part in text.split(","):
        language, equals, number = part.strip().rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf") or (equals and language not in languages):
            raise InputError(
                f"--train-minutes: {part.strip()!r} cannot be used",
                expected="minutes for all, or LANGUAGE=MINUTES for each of " + ", ".join(languages),
                received=text,
                action="write --train-minutes 20, or --train-minutes " + ",".join(f"{tag}=20" for tag in languages),
            )
        if equals:
            minutes[language] = value
        else:
            default = value
    if default is not None:
        minutes = dict.fromkeys(languages, default) | minutes
    if missing := [language for language in languages if language not in minutes]:
        raise InputError(
            f"--train-minutes: no minutes for {missing[0]!r}",
            expected="minutes for all, or LANGUAGE=MINUTES for each of " + ", ".join(languages),
            received=text,
            action=f"add {missing[0]}=MINUTES, or a number for all",
        )
    return minutes


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@report_input_errors
def command(
    data_dir: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="Where the corpus goes.")],
    languages: Annotated[str, typer.Option(help="BCP 47 tags with commas between them: zh,de,fr.")],
    train_minutes: Annotated[str, typer.Option(help="For all languages, or for each: zh=10,de=20.")] = "20",
    dev_utterances: Annotated[int, typer.Option(min=0, help="In each language.")] = 60,
    test_utterances: Annotated[int, typer.Option(min=0, help="In each language.")] = 150,
    seed: Annotated[int, typer.Option(help="Another seed, another corpus.")] = 0,
    labels: Annotated[str, typer.Option(help="Further labels of manifests: " + ", ".join(LABELS) + ".")] = "",
    shared_voices: Annotated[
        bool, typer.Option("--shared-voices", help="Dev and test have the voices of training: to recognise speakers.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. Default: as many as there are cores.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make manifests and audio again.")] = False,
) -> None:
    """Synthetic speech: phrases spoken by espeak-ng, and their manifests.

    \b
    Example:
      python -m data_scripts.synthetic data --languages zh,de,fr --train-minutes 20
    """
    tags = list(dict.fromkeys(tag.strip() for tag in languages.split(",")))
    summaries = make_corpus(
        data_dir,
        tags,
        train_minutes=parse_minutes(train_minutes, tags),
        dev_utterances=dev_utterances,
        test_utterances=test_utterances,
        seed=seed,
        labels=parse_labels(labels),
        shared_voices=shared_voices,
        jobs=jobs,
        overwrite=overwrite,
    )
    print_summaries(summaries)


if __name__ == "__main__":
    app()
