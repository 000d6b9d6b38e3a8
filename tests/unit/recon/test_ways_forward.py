"""Found row 39: every state and every incident has a way forward that exists."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import pytest
import typer

from poolmaker.api.server import routes
from poolmaker.business.ledger.model import IncidentKind
from poolmaker.business.rewards.model import RewardTrouble
from poolmaker.business.treasury import shortages
from poolmaker.business.treasury.custody import CustodyIncidentKind
from poolmaker.business.treasury.decisions import IN_DOUBT, POSTPONED
from poolmaker.business.treasury.incidents import SUSPENSE
from poolmaker.business.treasury.model import PaymentIncidentKind
from poolmaker.business.withdrawals.attention import FROZEN
from poolmaker.cli.main import cli
from poolmaker.evm.attention import REFUSED, SLOW
from poolmaker.evm.payer import NONCE_USED
from poolmaker.infra.approvals.attention import ApprovalWait
from poolmaker.market.engine.latches import LatchKind
from poolmaker.mixin import unlisted
from poolmaker.mixin.attention import SILENT, OwnIncident
from poolmaker.mixin.model import OutputStatus
from poolmaker.views.catalogue import Catalogues
from poolmaker.web.render import HERE
from tests.tidy.tree import REPOSITORY
from tools.diagrams import state_tables

TABLES = {table.name: table for table in state_tables(REPOSITORY)}

RESUME: Final = "poolmaker saga resume"
RETRY: Final = "poolmaker saga retry"
SAGAS: Final = (RESUME, RETRY)
"""A state that a saga drives: it comes back by its own timer, late ones are listed, and a person
may make it look again or let a parked one go on."""

OUTGOING: Final = (
    "poolmaker outgoing sent",
    "poolmaker outgoing not-sent",
    "poolmaker treasury operator-in",
)
"""Money that leaves: a doubt is decided, and what a place lacks is brought there."""

WAYS: Final[dict[str, tuple[str, ...]]] = {
    "User order": (*SAGAS, "poolmaker order withdraw"),
    "Funding of an order": SAGAS,
    "Exit of an order": SAGAS,
    "Withdrawal": (*SAGAS, *OUTGOING),
    "Transfer": (*SAGAS, *OUTGOING),
    "Reward": (*SAGAS, "poolmaker reward keep", "poolmaker reward assign"),
    "Barrier ticket": (RETRY, "poolmaker stream replay", "poolmaker stream skip"),
    "Taking part in a campaign": ("poolmaker campaign join",),
    "Approval": ("poolmaker approval approve", "poolmaker approval cancel"),
}
"""Which commands move each table's waiting states on, besides evidence and time."""

BY_EVIDENCE: Final[dict[str, str]] = {
    "exchange order": "the venue's own word, which the reconciler asks for on a timer",
    "market readiness": "the venue's own word; what holds for long is a latch on the list",
    "order book": "a snapshot, which is asked for on a timer",
}
"""Tables whose every state moves by evidence that is asked for on a timer."""

KINDS: Final[dict[str, type[StrEnum]]] = {
    "ledger": IncidentKind,
    "treasury": PaymentIncidentKind,
    "rewards": RewardTrouble,
    "custody": CustodyIncidentKind,
    "market": LatchKind,
    "mixin": OwnIncident,
    "approvals": ApprovalWait,
}


def _commands() -> set[str]:
    found: set[str] = set()

    def walk(group: object, words: tuple[str, ...]) -> None:
        for name, command in getattr(group, "commands", {}).items():
            found.add(" ".join((*words, name)))
            walk(command, (*words, name))

    walk(typer.main.get_command(cli), ("poolmaker",))
    return found


COMMANDS = _commands()


@pytest.mark.parametrize("name", TABLES)
def test_found_39_every_state_of_every_table_can_be_moved_on(name: str) -> None:
    table = TABLES[name]
    waiting = table.states() - table.terminal
    assert waiting
    for state in waiting:
        assert any(before == state for before, _ in table.transitions), f"{state} is a dead end"
    assert (name in WAYS) != (name in BY_EVIDENCE), f"{name}: say what moves its states on"


def test_no_way_is_named_for_a_table_that_is_gone() -> None:
    assert {*WAYS, *BY_EVIDENCE} == set(TABLES)


@pytest.mark.parametrize("name", WAYS)
def test_found_39_the_ways_that_are_named_exist(name: str) -> None:
    assert [command for command in WAYS[name] if command not in COMMANDS] == []


@pytest.mark.parametrize(
    ("source", "kind"), [(source, kind) for source, kinds in KINDS.items() for kind in kinds]
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_found_38_every_incident_kind_has_its_words(
    source: str, kind: StrEnum, language: str
) -> None:
    words = Catalogues(HERE / "catalogues").words(language)
    assert f"attention.{source}.{kind.value}" in words.sentences


REPORTED: Final = {
    "mixin": {SILENT, OutputStatus.DUST.value, *(kind.value for kind in OwnIncident)},
    "unlisted": {unlisted.KIND},
    "evm": {REFUSED, SLOW, NONCE_USED},
    "withdrawals": {IN_DOUBT, POSTPONED, shortages.KIND, FROZEN},
    "treasury": {
        IN_DOUBT,
        POSTPONED,
        shortages.KIND,
        SUSPENSE,
        *(kind.value for kind in PaymentIncidentKind),
    },
    "machine": {"clock_jump", "disk_full"},
}
"""Sources whose kinds are all named here: no other has words."""


@pytest.mark.parametrize("source", REPORTED)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_found_38_words_are_there_for_what_is_reported_and_for_nothing_else(
    source: str, language: str
) -> None:
    head = f"attention.{source}."
    keys = Catalogues(HERE / "catalogues").keys(language)
    assert {key.removeprefix(head) for key in keys if key.startswith(head)} == REPORTED[source]


def _named(pattern: str) -> set[str]:
    found: set[str] = set()
    for path in sorted((REPOSITORY / "src" / "poolmaker").rglob("*.py")):
        text = path.read_text("utf-8")
        if "Remedy" in text or "LatchRule" in text:
            found |= set(re.findall(pattern, text))
    return found


def test_found_39_every_command_that_a_remedy_names_is_there() -> None:
    named = _named(r'"(poolmaker [a-z\-]+(?: [a-z\-]+)?)')
    assert len(named) > 15
    whole = {one for one in named if one in COMMANDS or one.rsplit(" ", 1)[0] in COMMANDS}
    assert named - whole - {"poolmaker outgoing"} == set()


def test_found_39_every_route_that_a_remedy_names_is_there() -> None:
    there = [f"{m} {route.path}" for route in routes() for m in route.methods or ()]
    named = _named(r'"((?:POST|GET) /api/v1/[^"\s]+)')
    assert len(named) > 15
    for one in named:
        # A part in braces is filled in, with an id or with one of several words.
        parts = re.split(r"\{+[^}]*\}+", one)
        wanted = re.compile("[^/]+".join(re.escape(part) for part in parts))
        assert any(wanted.fullmatch(path) for path in there), one
