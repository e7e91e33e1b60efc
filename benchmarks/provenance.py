"""Provenance of results, and result files: JSON, and the same as Markdown tables."""

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markdown import Markdown

from speech_mtl.files import write_text
from speech_mtl.run.provenance import processor, versions
from speech_mtl.scoring.tables import markdown_table

ROOT = Path(__file__).parent.parent
PACKAGES = ("keras", "numpy", "tensorflow", "jax", "torch")


def provenance(name: str) -> dict:
    """Of the benchmark of this name: command, commit, versions and machine."""
    changes = _git("status", "--porcelain", "--", "speech_mtl", "benchmarks/*.py")
    return {
        "command": f"python -m benchmarks.{name}",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit_of(ROOT),
        "uncommitted_changes": changes is None or bool(changes),
        "versions": versions(PACKAGES),
        "cpu": processor(),
        "processors": os.cpu_count(),
    }


class Table(NamedTuple):
    """A table of a report."""

    title: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    num_text_columns: int = 1

    def __str__(self) -> str:
        return f"{self.title}\n\n" + markdown_table(self.heads, self.lines, self.num_text_columns)


def report(path: Path, result: dict, *tables: Table | str) -> None:
    """Writes a result as `NAME.json` and its tables as `NAME.md`, and prints these."""
    texts = [f"# {path.stem}", _about(result, path.name), *map(str, tables)]
    markdown = "\n\n".join(texts) + "\n"
    write_text(path, json.dumps(result, indent=1) + "\n")
    write_text(path.with_suffix(".md"), markdown)
    Console(width=160).print(Markdown(markdown))
    print(f"The result is in {path} and {path.with_suffix('.md')}")


def _about(result: dict, made_from: str) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    machine = ", ".join(filter(None, [f"{result['processors']} processors", result["cpu"], result.get("accelerator")]))
    about = f"{result['about']}\n\n" if "about" in result else ""
    return f"{about}`{result['command']}` on {result['date']}, {machine}; {versions}. Made from {made_from}."


def commit_of(tree: Path) -> str | None:
    """The commit that a clone is at; None outside a repository."""
    return _git("rev-parse", "HEAD", tree=tree)


def _git(*arguments: str, tree: Path = ROOT) -> str | None:
    """Output of git; None outside a repository."""
    try:
        return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
