"""The structure of the package in numbers, for each commit that was counted.

    python -m benchmarks.structure                                    writes the row of this tree
    python -m benchmarks.structure --tree CLONE --label before        the same of a clone at another commit

Everything but the way of an utterance is read from syntax trees. A registry is whatever maps kinds to members: a
dictionary or a call at the top of a module that names at least two classes or functions of the package, a dictionary
that a decorator fills, a class whose subclasses are found by themselves, or a union of settings. Where subclasses are
given a `kind`, those without one are registries themselves: what all their kinds have in common. A module knows a
member if it imports it, or compares a `kind` with a text; the module of the registry and that of the member may.
"""

import argparse
import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.provenance import ROOT, Table
from speech_mtl.files import write_text

ABOUT = "modules, lines, the files that an utterance passes, sizes, and who knows the members of registries."
MOST_LINES = 320
"""Of a module."""

Modules = Mapping[str, ast.Module]
"""By path in the package, with slashes."""


@dataclass(frozen=True)
class Registry:
    """What maps kinds to members.

    Attributes:
        name: As it is called.
        module: Where it is.
        members: Names of classes or functions.
    """

    name: str
    module: str
    members: frozenset[str]


def parse(package: Path) -> dict[str, ast.Module]:
    """Syntax trees of all modules of a package."""
    return {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def num_lines(package: Path) -> dict[str, int]:
    """Lines of each module, comments and empty ones too."""
    return {
        path.relative_to(package).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(package.rglob("*.py"))
    }


def longest_function(modules: Modules) -> tuple[str, int]:
    """Name, with its module, and lines of the longest function, from its first decorator on."""
    found = [
        (f"{module}: {node.name}", (node.end_lineno or 0) + 1 - min(one.lineno for one in (node, *node.decorator_list)))
        for module, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return max(found, key=lambda one: one[1], default=("", 0))


def definitions(modules: Modules) -> dict[str, set[str]]:
    """Modules by the class or function that is defined at their top."""
    found: dict[str, set[str]] = {}
    for module, tree in modules.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.setdefault(node.name, set()).add(module)
            elif isinstance(node, ast.Assign) and (of_kind := _made_of_kind(node)):
                found.setdefault(of_kind[0], set()).add(module)
    return found


def _made_of_kind(node: ast.Assign) -> tuple[str, str] | None:
    """`Name = Base.plain("kind")`: the name and the base."""
    match node:
        case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(ast.Name(base), "plain"))):
            return name, base
    return None


def registries(modules: Modules) -> list[Registry]:
    """All that map kinds to members."""
    defined = definitions(modules)
    found = [*_at_the_top(modules, defined), *_by_decorator(modules), *_by_subclass(modules)]
    return sorted(found, key=lambda one: (one.module, one.name))


def _at_the_top(modules: Modules, defined: Mapping[str, set[str]]) -> Iterator[Registry]:
    for module, tree in modules.items():
        for node in tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if not isinstance(target, ast.Name):
                continue
            members = frozenset(_members(node.value)) & defined.keys()
            if len(members) > 1:
                yield Registry(target.id, module, members)


def _members(value: ast.expr) -> Iterator[str]:
    """Names that a dictionary, a comprehension over a tuple, a call or a union of settings lists."""
    if isinstance(value, ast.Dict):
        yield from (one.id for one in value.values if isinstance(one, ast.Name))
    elif isinstance(value, ast.DictComp):
        yield from _names(value.generators[0].iter)
    elif isinstance(value, ast.Tuple | ast.List):
        yield from (one.id for one in value.elts if isinstance(one, ast.Name))
    elif isinstance(value, ast.Call):
        for argument in (*value.args, *(keyword.value for keyword in value.keywords)):
            yield from _members(argument) if not isinstance(argument, ast.Name) else [argument.id]
    elif isinstance(value, ast.BinOp | ast.Subscript):
        yield from (name for name in _names(value) if name.endswith("Settings"))


def _names(value: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(value) if isinstance(node, ast.Name))


def _by_decorator(modules: Modules) -> Iterator[Registry]:
    """Dictionaries that a function fills, `KINDS[name] = member`, which is used as a decorator."""
    for module, tree in modules.items():
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            subscripts = (node for node in ast.walk(function) if isinstance(node, ast.Subscript))
            stored = (node.value for node in subscripts if isinstance(node.ctx, ast.Store))
            filled = {value.id for value in stored if isinstance(value, ast.Name)}
            members = frozenset(_decorated(modules, function.name))
            if filled and members:
                yield Registry(min(filled), module, members)
        for name in _instances(tree):
            members = frozenset(_decorated(modules, name))
            if members:
                yield Registry(name, module, members)


def _instances(tree: ast.Module) -> Iterator[str]:
    """Names in capitals that are made by a call at the top: `KINDS = Registry()`."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id.isupper():
                yield target.id


def _decorated(modules: Modules, decorator: str) -> Iterator[str]:
    for tree in modules.values():
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and any(
                decorator in _names(one) for one in node.decorator_list
            ):
                yield node.name


def _by_subclass(modules: Modules) -> Iterator[Registry]:
    """Classes with `__init_subclass__`, and their subclasses at any distance."""
    classes = [(name, node) for name, tree in modules.items() for node in tree.body if isinstance(node, ast.ClassDef)]
    for module, base in classes:
        initial = [node for node in base.body if isinstance(node, ast.FunctionDef) and node.name == "__init_subclass__"]
        if not initial:
            continue
        found, before = {base.name}, 0
        while len(found) > before:
            before = len(found)
            found |= {node.name for _, node in classes for one in node.bases if found & set(_names(one))}
        if any(argument.arg == "kind" for argument in initial[0].args.args):
            assigned = (
                _made_of_kind(node) for tree in modules.values() for node in tree.body if isinstance(node, ast.Assign)
            )
            plain = {of_kind[0] for of_kind in assigned if of_kind and of_kind[1] in found}
            found &= {node.name for _, node in classes if any(keyword.arg == "kind" for keyword in node.keywords)}
            found |= plain
        if members := frozenset(found - {base.name}):
            yield Registry(base.name, module, members)


def knowing(modules: Modules) -> dict[str, list[str]]:
    """By module: the members of registries that it knows by name, though neither it nor its registry is there."""
    defined = definitions(modules)
    homes: dict[str, set[str]] = {}
    may: dict[str, set[str]] = {}
    for registry in registries(modules):
        for member in registry.members:
            own = {module for module in defined[member] if _sees(modules, registry.module, module, member)}
            homes.setdefault(member, set()).update(own or defined[member])
            may.setdefault(member, set()).update({registry.module}, own or defined[member])
    found = {}
    for module, tree in modules.items():
        strange = ((there, name) for there, name in _imported(tree) if module not in may.get(name, {module}))
        known = {name for there, name in strange if any(_leads_to(there, home) for home in homes[name])}
        known |= set(_kinds(tree))
        if known:
            found[module] = sorted(known)
    return found


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What is imported from the package, or read from a module that is: its module without `speech_mtl.`, its name."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("speech_mtl."):
            there = str(node.module).removeprefix("speech_mtl").removeprefix(".")
            for alias in node.names:
                yield there, alias.name
                modules[alias.asname or alias.name] = f"{there}.{alias.name}".removeprefix(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr


def _sees(modules: Modules, module: str, home: str, name: str) -> bool:
    """Whether a name in a module is what `home` defines under it."""
    return module == home or any(own == name and _leads_to(there, home) for there, own in _imported(modules[module]))


def _leads_to(dotted: str, module: str) -> bool:
    """Whether a module, or the package that it is in, has this dotted name: `tasks` leads to tasks/number.py."""
    there = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{there}.".startswith(f"{dotted}.") or not dotted


def _kinds(tree: ast.Module) -> Iterator[str]:
    """Texts that a `kind` is compared with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(one, ast.Attribute) and one.attr == "kind" for one in sides):
                listed = (one.elts if isinstance(one, ast.Tuple | ast.List | ast.Set) else [one] for one in sides)
                texts = (one.value for own in listed for one in own if isinstance(one, ast.Constant))
                yield from (f"kind {text!r}" for text in texts if isinstance(text, str))


def counted(package: Path) -> dict:
    """All that syntax trees tell of a package."""
    modules, lines = parse(package), num_lines(package)
    without_init = {name: number for name, number in lines.items() if Path(name).name != "__init__.py"}
    longest = max(lines, key=lambda name: lines[name])
    function, function_lines = longest_function(modules)
    known = knowing(modules)
    return {
        "modules": len(without_init),
        "files": len(lines),
        "lines": sum(lines.values()),
        "longest_module": [longest, lines[longest]],
        "longest_function": [function, function_lines],
        "modules_over_320": {name: number for name, number in lines.items() if number > MOST_LINES},
        "registries": {f"{one.module}: {one.name}": sorted(one.members) for one in registries(modules)},
        "modules_that_know_a_member": known,
    }


def traced(tree: Path) -> dict:
    """Files of the package on an utterance's way from manifest to loss, of one real update."""
    program = Path(__file__).with_name("traced_update.py")
    ended = subprocess.run(
        [sys.executable, str(program), str(tree)], cwd=tree, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"The update could not be traced:\n{ended.stderr[-4000:]}")
    return json.loads(ended.stdout)


def _table(rows: Mapping[str, dict]) -> Table:
    heads = ["", "Commit", "Modules", "Lines", "Files that an utterance passes", "Files entered before its loss",
             "Longest module", "Longest function", f"Modules over {MOST_LINES} lines",
             "Modules that know a registry's member"]  # fmt: skip
    lines = [
        [
            *(label, row["commit"], str(row["modules"]), f"{row['lines']:,}"),
            *(str(len(row["utterance"][name])) for name in ("handling", "entered")),
            *("{} ({})".format(*row[name]) for name in ("longest_module", "longest_function")),
            *(str(len(row[name])) for name in ("modules_over_320", "modules_that_know_a_member")),
        ]
        for label, row in rows.items()
    ]
    return Table("Counted", heads, lines, 2)


def _lists(label: str, row: dict) -> list[Table]:
    known = [[name, ", ".join(members)] for name, members in row["modules_that_know_a_member"].items()]
    way = [[name] for name in row["utterance"]["handling"]]
    return [
        Table(f"The way of an utterance, {label}", ["File, in the order in which they first handle one"], way),
        Table(f"Modules that know a member of a registry by name, {label}", ["Module", "Members"], known, 2),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT, help="a clone of the project; this one if not given")
    parser.add_argument("--label", default="present", help="what the row is called")
    options = parser.parse_args()
    tree = options.tree.resolve()
    path = Path(__file__).with_suffix(".json")
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"rows": {}}
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, cwd=tree, capture_output=True, text=True, check=True).stdout.strip()
    row = {"commit": commit, **counted(tree / "speech_mtl"), "utterance": traced(tree)}
    rows = {**result["rows"], options.label: row}
    tables = [_table(rows), *(table for label, one in rows.items() for table in _lists(label, one))]
    about = f"# structure\n\n`make structure`: {ABOUT} Made from {path.name}."
    text = "\n\n".join([about, *map(str, tables)]) + "\n"
    write_text(path, json.dumps({"rows": rows}, indent=1) + "\n")
    write_text(path.with_suffix(".md"), text)
    print(text)


if __name__ == "__main__":
    main()
