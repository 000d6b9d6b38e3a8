"""Tidy rules over the drawing: every room says what it is and what it promises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.tree import Module, Tree

# The rooms that the drawing names in capitals open with the drawing's own words.
OPENINGS = {
    "bus": "EVENT BUS / OUTBOX: append with the cause, cursors and receipts, dead letters, replay",
    "business": "BUSINESS DOMAIN LAYER",
    "business/ledger": (
        "BALANCE LEDGER (single writer): the ONLY place allowed to mutate balances"
    ),
    "business/user_orders": (
        "MIXIN USER ORDER TRACKER: CREATED / LOCKED / FUNDING / IN_MM / PAUSE / WITHDRAW"
        " / CLOSED / EXPIRED / REFUNDED"
    ),
    "business/campaigns": ("CAMPAIGN ORCHESTRATOR: windows, participation, pause/withdraw drain"),
    "business/rewards": (
        "REWARD ALLOCATION & DISTRIBUTION: time-weighted shares -> allocations -> CREDIT_REWARD"
    ),
    "business/withdrawals": "WITHDRAWAL ORCHESTRATOR: drain -> settle -> pay",
    "market/quoting": (
        "STRATEGY / INTENT: pure; (market view, inventory, parameters) ->"
        " CREATE_ORDER / CANCEL_ORDER / REPRICE / STOP"
    ),
    "market/execution": (
        "EXECUTION CORE: tick barrier, intents, budgets, retry and back-off, throttler, kill switch"
    ),
    "market/tracking": (
        "EXCHANGE STATE TRACKERS: order book, exchange orders (shadow ledger), user stream"
    ),
}
NUMBERED = re.compile(r"^(\d+)\. \S", re.MULTILINE)
LEDGER_COMMAND = re.compile(r"(?:Request|Fact): \S")


def _rooms(tree: Tree) -> Iterator[tuple[str, Module, bool]]:
    """(room, its ``__init__``, whether it has code of its own) for rooms of the drawing."""
    for module in tree.modules:
        parts = module.name.split("/")[:-1]
        depth = 2 if parts[:1] in (["business"], ["market"]) else 1
        if module.name.endswith("__init__.py") and 1 <= len(parts) <= depth:
            room = "/".join(parts)
            others = (m for m in tree.modules if m.within(f"{room}/") and m is not module)
            wing = room in ("business", "market")
            yield room, module, not wing and any(next(m.functions(), None) for m in others)


def rooms_say_what_they_are(tree: Tree) -> Iterator[str]:
    """A room opens with its sentence, and where it has code, with its numbered invariants."""
    seen = set()
    for room, module, has_code in _rooms(tree):
        seen.add(room)
        text = ast.get_docstring(module.syntax) or ""
        opening = text.partition("\n")[0]
        if not opening.startswith(OPENINGS.get(room, "")) or not opening.endswith("."):
            yield module.at(1, "does not open with the room's sentence from the drawing")
        _, heading, promises = text.partition("\nInvariants\n")
        numbers = [int(number) for number in NUMBERED.findall(promises)]
        if has_code and not heading:
            yield module.at(1, "the room has code and no numbered invariants")
        if numbers != list(range(1, len(numbers) + 1)) or (heading and not numbers):
            yield module.at(1, f"the invariants are numbered {numbers}")
    for room in OPENINGS.keys() - seen:
        yield f"src/poolmaker/{room}: the room is missing"


def _undocumented_members(module: Module, enumeration: ast.ClassDef) -> Iterator[str]:
    for member, after in zip(enumeration.body, [*enumeration.body[1:], None], strict=True):
        documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(member, ast.Assign) and not documented:
            name = ast.unparse(member.targets[0])
            yield module.at(member.lineno, f"{enumeration.name}.{name} does not say what it means")


def the_ledger_is_explained(tree: Tree) -> Iterator[str]:
    """Every kind says whether it is a request or a fact; every enum member what it means."""
    for module in tree.modules:
        if not module.within("business/ledger/"):
            continue
        for node in module.nodes:
            if not isinstance(node, ast.ClassDef):
                continue
            bases = [ast.unparse(base) for base in node.bases]
            if any(base.endswith("Enum") for base in bases):
                yield from _undocumented_members(module, node)
            tagged = any(keyword.arg == "tag" for keyword in node.keywords)
            kind = tagged and module.name.endswith("/commands.py")
            if kind and not LEDGER_COMMAND.match(ast.get_docstring(node) or ""):
                yield module.at(node.lineno, f"{node.name} is neither a Request: nor a Fact:")
