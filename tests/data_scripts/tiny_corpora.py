"""A tiny corpus in the layout of each corpus script, made on the spot: `TINY_CORPORA` by the script's name.

A new corpus script needs one here; the conformance test asks for it.
"""

import gzip
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

SAMPLE_RATE_HZ = 16000
CORPORA = Path(__file__).parents[2].parent / "shared" / "corpora"
"""Human speech beside the checkout; tests that want it skip where it is absent."""


@dataclass(frozen=True)
class TinyCorpus:
    """Where a tiny corpus lies, and what its script needs to be told and has to find, in seconds by split."""

    path: Path
    language: str
    durations_s: dict[str, list[float]]
    speakers: set[str | None]


DURATIONS_S = {"train": [0.5, 1.0, 1.5], "dev": [0.25], "test": [2.0, 0.75]}


def write_tone(path: Path, duration_s: float) -> None:
    """Writes a tone, in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    kinds = {
        ".mp3": ("MP3", None),
        ".opus": ("OGG", "OPUS"),
        ".ogg": ("OGG", None),
        ".flac": ("FLAC", None),
        ".wav": ("WAV", None),
    }
    kind, subtype = kinds[path.suffix]
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * times_s), SAMPLE_RATE_HZ, format=kind, subtype=subtype)


def common_voice(folder: Path, language: str = "cs") -> TinyCorpus:
    """`cs/clips/*.mp3` and tables, with a quotation mark that belongs to a sentence."""
    for split, durations_s in DURATIONS_S.items():
        rows = ["client_id\tpath\tsentence\tlocale"]
        for number, duration_s in enumerate(durations_s):
            name = f"common_voice_{language}_{split}_{number}.mp3"
            write_tone(folder / language / "clips" / name, duration_s)
            rows.append(f'speaker{number}\t{name}\t"Věta číslo {number}.\t{language}')
        (folder / language / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return TinyCorpus(folder, language, DURATIONS_S, {"speaker0", "speaker1", "speaker2"})


def mls(folder: Path, suffix: str = ".opus") -> TinyCorpus:
    """`mls_polish_opus/train/audio/17/42/17_42_000001.opus` and so on."""
    corpus = folder / "mls_polish_opus"
    for split, durations_s in DURATIONS_S.items():
        lines = []
        for number, duration_s in enumerate(durations_s):
            id = f"17_42_{number:06d}"
            write_tone(corpus / split / "audio" / "17" / "42" / f"{id}{suffix}", duration_s)
            lines.append(f"{id}\tzdanie numer {number}\n")
        (corpus / split / "transcripts.txt").write_text("".join(lines), encoding="utf-8")
    return TinyCorpus(corpus, "pl", DURATIONS_S, {"17"})


def audiofolder(folder: Path) -> TinyCorpus:
    """`train/0.wav`, ... beside `train/metadata.jsonl`, and so on."""
    for split, durations_s in DURATIONS_S.items():
        name = {"dev": "validation"}.get(split, split)
        with_lines = []
        for number, duration_s in enumerate(durations_s):
            write_tone(folder / name / f"{number}.wav", duration_s)
            with_lines.append({"file_name": f"{number}.wav", "sentence": f"Sentence {number}.", "speaker": "ann"})
        lines = "".join(json.dumps(line) + "\n" for line in with_lines)
        (folder / name / "metadata.jsonl").write_text(lines, encoding="utf-8")
    return TinyCorpus(folder, "en", DURATIONS_S, {"ann"})


def kaldi(folder: Path) -> TinyCorpus:
    """`data/train/{wav.scp,text,utt2spk,spk2gender,spk2age}`, each in another order, and so on."""
    for split, durations_s in DURATIONS_S.items():
        ids = [f"spk{number}-{split}" for number in range(len(durations_s))]
        for number, duration_s in enumerate(durations_s):
            write_tone(folder / "audio" / split / f"{number}.wav", duration_s)
        tables = {
            "wav.scp": [f"{id} audio/{split}/{number}.wav" for number, id in enumerate(ids)],
            "text": [f"{id} sentensi namba {id[3]}" for id in reversed(ids)],
            "utt2spk": [f"{id}\tspk{id[3]}" for id in sorted(ids, key=lambda id: (int(id[3]) + 1) % 3)],
            "spk2gender": [f"spk{number} {'mf'[number % 2]}" for number in range(len(ids))],
            "spk2age": [f"spk{number} {number + 20}" for number in range(len(ids))],
        }
        for name, lines in tables.items():
            (folder / "data" / split).mkdir(parents=True, exist_ok=True)
            (folder / "data" / split / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return TinyCorpus(folder, "sw", DURATIONS_S, {"spk0", "spk1", "spk2"})


def fleurs(folder: Path) -> TinyCorpus:
    """`da_dk/train.tsv` and `da_dk/audio/train/*.wav`, and so on; two readers of one sentence share its id."""
    for split, durations_s in DURATIONS_S.items():
        rows = []
        for number, duration_s in enumerate(durations_s):
            write_tone(folder / "da_dk" / "audio" / split / f"{number}.wav", duration_s)
            num_samples = round(duration_s * SAMPLE_RATE_HZ)
            words = f"Sætning nummer {number}.", f"sætning nummer {number}", "s æ t n i n g |"
            rows.append("\t".join([str(number // 2), f"{number}.wav", *words, str(num_samples), "FEMALE"]))
        (folder / "da_dk" / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return TinyCorpus(folder, "da", DURATIONS_S, {None})


def ljspeech(folder: Path) -> TinyCorpus:
    """`metadata.csv`, `wavs/*.wav`, and a list of ids a split."""
    rows = []
    for split, durations_s in DURATIONS_S.items():
        ids = [f"LJ-{split}-{number}" for number in range(len(durations_s))]
        for id, duration_s in zip(ids, durations_s, strict=True):
            write_tone(folder / "wavs" / f"{id}.wav", duration_s)
            rows.append(f'{id}|The "1st sentence.|The "first sentence.')
        (folder / f"{split}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return TinyCorpus(folder, "en", DURATIONS_S, {None})


GAP_S = 0.3


def write_recording(path: Path, durations_s: Sequence[float]) -> list[tuple[float, float]]:
    """Writes one recording with a tone for each duration and pauses between; where each begins and ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    starts_s = [GAP_S + sum(durations_s[:i]) + i * GAP_S for i in range(len(durations_s))]
    spans_s = [(start_s, start_s + duration_s) for start_s, duration_s in zip(starts_s, durations_s, strict=True)]
    times_s = np.arange(round((spans_s[-1][1] + GAP_S) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    loud = np.any([(times_s >= start_s) & (times_s < end_s) for start_s, end_s in spans_s], axis=0)
    soundfile.write(path, 0.5 * loud * np.sin(2 * np.pi * 440 * times_s), SAMPLE_RATE_HZ)
    return spans_s


def elan(folder: Path) -> TinyCorpus:
    """`train/recording.eaf` beside `train/recording.wav`, and so on, with an empty annotation."""
    pympi = pytest.importorskip("pympi.Elan")
    for split, durations_s in DURATIONS_S.items():
        spans_s = write_recording(folder / split / "recording.wav", durations_s)
        eaf = pympi.Eaf()
        eaf.add_tier("text", part="ann")
        for number, (start_s, end_s) in enumerate(spans_s):
            eaf.add_annotation("text", round(start_s * 1000), round(end_s * 1000), f"věta číslo {number}")
        eaf.add_annotation("text", 0, 100, " ")
        eaf.to_file(folder / split / "recording.eaf")
    return TinyCorpus(folder, "cs", DURATIONS_S, {"ann"})


def praat(folder: Path) -> TinyCorpus:
    """`train/recording.TextGrid` beside `train/recording.wav`, and so on; pauses are empty intervals."""
    textgrid = pytest.importorskip("praatio.textgrid")
    for split, durations_s in DURATIONS_S.items():
        spans_s = write_recording(folder / split / "recording.wav", durations_s)
        grid = textgrid.Textgrid(0, spans_s[-1][1] + GAP_S)
        entries = [(*span, f"věta číslo {number}") for number, span in enumerate(spans_s)]
        grid.addTier(textgrid.IntervalTier("text", entries, 0, spans_s[-1][1] + GAP_S))
        grid.save(str(folder / split / "recording.TextGrid"), "long_textgrid", includeBlankSpaces=True)
    return TinyCorpus(folder, "cs", DURATIONS_S, {None})


def voxpopuli(folder: Path) -> TinyCorpus:
    """`transcribed_data/cs/asr_train.tsv` and `transcribed_data/cs/2018/*.ogg`, and so on."""
    for split, durations_s in DURATIONS_S.items():
        rows = ["id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender"]
        for number, duration_s in enumerate(durations_s):
            id = f"20180101-0900-PLENARY-{split}-cs_{number}"
            write_tone(folder / "transcribed_data" / "cs" / "2018" / f"{id}.ogg", duration_s)
            raw = "Věta číslo 1." if number else ""
            rows.append(f"{id}\t{raw}\tvěta číslo jedna\t{'124' if number else 'None'}\t{split}\tfemale")
        path = folder / "transcribed_data" / "cs" / f"asr_{split}.tsv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return TinyCorpus(folder, "cs", DURATIONS_S, {None, "124"})


def nemo(folder: Path) -> TinyCorpus:
    """`train_manifest.json` with files and stretches of a recording, `dev` likewise, and `test` with two tars."""
    lines: dict[str, list[dict]] = {split: [] for split in DURATIONS_S}
    for split in ("train", "dev"):
        whole, *cut = DURATIONS_S[split]
        write_tone(folder / split / "whole.flac", whole)
        lines[split].append({"audio_filepath": f"{split}/whole.flac", "duration": whole, "text": "die ganze Aufnahme"})
        spans_s = write_recording(folder / split / "recording.wav", cut or [0.1])
        for start_s, end_s in spans_s[: len(cut)]:
            line = {"audio_filepath": f"{split}/recording.wav", "offset": start_s, "duration": end_s - start_s}
            lines[split].append({**line, "text": "ein Stück", "speaker": "ann"})
    for number, duration_s in enumerate(DURATIONS_S["test"]):
        write_tone(folder / "a.wav", duration_s)
        with tarfile.open(folder / f"audio_{number}.tar", "w") as tar:
            tar.add(folder / "a.wav", "test.wav")
        (folder / "a.wav").unlink()
        line = {"audio_filepath": "test.wav", "duration": duration_s, "text": "im Archiv", "shard_id": number}
        lines["test"].append(line)
    for split, own in lines.items():
        text = "".join(json.dumps(line) + "\n" for line in own)
        (folder / f"{split}_manifest.json").write_text(text, encoding="utf-8")
    return TinyCorpus(folder, "de", DURATIONS_S, {None, "ann"})


def lhotse(folder: Path) -> TinyCorpus:
    """`tiny_cuts_train.jsonl.gz` and so on: a supervision is all of a recording, or a stretch of one."""
    for split, durations_s in DURATIONS_S.items():
        whole, *cut = durations_s
        write_tone(folder / "audio" / f"{split}.flac", whole)
        spans_s = [(0.0, whole), *write_recording(folder / "audio" / f"{split}.wav", cut or [0.1])][: len(durations_s)]
        cuts = []
        for number, (start_s, end_s) in enumerate(spans_s):
            name = f"audio/{split}.{'wav' if number else 'flac'}"
            source = {"type": "file", "channels": [0], "source": name}
            recording = {"id": name, "sources": [source], "sampling_rate": SAMPLE_RATE_HZ, "num_samples": 1}
            recording["duration"] = soundfile.info(folder / name).duration
            begin_s = max(0, start_s - 0.1)
            own = {"id": f"{split}-{number}", "recording_id": name, "start": start_s - begin_s, "channel": 0}
            own |= {"duration": end_s - start_s, "text": "mening", "language": "Swedish", "speaker": "ann"}
            one = {"id": f"cut-{number}", "start": begin_s, "duration": 0.2 + end_s - start_s, "channel": 0}
            cuts.append({**one, "supervisions": [own], "recording": recording, "type": "MonoCut"})
        with gzip.open(folder / f"tiny_cuts_{split}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("".join(json.dumps(cut) + "\n" for cut in cuts))
    return TinyCorpus(folder, "sv", DURATIONS_S, {"ann"})


def webdataset(folder: Path) -> TinyCorpus:
    """`train-0.tar` with `a/0.flac` and `a/0.txt`, and so on; of the test speech `a/0.json` instead."""
    folder.mkdir(parents=True)
    for split, durations_s in DURATIONS_S.items():
        with tarfile.open(folder / f"{split}-0.tar", "w") as tar:
            for number, duration_s in enumerate(durations_s):
                write_tone(folder / "a.flac", duration_s)
                tar.add(folder / "a.flac", f"a/{number}.flac")
                text = f"lause {number}" if split != "test" else json.dumps({"text": "lause", "speaker": "ann"})
                (folder / "a.txt").write_text(text, encoding="utf-8")
                tar.add(folder / "a.txt", f"a/{number}.{'json' if split == 'test' else 'txt'}")
    for name in ("a.flac", "a.txt"):
        (folder / name).unlink()
    return TinyCorpus(folder, "fi", DURATIONS_S, {None, "ann"})


TINY_CORPORA: dict[str, Callable[[Path], TinyCorpus]] = {
    "audiofolder": audiofolder,
    "common_voice": common_voice,
    "elan": elan,
    "fleurs": fleurs,
    "kaldi": kaldi,
    "lhotse": lhotse,
    "ljspeech": ljspeech,
    "mls": mls,
    "nemo": nemo,
    "praat": praat,
    "voxpopuli": voxpopuli,
    "webdataset": webdataset,
}
