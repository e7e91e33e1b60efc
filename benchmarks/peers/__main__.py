"""Speed and memory beside other projects, each in an environment of its own, interleaved in one run.

python -m benchmarks.peers [--only CASE...] [--rounds N] [--max-s S] [--environments FOLDER]
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.peers.cases import CASES, CONTESTANTS, PEERS
from benchmarks.peers.environments import Environment, make_environment
from benchmarks.peers.measure import measured
from benchmarks.peers.tables import line, tables
from benchmarks.provenance import ROOT, provenance, report
from benchmarks.rounds import Plan


def main() -> None:
    """Makes environments, measures, writes the result and prints it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "peers.json")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], help="cases; all if not given")
    parser.add_argument("--rounds", type=int, default=9, help="most rounds of each row")
    parser.add_argument("--max-s", type=float, default=25.0, help="seconds after which a row has no more rounds")
    parser.add_argument("--environments", type=Path, default=ROOT / ".peers", help="folder of the environments")
    arguments = parser.parse_args()
    screen = Console(width=160)
    cases = [case for case in CASES if not arguments.only or case.name in arguments.only]
    needed = {CONTESTANTS[name].folder for case in cases for name in case.names}
    environments = _environments([peer for peer in PEERS if peer in needed], arguments.environments, screen)
    usual, rows = Plan(num_rounds=arguments.rounds, max_s=arguments.max_s), []
    for case in cases:
        plan = replace(usual, **case.plan)
        plan = replace(plan, min_rounds=min(plan.min_rounds, arguments.rounds))
        with tempfile.TemporaryDirectory() as folder:
            for row in measured(case, environments, Path(folder), plan):
                rows.append(row)
                screen.print(line(row), highlight=False)
    result = provenance("peers") | {"environments": {peer: _told(one) for peer, one in environments.items()}}
    report(arguments.out, result | {"rows": rows}, *tables(rows, environments))


def _environments(peers: list[str], root: Path, screen: Console) -> dict[str, Environment]:
    found = {}
    for peer in peers:
        screen.print(f"environment of {peer} ...", highlight=False)
        found[peer] = make_environment(peer, root.absolute())
    return found


def _told(environment: Environment) -> dict:
    return {"packages": environment.about, "reason": environment.reason}


if __name__ == "__main__":
    main()
