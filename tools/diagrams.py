"""Writes the generated parts of ``docs/``: diagrams of rooms and states, rooms and invariants.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. What it says is
read from the import contracts, the state tables and the rooms' own docstrings, so it cannot drift:
``python -m tools.diagrams`` writes, ``--check`` only tells whether a page is stale.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import itertools
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from poolmaker.kernel.states import StateTable
from tools import reference
from tools.access import access

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"(<!-- generated: (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
RINGS = {"poolmaker.business": "business", "poolmaker.market": "market"}


def _contracts(root: Path) -> list[dict[str, Any]]:
    configuration = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    contracts: list[dict[str, Any]] = configuration["tool"]["importlinter"]["contracts"]
    return contracts


def _layers(root: Path) -> dict[str, list[list[str]]]:
    """Package -> its layers from top to bottom, each a list of rooms."""
    return {
        contract["containers"][0]: [
            [name.strip(" ()") for name in layer.split("|")] for layer in contract["layers"]
        ]
        for contract in _contracts(root)
        if contract["type"] == "layers"
    }


def _arrows(layers: list[list[str]], prefix: str = "") -> Iterator[str]:
    named = [[prefix + room for room in layer] for layer in layers]
    for upper, lower in itertools.pairwise(named):
        yield f"  {' & '.join(upper)} --> {' & '.join(lower)}"


def rooms_diagram(root: Path) -> str:
    """The direction of imports: a room may import only what lies below it."""
    layers = _layers(root)
    lines = ["```mermaid", "flowchart TD"]
    for package, name in RINGS.items():
        inner = layers[package]
        lines.append(f"  subgraph {name}")
        lines += [f"    {name}_{room}[{room}]" for layer in inner for room in layer]
        lines += [f"  {arrow}" for arrow in _arrows(inner, f"{name}_")]
        lines.append("  end")
    lines += _arrows(layers["poolmaker"])
    lines += ["  sandbox -. imports only .-> infra", "```"]
    return "\n".join(lines)


def state_tables(root: Path) -> list[StateTable[Any, Any]]:
    """Every state table of the product, found by its text and then read from its module."""
    source = root / "src"
    tables = {}
    for path in sorted((source / "poolmaker").rglob("*.py")):
        text = path.read_text("utf-8")
        if "StateTable(" not in text and "StateTable[" not in text:
            continue
        module = importlib.import_module(".".join(path.relative_to(source).with_suffix("").parts))
        found = (value for value in vars(module).values() if isinstance(value, StateTable))
        tables.update({table.name: table for table in found})
    return [tables[name] for name in sorted(tables)]


def _label(value: Enum | type) -> str:
    return value.name if isinstance(value, Enum) else value.__name__


def _state_diagram(table: StateTable[Any, Any]) -> str:
    arrows: Mapping[tuple[str, str], list[str]] = defaultdict(list)
    for (state, event), after in table.transitions.items():
        arrows[_label(state), _label(after)].append(_label(event))
    lines = [f"### {table.name}", "", "```mermaid", "stateDiagram-v2"]
    lines.append(f"  [*] --> {_label(table.initial)}")
    lines += [
        f"  {start} --> {end}: {', '.join(sorted(events))}"
        for (start, end), events in sorted(arrows.items())
    ]
    lines += [f"  {name} --> [*]" for name in sorted(_label(state) for state in table.terminal)]
    return "\n".join([*lines, "```"])


def states_diagrams(root: Path) -> str:
    """One diagram for each state table."""
    return "\n\n".join(_state_diagram(table) for table in state_tables(root))


def _docstrings(root: Path) -> Iterator[tuple[str, str]]:
    package = root / "src" / "poolmaker"
    for path in sorted(package.rglob("__init__.py")):
        name = path.parent.relative_to(package).as_posix()
        text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        if name != "." and text:
            yield name, text


def rooms_table(root: Path) -> str:
    """Each room with the sentence that its docstring opens with."""
    rows = [
        f"| `{name}` | {text.splitlines()[0].replace('|', chr(92) + '|')} |"
        for name, text in _docstrings(root)
    ]
    return "\n".join(["| room | what it is |", "|---|---|", *rows])


def invariants(root: Path) -> str:
    """The numbered invariants of every room."""
    parts = []
    for name, text in _docstrings(root):
        _, heading, promises = text.partition("\nInvariants\n")
        if heading:
            parts.append(f"### {name}\n\n{promises.strip()}")
    return "\n\n".join(parts)


def _classes(root: Path, module: str) -> Iterator[ast.ClassDef]:
    path = root / "src" / "poolmaker" / module
    syntax = ast.parse(path.read_text("utf-8"))
    return (node for node in syntax.body if isinstance(node, ast.ClassDef))


def ledger_kinds(root: Path) -> str:
    """Every kind of ledger transaction: request or fact, and what it does."""
    rows = []
    for node in _classes(root, "business/ledger/commands.py"):
        tags = [word.value for word in node.keywords if word.arg == "tag"]
        sort, _, meaning = reference.cell(ast.get_docstring(node)).partition(": ")
        rows += [f"| `{ast.literal_eval(tag)}` | {sort.lower()} | {meaning} |" for tag in tags]
    return "\n".join(["| kind | | what it does |", "|---|---|---|", *rows])


def ledger_refusals(root: Path) -> str:
    """Why the ledger refuses a request, in the order of precedence."""
    rows = []
    refusals = (n for n in _classes(root, "business/ledger/model.py") if n.name == "LedgerRefusal")
    for member, after in itertools.pairwise(next(refusals).body):
        if isinstance(member, ast.Assign) and isinstance(after, ast.Expr):
            name, meaning = ast.unparse(member.targets[0]), ast.literal_eval(after.value)
            rows.append(f"| `{name}` | {reference.cell(meaning)} |")
    return "\n".join(["| refusal | why |", "|---|---|", *rows])


def ledger_accounts(root: Path) -> str:
    """The chart: how accounts are named and what their names mean."""
    syntax = ast.parse((root / "src/poolmaker/business/ledger/accounts.py").read_text("utf-8"))
    rows = []
    for node in syntax.body:
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return):
            if node.name.endswith("_asset"):
                continue
            pattern = node.body[-1].value
            if isinstance(pattern, ast.JoinedStr):
                name = ast.unparse(pattern)[2:-1].replace("{", "<").replace("}", ">")
                rows.append(f"| `{name}` | {reference.cell(ast.get_docstring(node))} |")
    return "\n".join(["| account | what it means |", "|---|---|", *rows])


PARTS: dict[str, Callable[[Path], str]] = {
    "rooms": rooms_diagram,
    "roomtable": rooms_table,
    "states": states_diagrams,
    "invariants": invariants,
    "kinds": ledger_kinds,
    "refusals": ledger_refusals,
    "accounts": ledger_accounts,
    "access": access,
    "commands": reference.commands,
    "settings": reference.settings,
}


def refreshed(text: str, root: Path) -> str:
    """The page with its generated parts made anew."""

    def fresh(found: re.Match[str]) -> str:
        return f"{found[1]}{PARTS[found['name']](root)}\n{found[3]}"

    return PART.sub(fresh, text)


def stale_pages(root: Path) -> dict[Path, str]:
    """The pages that no longer say what the code says, with the text they should have."""
    pages = {path: path.read_text("utf-8") for path in sorted((root / "docs").rglob("*.md"))}
    fresh = {path: refreshed(text, root) for path, text in pages.items()}
    return {path: fresh[path] for path, text in pages.items() if fresh[path] != text}


def main() -> int:
    """Write the stale pages, or with ``--check`` name them and exit with 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when stale")
    only_check = parser.parse_args().check
    stale = stale_pages(ROOT)
    for path, text in stale.items():
        print(f"{'stale' if only_check else 'written'}: {path.relative_to(ROOT)}")
        if not only_check:
            path.write_text(text, "utf-8")
    return 1 if stale and only_check else 0


if __name__ == "__main__":
    sys.exit(main())
