"""The command that shows what becomes of transcripts."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speech_mtl.datatypes import LatinWords, Numerals
from speech_mtl.errors import cell, no_such

if TYPE_CHECKING:
    from speech_mtl.data.text_report import Line, TextReport


def text(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A manifest (.jsonl), or a text file in UTF-8, a sentence a line.")
    ],
    language: Annotated[str, typer.Option("--language", "-l", help="BCP 47 tag of the language, such as cs.")],
    tokenizer: Annotated[
        str, typer.Option(help="Kind, as in recipes; parts of words are learnt from the file.")
    ] = "character",
    numerals: Annotated[Numerals, typer.Option(help="Numbers in digits; see languages.NAME.text.numerals.")] = "spell",
    latin_words: Annotated[LatinWords, typer.Option(help="Latin words in a language of another script.")] = "keep",
    most: Annotated[int, typer.Option(min=0, help="Lines of a kind that are shown; 0 for all.")] = 20,
) -> None:
    """Show what becomes of the lines of a file before they are learnt and scored, and which characters are dropped.

    Lines that would be left out come with the reason, letters of another script that look alike with their place.

    Example: speech-mtl data text data/mine/cs/train.jsonl --language cs
    """
    from speech_mtl.data.rules import Choices
    from speech_mtl.data.text_report import TextReport, normalized_lines, read_texts
    from speech_mtl.data.tokenizer import BLANK_TOKEN
    from speech_mtl.settings.data import TokenizerSettings

    kinds, choices = TokenizerSettings.kinds(), Choices(numerals, latin_words)
    if tokenizer not in kinds:
        raise no_such(f"There is no tokeniser {tokenizer!r}", tokenizer, kinds)
    kind, made = kinds[tokenizer](), kinds[tokenizer].member()
    if learnt := kind.arguments():
        rule = made.from_texts((text for _, text in read_texts(file)), language, choices, **learnt)
    else:
        rule = made(language, (BLANK_TOKEN,), choices)
    report, num_shown = TextReport(), Counter()
    for line in normalized_lines(read_texts(file), rule):
        report.add(line, rule)
        fate, about = _about(line)
        num_shown[fate] += bool(about)
        if about and (not most or num_shown[fate] <= most):
            print(cell(f"{line.where}: {line.text}"), *(f"    {cell(one)}" for one in about), sep="\n")
    _print_sums(report, rule.normalizer)


def _about(line: "Line") -> tuple[str, list[str]]:
    """What becomes of a line, and what is to be shown of it: nothing, if it stays as it is."""
    if line.refusal:
        return "left out", [f"left out: {line.refusal}", *line.doubtful]
    result = [line.normalized or "nothing is left"] if line.normalized != line.text else []
    return "doubtful" if line.doubtful else "used", [*result, *line.doubtful]


def _print_sums(report: "TextReport", normalizer: str) -> None:
    from speech_mtl.data.text_report import described

    print(
        f"\nNormalised by: {normalizer}\n{report.num_lines:,} lines; {report.num_refused:,} left out; of "
        f"{report.num_empty:,} others nothing is left; {report.num_doubtful:,} with doubtful letters"
    )
    heads = "Characters dropped or replaced", f"Vocabulary of {len(report.kept):,} tokens"
    for head, counted in zip(heads, (report.dropped, report.kept), strict=True):
        print(f"\n{head}:")
        for token, number in counted.most_common():
            print(f"{number:>9,}  {' + '.join(map(described, token))}")
