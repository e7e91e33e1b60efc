"""Random utterances of manifests, with their audio as training gets it."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import soundfile

from speech_mtl.corpus.manifests import ManifestFile, ManifestSet
from speech_mtl.data.audio import read_audio
from speech_mtl.data.languages import find_language
from speech_mtl.data.place import AudioError
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import digest_of
from speech_mtl.screen import Wrap, silent


@dataclass(frozen=True)
class Sampled:
    """An utterance of a sample.

    Attributes:
        file: Its manifest.
        utterance: As that has it.
        flac: Its audio as a FLAC file, mono at the `data.sample_rate_hz` of its recipe; None if it cannot be decoded.
        problem: Why not.
    """

    file: ManifestFile
    utterance: Utterance
    flac: bytes | None
    problem: str = ""


def sampled(
    manifests: Sequence[ManifestSet],
    languages: Sequence[str] | None,
    splits: Sequence[str] | None,
    number: int,
    seed: int,
    wrap: Wrap = silent,
) -> list[Sampled]:
    """Samples so many utterances of each language; which ones is up to the seed and their ids, not to their order.

    Raises:
        InputError: There is no manifest of these languages and splits, or one cannot be read.
    """
    rates_hz = {file: one.recipe.data.sample_rate_hz for one in manifests for file in one.files}
    chosen = [
        file
        for file in rates_hz
        if (not languages or find_language(file.language, languages)) and (not splits or file.split in splits)
    ]
    if not chosen:
        raise InputError(
            "No manifest is of these languages and splits",
            expected=f"languages among {', '.join(sorted({file.language for file in rates_hz}))}, splits among "
            + ", ".join(SPLITS),
            received=" ".join([*(languages or ()), *(splits or ())]) or "no manifest",
            action="name others with --language and --split",
        )
    found = []
    for language in dict.fromkeys(file.language for file in chosen):
        own = [file for file in chosen if file.language == language]
        pairs = ((file, utterance) for file in own for utterance in file.utterances())
        listed = wrap(pairs, f"{language}", sum(file.num_lines() for file in own))
        found += heapq.nsmallest(
            number, listed, key=lambda pair: (digest_of(f"{seed}/{pair[1].id}".encode()), pair[1].source)
        )
    return [_with_audio(file, utterance, rates_hz[file]) for file, utterance in found]


def _with_audio(file: ManifestFile, utterance: Utterance, sample_rate_hz: int) -> Sampled:
    try:
        waveform = read_audio(utterance.audio, sample_rate_hz)
    except AudioError as error:
        return Sampled(file, utterance, None, f"{error.reason}: {error}")
    flac = BytesIO()
    soundfile.write(flac, waveform, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return Sampled(file, utterance, flac.getvalue())
