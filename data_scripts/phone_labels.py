"""Manifests with articulatory labels of frames, from the phones of a trained run.

The phones of the transcripts are aligned with the speech by a run that has a task of the kind `phones`; panphon gives
their features. The labels are those of the task kind `frame_tags`.
"""

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_scripts.articulation import FEATURES, tags_of
from data_scripts.command_line import report_input_errors
from speech_mtl.data.manifest import manifest_path, read_manifest, write_manifest
from speech_mtl.datatypes import SPLITS, Utterance
from speech_mtl.errors import InputError
from speech_mtl.screen import Screen

if TYPE_CHECKING:
    from speech_mtl.run.phone_alignment import PhoneAligner, PhoneSegment

app = typer.Typer(add_completion=False)


def articulation_label(segments: "Sequence[PhoneSegment]") -> dict[str, list[Any]]:
    """The ends of the segments in seconds and, by feature, 1, 0 or None, which is what lies between phones."""
    unknown = dict.fromkeys(FEATURES.values())
    tags = [unknown if one.phone is None else tags_of(one.phone) for one in segments]
    return {"end_s": [one.end_s for one in segments], **{name: [own[name] for own in tags] for name in unknown}}


def labelled(
    aligner: "PhoneAligner", utterances: Iterator[Utterance], label: str, left_out: Counter[str]
) -> Generator[Utterance, None, None]:
    """The utterances with their labels; None where there is none, counted by reason."""
    for utterance, found in aligner.align(utterances):
        if isinstance(found, str):
            left_out[found.removeprefix(str(utterance.audio)).strip()] += 1
        known = None if isinstance(found, str) else articulation_label(found)
        yield utterance.with_label(label, known)


def _manifests(source: Path, language: str) -> dict[str, Path]:
    """The manifests of a language, by split.

    Raises:
        InputError: There is none.
    """
    paths = {split: manifest_path(source, language, split) for split in SPLITS}
    if found := {split: path for split, path in paths.items() if path.is_file()}:
        return found
    raise InputError(
        f"{source}: no manifests in {language!r}",
        expected=" or ".join(map(str, paths.values())),
        received="none of these files",
        action="check FROM and --language",
    )


@app.command()
@report_input_errors
def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run with a task of the kind phones.")],
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder of manifests, LANGUAGE/SPLIT.jsonl.")],
    out: Annotated[Path, typer.Argument(metavar="TO", help="Folder of the new manifests.")],
    language: Annotated[list[str], typer.Option("--language", "-l", help="A language of the run; several if need be.")],
    label: Annotated[str, typer.Option(help="Name of the labels.")] = "articulation",
) -> None:
    """Add articulatory labels of frames to manifests, for tasks of the kind frame_tags.

    \b
    Example:
      python -m data_scripts.phone_labels runs/phones data/more data/articulation -l cs -l nl
    """
    from speech_mtl.run.folder import Run
    from speech_mtl.run.phone_alignment import PhoneAligner

    if source.resolve() == out.resolve():
        raise InputError(
            "The new manifests would take the place of those they are made from",
            expected="another folder for the new ones",
            received=f"{source} {out}",
            action="name another folder",
        )
    found = {one: _manifests(source, one) for one in language}
    screen = Screen()
    for one, paths in found.items():
        aligner = PhoneAligner(Run(run), one)
        for split, path in paths.items():
            left_out: Counter[str] = Counter()
            shown = screen.progress(list(read_manifest(path)), f"{one}-{split}")
            with contextlib.closing(labelled(aligner, iter(shown), label, left_out)) as utterances:
                total = write_manifest(manifest_path(out, one, split), utterances)
            reasons = "".join(f"; {number} without: {reason}" for reason, number in left_out.most_common())
            screen.say(f"{one} {split}: {total - left_out.total()} of {total} utterances labelled{reasons}")


if __name__ == "__main__":
    app()
