"""Latches: what keeps an engine from creating orders, until evidence or a person says otherwise.

Every latch is of a kind, and ``LATCHES`` says of each kind in one place what sets it, what evidence
clears it and how a person releases it. Cancelling is never latched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.kernel.ids import IntentId
from poolmaker.market.tracking.shadow import ShadowLedger
from poolmaker.messages.market import QuoteGate


class LatchKind(StrEnum):
    """What holds; stable words, shown and named in commands."""

    KILLED = "killed"
    HALTED = "halted"
    CONTROL_STOPPED = "control_stopped"
    CANCELS_FAILING = "cancels_failing"
    CREATES_REFUSED = "creates_refused"
    UNREADABLE_TRADES = "unreadable_trades"


@dataclass(frozen=True, slots=True)
class LatchRule:
    """One kind: its gate, and in one sentence each what sets it, clears it and releases it.

    ``cleared_by`` is empty where no evidence can: then only a person releases it. ``route`` is
    where that is done over the API; ``command`` what is typed.
    """

    gate: QuoteGate
    set_by: str
    cleared_by: str
    released_by: str
    command: str
    route: str

    @property
    def by_engine(self) -> bool:
        """Whether a person lets it go at the engine; else it has a way of its own."""
        return self.route == _ROUTE


_COMMAND: Final = "poolmaker engine release {account} {kind} {subject} --reason TEXT"
_ROUTE: Final = "POST /api/v1/engines/{account}/latches/{kind}/release"

LATCHES: Final[Mapping[LatchKind, LatchRule]] = {
    LatchKind.KILLED: LatchRule(
        gate=QuoteGate.KILLED,
        set_by="a person, by command, API or a file in the home folder",
        cleared_by="",
        released_by="a second person, or the only one after a day",
        command="poolmaker kill release {subject} --reason TEXT",
        route="POST /api/v1/kill/release",
    ),
    LatchKind.HALTED: LatchRule(
        gate=QuoteGate.HALTED,
        set_by="a promise of ours that does not hold",
        cleared_by="",
        released_by="an operator, with a reason",
        command=_COMMAND,
        route=_ROUTE,
    ),
    LatchKind.CONTROL_STOPPED: LatchRule(
        gate=QuoteGate.HALTED,
        set_by="a message to the engine that cannot be read: it may have been a stop",
        cleared_by="the message replayed, or left out by a person with a reason",
        released_by="an operator, who replays the dead letter or leaves it out",
        command="poolmaker attention list",
        route="GET /api/v1/attention",
    ),
    LatchKind.CANCELS_FAILING: LatchRule(
        gate=QuoteGate.CANCELS_FAILING,
        set_by="cancels in a row of a market that the venue refused or did not answer",
        cleared_by="a cancel that was answered, or the proven end of every order concerned",
        released_by="an operator, with a reason",
        command=_COMMAND,
        route=_ROUTE,
    ),
    LatchKind.CREATES_REFUSED: LatchRule(
        gate=QuoteGate.CREATES_REFUSED,
        set_by="an order of the side that the venue refused",
        cleared_by="the next order of the side that the venue takes, tried after a pause",
        released_by="an operator, with a reason: the next order is tried at once",
        command=_COMMAND,
        route=_ROUTE,
    ),
    LatchKind.UNREADABLE_TRADES: LatchRule(
        gate=QuoteGate.UNREADABLE_TRADES,
        set_by="a trade of the account that cannot be read",
        cleared_by="a list of the venue's trades in which every one can be read",
        released_by="an operator, with a reason: the rows are left out for ever",
        command=_COMMAND,
        route=_ROUTE,
    ),
}


@dataclass(frozen=True, slots=True)
class Latch:
    """One that holds. ``subject`` is an account, a market, or a pool's side; ``cause`` is words."""

    kind: LatchKind
    subject: str
    cause: str
    since_us: int

    @property
    def rule(self) -> LatchRule:
        """What its kind says."""
        return LATCHES[self.kind]

    @property
    def gate(self) -> QuoteGate:
        """What a side shows that it silences."""
        refused_key = self.kind is LatchKind.CREATES_REFUSED and self.cause.startswith("KEY")
        return QuoteGate.KEY_REFUSED if refused_key else self.rule.gate


class Latches:
    """Those of one engine that hold. Setting one again keeps since when, with the newest cause."""

    def __init__(self) -> None:
        self._held: dict[tuple[LatchKind, str], Latch] = {}
        self.version = 0

    def set(self, kind: LatchKind, subject: str, cause: str, now_us: int) -> None:
        """It holds from now on, if it did not before."""
        before = self._held.get((kind, subject))
        since_us = before.since_us if before is not None else now_us
        self._held[kind, subject] = Latch(kind, subject, cause, since_us)
        self.version += 1

    def clear(self, kind: LatchKind, subject: str) -> bool:
        """Evidence, or a person, ended it; whether it held."""
        held = self._held.pop((kind, subject), None) is not None
        self.version += held
        return held

    def held(self, kind: LatchKind, subject: str) -> Latch | None:
        """The latch of a kind on a subject, if it holds."""
        return self._held.get((kind, subject))

    def all(self) -> list[Latch]:
        """Every latch that holds, the oldest first."""
        return sorted(self._held.values(), key=lambda latch: latch.since_us)


class FailingCancels:
    """Cancels that failed in a row, and for which orders: their proven end is evidence, too."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._targets: set[IntentId] = set()

    def failed(self, target: IntentId) -> bool:
        """One more, for an order of ours; whether it were too many in a row by now."""
        self._count += 1
        self._targets.add(target)
        return self._count >= self._most

    def answered(self) -> None:
        """The venue answers to cancels."""
        self._count = 0
        self._targets.clear()

    def solved(self, shadow: ShadowLedger) -> bool:
        """Whether every order that it failed for has ended by evidence; then nothing failed."""
        found = {target: shadow.find(target) for target in self._targets}
        self._targets = {
            t for t, order in found.items() if order is not None and not order.terminal
        }
        if not self._targets:
            self._count = 0
        return not self._targets
