"""`python tests/members`: adds a toy member of each kind to a copy of the project, and counts the files it takes.

Exit code 1 if one is not found by its tests, has a place that nothing needs, or takes more than three files; 2 if one
cannot be added.
"""

import argparse
import json
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
sys.path.append(str(PROJECT / "tests"))

from adding import Found, Outcome, Stale, added, found, outcome  # noqa: E402
from scratch import scratch_copy  # noqa: E402
from toys import ALL_TOGETHER, TOGETHER, TOYS  # noqa: E402

from benchmarks.provenance import Table, provenance, report  # noqa: E402

ABOUT = (
    "The files that a new member of each kind takes, counted by adding one to a copy of the project. The conformance "
    "test of its kind finds it by itself; with any of its places left out, a test fails or none finds it."
)


EVERY = "all together"
"""What `--only` calls the test of all members at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help=f"only kinds whose name holds one of these texts; also {EVERY!r}")
    parser.add_argument("--list", action="store_true", help="only check that they can all be added")
    parser.add_argument(
        "--out", type=Path, help="a JSON file; the rows of other kinds in it stay, and Markdown beside it"
    )
    options = parser.parse_args()
    chosen = [one for one in TOYS if any(text in one.kind for text in options.only or [""])]
    together = [*(place for one in TOYS for place in one.places), ALL_TOGETHER]
    rows = {}
    with scratch_copy(PROJECT) as folder:
        try:
            with added(folder, together):
                print("\n".join(f"{one.kind}: {', '.join(one.files)}" for one in chosen), flush=True)
        except Stale as error:
            sys.stderr.write(f"{error}\nName another text in tests/members/toys.py\n")
            sys.exit(2)
        if options.list:
            return
        for one in chosen:
            rows[one.kind] = row(outcome(folder, one))
            told = rows[one.kind]["problem"] or f"{rows[one.kind]['tests_that_find_it']} tests find it"
            print(f"{one.kind}: {len(one.files)} files; {told}", flush=True)
        if not options.only or EVERY in options.only:
            with added(folder, together):
                last = found(folder, [ALL_TOGETHER.path, *TOGETHER], "")
            rows[EVERY] = {"tests": [ALL_TOGETHER.path, *TOGETHER], "of_members": len(last.passed), **problem(last)}
            print(f"{EVERY}: {last.problem or 'all tests pass'}", flush=True)
    if options.out:
        write(options.out, rows)
    sys.exit(any(one["problem"] for one in rows.values()))


def problem(one: Outcome | Found) -> dict[str, str]:
    """What went wrong, and in which commit."""
    return {"problem": one.problem, "commit": str(provenance("members")["commit"])[:12]}


def row(one: Outcome) -> dict:
    """What is kept of an outcome."""
    return {
        "files": one.member.files,
        "tests_that_find_it": len(one.found.passed),
        "without": one.without,
        **problem(one),
    }


def write(path: Path, rows: dict[str, dict]) -> None:
    """Writes rows into the result, in the order of the members, and as Markdown beside it."""
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else {}
    known = before | rows
    rows = {kind: known[kind] for kind in (*(one.kind for one in TOYS), EVERY) if kind in known}
    result = {**provenance("members"), "command": "make members", "about": ABOUT, "rows": rows}
    members = {kind: one for kind, one in rows.items() if kind != EVERY}
    heads = ["Kind", "Files", "In all", "Package or script", "Tests", "Tests that find it"]
    lines = [
        [kind, ", ".join(one["files"]), *map(str, (len(one["files"]), *_by_place(one["files"]))),
         one["problem"] or str(one["tests_that_find_it"])]
        for kind, one in members.items()
    ]  # fmt: skip
    without = [[kind, *pair] for kind, one in members.items() for pair in one["without"].items()]
    all_together = [
        [", ".join(one["tests"]), one["problem"] or f"all pass, {one['of_members']} of them of toy members"]
        for kind, one in rows.items()
        if kind == EVERY
    ]
    report(
        path,
        result,
        Table("Counted", heads, lines, 2),
        Table("With one place left out", ["Kind", "Left out", "What tells"], without, 3),
        Table("All members together", ["Tests", ""], all_together, 2),
    )


def _by_place(files: list[str]) -> tuple[int, int]:
    tests = sum(path.startswith("tests/") for path in files)
    return len(files) - tests, tests


if __name__ == "__main__":
    main()
