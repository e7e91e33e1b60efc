"""The command line that every corpus script shares: from a corpus to `DATA_DIR/LANGUAGE/{train,dev,test}.jsonl`.

A corpus script fills in one `Corpus` and calls `corpus_app`. Its function yields a `Record` an utterance, or `Unusable`
for a row that is none; reading durations, skipping and counting what cannot be used, manifests, progress and the
closing table are done here.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from data_scripts.corpus import Corpus, Part, Record
from data_scripts.recognise import naming_the_script
from data_scripts.summaries import SplitSummary, print_summaries, summarise
from data_scripts.tables import Unusable
from speech_mtl.cli.console import run
from speech_mtl.data.audio_file import duration_s
from speech_mtl.data.doubtful import damaged_letters
from speech_mtl.data.manifest import (
    manifest_line,
    manifest_path,
    most_skipped,
    read_manifest,
    write_manifest,
)
from speech_mtl.data.place import AudioError
from speech_mtl.data.rules import language_rule
from speech_mtl.data.threads import ahead
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError, printable
from speech_mtl.screen import Screen

ALLOW_SKIPPED = 0.01
"""Fraction of a split's utterances that may be unusable before a script gives up."""

_MADE = "; `speech-mtl data split` makes it from training speech"
NO_SPLIT: dict[str, str] = {"dev": _MADE, "test": _MADE}
"""What can be done about a split that a corpus lacks."""

ALREADY_THERE = "{} is there already and is left as it is (--overwrite makes it again)"

SHOWN = 5
"""Doubtful texts that are shown; the others are counted."""

LONGEST_MESSAGE = 400
"""Letters of a message about one utterance."""


def make_manifests(
    corpus: Corpus,
    path: str | Path,
    data_dir: Path,
    languages: list[str] | None = None,
    *,
    overwrite: bool = False,
    allow_skipped: float = ALLOW_SKIPPED,
    audio_in: Sequence[Path] = (),
    screen: Screen | None = None,
    **options: Any,
) -> list[SplitSummary]:
    """Writes the manifests of a corpus, where they are not there yet.

    Args:
        corpus: The kind of corpus, such as `data_scripts.common_voice.CORPUS`.
        path: Where this one lies.
        data_dir: Manifests go to `data_dir/LANGUAGE/{train,dev,test}.jsonl`.
        languages: BCP 47 tags; None if the corpus itself tells.
        overwrite: Make manifests again that are there already.
        allow_skipped: The largest fraction of a split's utterances that may be unusable.
        audio_in: Folders besides the corpus to which links in it may lead.
        screen: Shows messages and progress; None for a new one.
        **options: The corpus's own options.

    Raises:
        InputError: The corpus is not there or is not what it should be, or too much of it is unusable.
    """
    part = Part(str(path), "", "", data_dir, screen or Screen(), audio_in)
    summaries: list[SplitSummary] = []
    with naming_the_script(corpus.script, str(path)):
        for language in languages or _only_language(corpus, str(path), options):
            language_rule(language)  # refuses what is no tag
            summaries += _of_language(corpus, replace(part, language=language), overwrite, allow_skipped, options)
    return summaries


def _of_language(
    corpus: Corpus, part: Part, overwrite: bool, allow_skipped: float, options: dict[str, Any]
) -> list[SplitSummary]:
    parts = [replace(part, split=split) for split in SPLITS]
    found = [_make_manifest(corpus, one, overwrite, allow_skipped, options) for one in parts]
    if not any(found):
        told = corpus.languages(part.corpus, **options)
        raise InputError(
            f"{part.corpus}: no utterances in {part.language!r}",
            expected=f"utterances in {part.language}" if told else corpus.layout,
            received="utterances in " + ", ".join(told) if told else "none of the splits " + ", ".join(SPLITS),
            action="check the path and --language",
        )
    return [summary for summary in found if summary is not None]


def corpus_app(corpus: Corpus) -> typer.Typer:
    """The command of a corpus script: the shared arguments and options, and the corpus's own options."""

    def command(
        corpus_path: Annotated[str, typer.Argument(metavar="CORPUS", help=f"Where the corpus lies: {corpus.layout}.")],
        data_dir: Annotated[
            Path, typer.Argument(metavar="DATA_DIR", help="Manifests go to DATA_DIR/LANGUAGE/{train,dev,test}.jsonl.")
        ],
        language: Annotated[
            list[str] | None,
            typer.Option(help="BCP 47 tag such as cs or zh-CN; can be repeated. Default: the corpus's, if it tells."),
        ] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Make manifests again that are there.")] = False,
        allow_skipped: Annotated[
            float,
            typer.Option(min=0.0, max=1.0, help="The fraction of a split that may be unusable; 0 for none at all."),
        ] = ALLOW_SKIPPED,
        audio_in: Annotated[
            list[Path] | None,
            typer.Option(help="A folder outside the corpus to which links in it may lead; can be repeated."),
        ] = None,
        **options: Any,
    ) -> None:
        shared = {"overwrite": overwrite, "allow_skipped": allow_skipped, "audio_in": audio_in or ()}
        summaries = make_manifests(corpus, corpus_path, data_dir, language, **shared, **options)
        print_summaries(summaries)

    command.__doc__ = f"{corpus.title}: from the corpus on disk to manifests.\n\n\b\nExample:\n  {corpus.example}"
    _add_options(command, corpus.records)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(report_input_errors(command))
    return app


def report_input_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Wraps a command so that it ends as those of `speech-mtl` do: what the user can fix is printed as such."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        run(functools.partial(command, *args, **kwargs))

    return wrapped


def _only_language(corpus: Corpus, path: str, options: dict[str, Any]) -> list[str]:
    found = corpus.languages(path, **options)
    if len(found) == 1:
        return found
    raise InputError(
        f"{path}: the language has to be given",
        expected="--language with a BCP 47 tag such as cs",
        received="a corpus in " + ", ".join(found) if found else "a corpus that does not tell its language",
        action="add --language " + (found[0] if found else "TAG"),
    )


def _make_manifest(
    corpus: Corpus, part: Part, overwrite: bool, allow_skipped: float, options: dict[str, Any]
) -> SplitSummary | None:
    """Writes one manifest and sums it up; None if the corpus has no such split."""
    path = manifest_path(part.data_dir, part.language, part.split)
    if path.exists() and not overwrite:
        part.screen.say(ALREADY_THERE.format(path))
        _warn_of_other_origin(path, part)
        return summarise(part.data_dir, part.language, part.split)
    records = corpus.records(part, **options)
    if records is None:
        part.screen.say(f"{part.corpus}: no split {part.split!r} in {part.language!r}{NO_SPLIT.get(part.split, '')}")
        return None
    part.data_dir.mkdir(parents=True, exist_ok=True)  # refused at once, not after hours of reading
    utterances, skipped = _usable(records, part)
    _check_skipped(part, len(utterances), skipped, allow_skipped)
    _warn_of_doubtful_texts(utterances, part)
    write_manifest(path, utterances)
    return summarise(part.data_dir, part.language, part.split, dict(skipped))


def _warn_of_other_origin(path: Path, part: Part) -> None:
    """Warns if an existing manifest was made from other input than now asked for."""
    utterances = read_manifest(path)
    first = next(utterances)
    if others := {first.language, *(utterance.language for utterance in utterances)} - {part.language}:
        part.screen.warn(f"{path}: its lines are in {', '.join(sorted(others))}, not in {part.language}")
    corpus, audio = Path(part.corpus).resolve(), first.audio.resolve()
    if corpus.is_dir() and not any(map(audio.is_relative_to, (corpus, part.data_dir.resolve()))):
        part.screen.warn(f"{path}: its audio does not lie in {part.corpus} but in {audio.parent}: of another corpus?")


def _warn_of_doubtful_texts(utterances: Sequence[Utterance], part: Part) -> None:
    """Names the texts in which letters were destroyed, or rows of a table ran together; they are kept as they are."""
    doubtful = {
        "hold letters that were destroyed (in a wrong encoding?)": [
            (one.source, ", ".join(words))
            for one in utterances
            if one.text is not None and (words := damaged_letters(one.text))
        ],
        "hold a line break (a quotation mark that is not closed?)": [
            (one.source, repr(one.text)) for one in utterances if one.text is not None and "\n" in one.text.strip()
        ],
    }
    for problem, found in doubtful.items():
        if found:
            part.screen.warn(f"{part.language} {part.split}: {len(found):,} of {len(utterances):,} texts {problem}:")
        for source, words in found[:SHOWN]:
            part.screen.say(printable(f"  {source}: {words}", LONGEST_MESSAGE))
        if len(found) > SHOWN:
            part.screen.say(f"  and {len(found) - SHOWN:,} more")


def _usable(records: Iterable[Record | Unusable], part: Part) -> tuple[list[Utterance], Counter[str]]:
    """Reads the durations; what cannot be used is reported and counted by reason."""
    utterances: list[Utterance] = []
    skipped: Counter[str] = Counter()
    seen: dict[str, str] = {}
    shown = part.screen.progress(records, f"{part.language} {part.split}")
    for result in ahead(functools.partial(_utterance, part=part), shown):
        if isinstance(result, Utterance) and result.id not in seen:
            seen[result.id] = result.source
            utterances.append(result)
            continue
        unusable = result if isinstance(result, Unusable) else _again(result, seen[result.id])
        skipped[unusable.reason] += 1
        part.screen.say(printable(f"{unusable.source}: skipped: {unusable.message}", LONGEST_MESSAGE))
    return utterances, skipped


def _again(utterance: Utterance, first: str) -> Unusable:
    return Unusable(utterance.source, "id comes twice", f"the id {utterance.id!r} comes twice, first in {first}")


def _utterance(record: Record | Unusable, part: Part) -> Utterance | Unusable:
    if isinstance(record, Unusable):
        return record
    unusable = functools.partial(Unusable, record.source)
    transcribed = bool(record.text.strip())
    if not transcribed and all(label is None for label in record.labels.values()):
        return unusable("without text", "there is no text")
    if not part.holds(record.audio):
        message = f"the path {record.audio} leads out of {part.corpus}; --audio-in FOLDER allows another folder"
        return unusable("audio outside the corpus", message)
    try:
        seconds = duration_s(record.audio)
    except AudioError as error:
        return unusable(f"audio {error.reason}", str(error))
    if seconds == 0:
        return unusable("audio empty", f"{record.audio} holds no samples")
    if round(seconds, 4) == 0:
        return unusable("audio too short", f"{record.audio} lasts {seconds:.6f} s")
    utterance = Utterance(
        id=record.id,
        audio=record.audio,
        language=part.language,
        text=record.text if transcribed else None,
        duration_s=seconds,
        speaker=record.speaker,
        labels=record.labels,
        source=record.source,
    )
    try:
        manifest_line(utterance, record.audio)
    except InputError as error:
        return unusable(
            "not fit for a manifest", f"{error.problem.removeprefix(record.source + ': ')}: {error.received}"
        )
    return utterance


def _check_skipped(part: Part, num_usable: int, skipped: Counter[str], allow_skipped: float) -> None:
    num_records = num_usable + skipped.total()
    where = f"{part.corpus}: {part.language} {part.split}"
    if num_records == 0:
        raise InputError(
            f"{where}: no utterances",
            expected="at least one utterance in each split that the corpus has",
            received="a table without rows",
            action="check the corpus and --language",
        )
    if num_usable == 0 or skipped.total() > most_skipped(num_records, allow_skipped):
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        raise InputError(
            f"{where}: too many utterances cannot be used; nothing was written",
            expected=f"at most {allow_skipped:.2%} of {num_records:,} utterances" if allow_skipped else "none unusable",
            received=f"{skipped.total():,} of {num_records:,} unusable ({reasons})",
            action="fix the corpus (each one is listed above), or raise --allow-skipped",
        )


def _add_options(command: Callable[..., None], records: Callable[..., Any]) -> None:
    """Gives the command the keyword-only parameters of `records` in place of its `**options`, where typer sees them."""
    own = [
        parameter
        for parameter in inspect.signature(records, eval_str=True).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    shared = list(inspect.signature(command).parameters.values())[:-1]
    shared = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in shared]
    signature = inspect.Signature([*shared, *own])
    command.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
