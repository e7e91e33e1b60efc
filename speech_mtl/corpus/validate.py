"""Checks manifests as training does, but finds all that is wrong instead of the first.

Every check of training is that of training itself: lines by `data.manifest`, audio by `data.store`, transcripts and
labels by `data.examples`, leaks by `data.leaks`. Memory does not grow with a manifest but by some 30 bytes a line, and
with the dev and test splits.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os.path import normpath
from typing import Any, NamedTuple

from speech_mtl.corpus.compare import Checked, compare
from speech_mtl.corpus.findings import Findings
from speech_mtl.corpus.manifests import ManifestFile, ManifestSet, readable
from speech_mtl.data.audio import refuse_duration
from speech_mtl.data.audio_file import refuse_no_file, sample_rate_and_channels
from speech_mtl.data.doubtful import damaged_letters, other_scripts
from speech_mtl.data.examples import Reading, Unusable, encoded, is_labelled
from speech_mtl.data.languages import is_registered
from speech_mtl.data.manifest import inspect_manifest, line_number, too_many_skipped
from speech_mtl.data.place import AudioError, place_of
from speech_mtl.data.store import AudioLimits, Skipped, decode
from speech_mtl.data.threads import ahead
from speech_mtl.data.tokenizer import Tokenizer, of_size
from speech_mtl.datatypes import TRANSCRIPT, Utterance
from speech_mtl.errors import InputError
from speech_mtl.files import NotUtf8, digest_of
from speech_mtl.run.build import audio_limits, build_model, build_targets, transcript_target
from speech_mtl.run.speech import other_language, training_reading
from speech_mtl.run.targets import scored_from, tokenizer_from
from speech_mtl.screen import Wrap, silent


class Audio(NamedTuple):
    """What is known of an utterance's audio.

    Attributes:
        num_samples: Its length; 0 where it is left out.
        digest: By which it is compared: of its samples, or of its path where it is not decoded.
        sample_rate_hz, channels: Of the file; 0 where it is not opened.
        skipped: Why it is left out, if it is.
    """

    num_samples: int = 0
    digest: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    skipped: Skipped | None = None


def validate(manifests: ManifestSet, findings: Findings, decoding: bool, wrap: Wrap = silent) -> list[Checked]:
    """Checks a set of manifests.

    Args:
        manifests: The set.
        findings: Where findings go.
        decoding: Whether audio is decoded; if not, its files must be there, and durations are those of the manifests.
        wrap: Shows a bar.

    Returns:
        What was checked, by manifest; not those that are missing or empty.
    """
    there = [file for file in manifests.files if _is_there(file, findings)]
    _note_no_validation(manifests, findings)
    readings, checked = _readings(manifests, there, findings), []
    for file in there:
        checked.append(Checked(file, findings))
        _check_lines(manifests, checked[-1], readings.get(file.language), decoding, wrap)
        _judge(manifests, checked[-1])
    compare(checked, manifests.recipe.data.allow_leaks, wrap)
    return checked


def _is_there(file: ManifestFile, findings: Findings) -> bool:
    try:
        next(inspect_manifest(file.path))
    except InputError as error:
        findings.add_error("no manifest", file.path, 0, error)
        return False
    return True


def _note_no_validation(manifests: ManifestSet, findings: Findings) -> None:
    """Notes training speech of a language that could be the target, if it had validation speech."""
    validated = {file.language for file in manifests.files if file.split == "dev"}
    for file in manifests.files:
        if file.split == "train" and file.language in {*manifests.recipe.validated_languages} - validated:
            message = "a target needs dev.jsonl, too: `speech-mtl data split` makes it from train.jsonl"
            findings.add("note", "no validation speech", file.path, 0, message)


def _readings(manifests: ManifestSet, files: Sequence[ManifestFile], findings: Findings) -> dict[str, Reading]:
    """How training reads the transcripts and labels of each language that has training speech."""
    recipe, tokenizers = manifests.recipe, dict[str, Tokenizer]()
    training = [file for file in files if file.split == "train" and recipe.languages[file.language].train]
    for language in dict.fromkeys(file.language for file in training):
        own = [file for file in training if file.language == language]
        if not is_registered(language):
            findings.add("note", "no known language", own[0].path, 0, f"{language} is the code of no language")
        try:
            tokenizers[language] = tokenizer_from(recipe, language, str(own[0].path), readable(own))
        except InputError as error:
            findings.add_error("no text at all", own[0].path, 0, error)
    if not tokenizers:
        return {}
    try:
        scored = scored_from(recipe, lambda: ((file.language, one) for file in training for one in readable([file])))
        targets = build_targets(recipe, tokenizers, scored)
    except InputError as error:
        findings.add_error("no such label", training[0].path, 0, error)
        targets = {TRANSCRIPT: transcript_target(recipe, tokenizers)}
    made_up = {language: of_size(2, language) for language in recipe.languages}
    model = build_model(recipe, {TRANSCRIPT: transcript_target(recipe, made_up)})
    return {language: training_reading(recipe, language, targets, model) for language in tokenizers}


def _check_lines(manifests: ManifestSet, checked: Checked, reading: Reading | None, decoding: bool, wrap: Wrap) -> None:
    file, data = checked.file, manifests.recipe.data
    inspected = partial(_decoded if decoding else _announced, limits=audio_limits(data))
    lines = wrap(inspect_manifest(file.path), f"{file.language} {file.split}", file.num_lines())
    for (where, utterance), audio in ahead(lambda pair: (pair, inspected(pair[1])), lines, data.num_threads):
        checked.num_lines += 1
        line = line_number(where)
        if isinstance(utterance, InputError):
            kind = "not UTF-8" if isinstance(utterance, NotUtf8) else "line that cannot be read"
            checked.add_error(kind, line, utterance)
            continue
        checked.ids.append(digest_of(utterance.id.encode()))
        checked.duration_s += utterance.duration_s
        checked.speakers.add(utterance.speaker)
        if error := other_language(manifests.recipe, file.language, utterance.language, where):
            checked.add_error("another language", line, error)
        _note_audio(checked, utterance, audio, line)
        _note_text(checked, utterance, line)
        if not audio.skipped and reading:
            _check_text(checked, utterance, audio.num_samples, reading, line)


def _decoded(utterance: Any, limits: AudioLimits) -> Audio:
    if isinstance(utterance, InputError):
        return Audio()
    samples = decode(utterance, limits)
    if isinstance(samples, Skipped):
        return Audio(skipped=samples)
    return Audio(len(samples), digest_of(samples.tobytes()), *sample_rate_and_channels(utterance.audio))


def _announced(utterance: Any, limits: AudioLimits) -> Audio:
    """The audio as its manifest has it: there must be a file."""
    if isinstance(utterance, InputError):
        return Audio()
    try:
        refuse_no_file(utterance.audio)
        refuse_duration(utterance.duration_s, utterance.audio, limits.min_duration_s, limits.max_duration_s)
    except AudioError as error:
        return Audio(skipped=Skipped(utterance.source, error.reason, str(error)))
    path = normpath(utterance.audio.absolute()).encode("utf-8", "surrogatepass")
    return Audio(int(utterance.duration_s * limits.sample_rate_hz), digest_of(path))


def _note_audio(checked: Checked, utterance: Utterance, audio: Audio, line: int) -> None:
    if audio.skipped:
        checked.num_left_out["audio"] += 1
        checked.add("left out", f"audio {audio.skipped.reason}", line, audio.skipped.message)
        return
    checked.audio_lines.append(line)
    checked.audio.append(audio.digest)
    if audio.sample_rate_hz:
        checked.sample_rates_hz[audio.sample_rate_hz] += 1
    if audio.channels > 1 and place_of(utterance.audio).channel is None:
        checked.add("note", "several channels", line, f"{audio.channels} channels, of which the mean is taken")


def _note_text(checked: Checked, utterance: Utterance, line: int) -> None:
    if utterance.text is None:
        checked.add("note", "no transcript", line, "the text is null: unknown")
        return
    for word in damaged_letters(utterance.text)[:1]:
        checked.add("note", "damaged letters", line, f"letters seem to be lost in {word!r}")
    for script, letters in other_scripts(utterance.text, checked.file.language).items():
        checked.add("note", "letters of another script", line, f"{letters} ({script}) in {utterance.text!r}")


def _check_text(checked: Checked, utterance: Utterance, num_samples: int, reading: Reading, line: int) -> None:
    """Encodes what is known of an utterance, as training does; of a dev or test utterance, its transcript only."""
    is_training = checked.file.split == "train"
    transcripts = replace(reading, targets=reading.targets[:1], min_speed_samples=1.0, complete=False)
    own = reading if is_training else transcripts
    try:
        row = encoded(utterance, num_samples, own)
    except Unusable as error:
        checked.num_left_out["text"] += is_training
        checked.add("left out" if is_training else "note", error.reason, line, error.message)
    except InputError as error:
        checked.add_error("no such label", line, error)
    else:
        checked.num_texts += is_labelled(row, own)


def _judge(manifests: ManifestSet, checked: Checked) -> None:
    """Whether training would refuse a manifest for what it leaves out of it, or because nothing is left."""
    allowed, num_read = manifests.recipe.data.allow_skipped, len(checked.ids)
    for kind in ("audio", "text"):
        number = checked.num_left_out[kind]
        if number and too_many_skipped(number, num_read, allowed):
            message = f"{number} of {num_read} utterances cannot be used; expected: at most {allowed:.0%}"
            checked.add("refused", f"too many left out for their {kind}", 0, message)
        num_read -= number
    if num_read and not checked.num_texts:
        checked.add("refused", "nothing to learn", 0, f"no transcript or label in {num_read} utterances")
