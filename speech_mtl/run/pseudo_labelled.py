"""Writes a manifest in which a trained run's hypotheses stand where transcripts are unknown."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from speech_mtl.data.audio import usable
from speech_mtl.data.audio_file import duration_s
from speech_mtl.data.languages import is_form_of, own_name
from speech_mtl.data.manifest import line_number, read_manifest, write_manifest
from speech_mtl.datatypes import PSEUDO_LABEL, Utterance
from speech_mtl.errors import InputError
from speech_mtl.run.folder import Run
from speech_mtl.run.pseudo_labels import Taught, taught_line, teach
from speech_mtl.run.speech import open_split
from speech_mtl.run.transcribe import audio_files
from speech_mtl.screen import SILENT, Screen
from speech_mtl.settings.data import PseudoLabelSettings
from speech_mtl.settings.decoding import DecodingSettings


def write_pseudo_labelled(
    run: Run,
    language: str,
    sources: Sequence[Path],
    to: Path,
    settings: PseudoLabelSettings,
    decoding: DecodingSettings | None = None,
    screen: Screen = SILENT,
) -> Taught:
    """Transcribes untranscribed speech with a run, and writes it as training speech, beside what is transcribed.

    Lines with a text stay as they are. The others get a text with the label `pseudo_label`, which tells the confidence
    and the teacher; where the filters leave it out, the text stays null.

    Args:
        run: The teacher.
        language: Of all the speech.
        sources: Manifests (`.jsonl`), audio files and folders of them.
        to: The manifest to write, in a place where nothing lies.
        decoding: How the teacher decodes; as its settings tell if None.

    Raises:
        InputError: A source cannot be read, is of another language or has a text for everything, the place is taken, or
            no hypothesis passes the filters.
    """
    recipe = run.recipe()
    name = own_name(language, recipe.languages)
    if to.exists():
        raise _refused(f"{to} is there already", "a new manifest", "a file or folder at that path")
    utterances = list(_utterances(sources, name))
    if all(one.text is not None for one in utterances):
        problem = f"{', '.join(map(str, sources))}: no untranscribed speech"
        raise _refused(problem, "audio, or lines whose text is null", "a text for each line")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "speech" / "untranscribed.jsonl"
        write_manifest(path, utterances)
        changes = {"manifests": {"train": path}, "budget_s": None, "keep_transcripts": 1.0, "pseudo_labels": settings}
        own = recipe.languages[name].model_copy(update={**changes, "manifest_languages": ()})
        changes = {"languages": recipe.languages | {name: own}, "data.decode_once": True}
        split = open_split(recipe.overridden(changes), name, "train")
        for skip in split.store.skipped.values():
            screen.warn(f"{utterances[line_number(skip.source) - 1].audio}: left out: {skip.message}")
        found = teach(recipe, split, settings, screen, decoding)
        screen.say(taught_line(name, found.taught, found.labels))
        sure = {label["id"]: label["confidence"] for label in found.labels if not label["left_out"]}
        teacher = {"teacher": found.taught["teacher"], "weights": found.taught["weights"]}
        write_manifest(
            to,
            (
                replace(u, labels={**u.labels, PSEUDO_LABEL: {"confidence": sure[u.id], **teacher}})
                if u.id in sure
                else u
                for u in found.fill(split).utterances()
            ),
        )
    return found.taught


def _utterances(sources: Sequence[Path], language: str) -> Iterator[Utterance]:
    """The utterances of all sources; their ids differ.

    Raises:
        InputError: They do not, or a source cannot be read or is of another language.
    """
    seen: set[str] = set()
    manifests = [path for path in sources if path.suffix == ".jsonl"]
    known = chain.from_iterable(map(read_manifest, manifests))
    for one in chain(known, _audio([path for path in sources if path not in manifests], language)):
        if one.id in seen:
            raise _refused(f"{one.source}: the id {one.id!r} comes twice", "ids that differ", one.id)
        if not is_form_of(one.language, language):
            raise _refused(f"{one.source}: the language is another", language, one.language)
        seen.add(one.id)
        yield one


def _audio(paths: Sequence[Path], language: str) -> Iterator[Utterance]:
    for path in audio_files(paths):
        with usable(
            str(path), path, f"{path} cannot be transcribed", "give another one, or leave it out", "audio with speech"
        ):
            seconds = duration_s(path)
        yield Utterance(str(path), path.resolve(), language, None, seconds, source=str(path))


def _refused(problem: str, expected: str, received: object) -> InputError:
    return InputError(problem, expected=expected, received=received, action="give another one, or leave it out")
