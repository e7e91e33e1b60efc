"""Pages about manifests, in the look of reports: counts with plots, and utterances to listen to."""

from base64 import b64encode
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from speech_mtl.corpus.listen import Sampled
from speech_mtl.corpus.stats import RARE, Counted, Spread, table
from speech_mtl.datatypes import SPLITS
from speech_mtl.errors import printable
from speech_mtl.study.report import style
from speech_mtl.study.report.blocks import Cell, Clip, Plot, Report, Section, Table
from speech_mtl.study.report.page import render_page

SPREAD = "Marker: median over utterances. Line: from the 5th to the 95th percentile."


def stats_page(title: str, counted: Sequence[Counted]) -> str:
    """A page with the counts of manifests, as tables and plots."""
    hours = sum(one.duration_s for one in counted) / 3600
    languages = dict.fromkeys(one.file.language for one in counted)
    with style.drawing():
        plots = [
            _plot("hours", "Hours of speech", "Hours", "", counted),
            _plot("durations", "Length of utterances", "Seconds", SPREAD, counted),
            _plot("rates", "Speaking rate", "Letters per second", SPREAD, counted),
        ]
    sections = [
        Section("Speech by language and split", [table(counted), plots[0]]),
        Section("Lengths and speaking rates", plots[1:]),
        Section("Characters", [_characters(one) for one in counted]),
        Section("Speakers", [_speakers(one) for one in counted if one.speakers_s]),
    ]
    answer = f"{hours:.2f} hours in {len(languages)} language" + "s" * (len(languages) != 1)
    return render_page(Report(f"Speech of {title}", f"{len(counted)} manifests", answer, "", sections))


def listen_page(title: str, sample: Sequence[Sampled], seed: int) -> str:
    """A page with utterances, their transcripts and their audio."""
    sections = []
    for language in dict.fromkeys(one.file.language for one in sample):
        own = [one for one in sample if one.file.language == language]
        sections.append(Section(f"{language}: {len(own)} utterances", [_clip(one) for one in own]))
    seconds = sum(one.utterance.duration_s for one in sample)
    answer = f"{len(sample)} random utterances, {seconds / 60:.1f} minutes"
    about = "Audio is as training gets it: mono, at data.sample_rate_hz. Transcripts are as the manifests have them."
    return render_page(Report(f"Utterances of {title}", f"Seed {seed}", answer, about, sections))


def _clip(one: Sampled) -> Clip:
    utterance = one.utterance
    facts = f"{one.file.split}, speaker {utterance.speaker or 'unknown'}, {utterance.duration_s:.1f} s"
    facts += "".join(f", {name} {value}" for name, value in utterance.labels.items())
    audio = "data:audio/flac;base64," + b64encode(one.flac).decode() if one.flac else ""
    text = "(no transcript)" if utterance.text is None else utterance.text
    return Clip(utterance.id, one.file.language, text, facts, utterance.source, audio, one.problem)


def _plot(name: str, title: str, unit: str, caption: str, counted: Sequence[Counted]) -> Plot:
    """A row for each manifest, grouped by folder: a bar of hours, or the spread of a quantity."""
    folders = [one.file.path.parent for one in counted]
    places = np.arange(len(counted)) + 0.6 * np.cumsum([0, *(a != b for a, b in pairwise(folders))])
    figure, (axes,) = style.panels([""], 0.17 * (places[-1] + 1), head=0.75)
    for place, one in zip(places.tolist(), counted, strict=True):
        colour = style.COLOURS[SPLITS.index(one.file.split)]
        if name == "hours":
            axes.barh(place, one.duration_s / 3600, height=0.6, color=colour)
        elif spread := Spread.of(one.durations_s if name == "durations" else one.letters_per_s):
            axes.plot([spread.low, spread.high], [place, place], color=colour)
            axes.plot(spread.median, place, "o", color=colour)
    axes.set_xlim(left=0)
    axes.set_xlabel(unit)
    names = [f"{style.shortened(one.file.language, 16)} {one.file.split}" for one in counted]
    style.name_rows(axes, dict(zip(places.tolist(), names, strict=True)), float(places[-1]))
    return style.saved(name, f"{title} by language and split", caption, figure)


def _characters(one: Counted) -> Table:
    """Of each character, how often it comes; of a rare one, where."""
    rows = [
        [
            Cell(char),
            Cell(" ".join(f"U+{ord(part):04X}" for part in char)),
            Cell(one.first[char] if number < RARE else ""),
            Cell(f"{number:,}", number, strong=number < RARE),
        ]
        for char, number in sorted(one.characters.items(), key=lambda pair: pair[1])
    ]
    title = f"{one.file.language} {one.file.split}: {len(one.characters)} characters, {len(one.rare)} of them rare"
    note = f"Bold: fewer than {RARE} times."
    return Table(title, ("character", "code", "first in", "number"), rows, 3, note, folded=True)


def _speakers(one: Counted) -> Table:
    rows = [
        [Cell(printable(name)), Cell(f"{seconds / 60:.1f}", seconds)] for name, seconds in one.speakers_s.most_common()
    ]
    title = f"{one.file.language} {one.file.split}: {len(one.speakers_s)} speakers"
    return Table(title, ("speaker", "minutes"), rows, 1, folded=True)
