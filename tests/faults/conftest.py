"""Writes how each fault ended into the file that `--faults-out` names."""

from pathlib import Path

import pytest

TITLE = (
    "`make faults`: inputs that failed once, each by the command that showed it.\n\n| Fault | Now |\n| --- | --- |\n"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-out", type=Path, help="a Markdown file for the table of faults")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    out = config.getoption("--faults-out", default=None)
    if out is None:
        return
    ends = {
        report.nodeid.partition("[")[2].rstrip("]"): end
        for outcome, end in (("passed", "right"), ("failed", "**wrong**"), ("error", "**wrong**"))
        for report in terminalreporter.getreports(outcome)
    }
    wrong = sum(end != "right" for end in ends.values())
    lines = [f"| {name} | {end} |" for name, end in sorted(ends.items())]
    out.write_text(TITLE + "\n".join(lines) + f"\n\n{len(ends)} faults, {wrong} wrong\n", encoding="utf-8")
