"""Faults on demand: what goes wrong with a call, before or after it had its effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

FAULTS_MAX: Final = 1_000
DEPTH_DEFAULT: Final = 100
Book = dict[str, object]


class When(StrEnum):
    """Before the call is carried out, or after it was and before its answer leaves."""

    BEFORE = "before"
    AFTER = "after"


class Effect(StrEnum):
    """What the caller sees. Events can only be delayed, dropped or duplicated.

    ``STALE`` is for order book snapshots: the book as it was when the fault was planned.
    """

    DELAY = "delay"
    DROP = "drop"
    ERROR = "error"
    RESET = "reset"
    HTML = "html"
    HANG = "hang"
    DUPLICATE = "duplicate"
    STALE = "stale"


SNAPSHOT_CALLS: Final = frozenset({"GET /api/v3/depth", "depth"})


@dataclass(slots=True, eq=False, kw_only=True)
class Fault:
    """One planned fault.

    ``endpoint`` is ``POST /api/v3/order``, ``order.place`` or ``*`` for a call; for an event it
    is ``event:executionReport``, ``event:executionReport/TRADE``, ``event:balanceUpdate`` or the
    stream's name as in ``event:btcusdt@depth@100ms``.
    """

    endpoint: str
    effect: Effect
    when: When = When.BEFORE
    account: int | None = None
    count: int = 1
    delay_ms: int = 1_000
    status: int | None = None
    code: int = -1001
    message: str = "Internal error; unable to process your request. Please try again."
    body: str = "<html><body><h1>502 Bad Gateway</h1></body></html>"
    headers: Mapping[str, str] = field(default_factory=dict)
    books: Mapping[str, Book] = field(default_factory=dict)

    def stale_book(self, symbol: str, limit: str) -> Book:
        """The snapshot of back then, cut to ``limit`` levels a side."""
        book = self.books.get(symbol, {})
        depth = int(limit) if limit.isascii() and limit.isdigit() else DEPTH_DEFAULT
        return {
            name: rows[:depth] if isinstance(rows, list) else rows for name, rows in book.items()
        }

    def fits(self, endpoint: str, account: int | None, when: When) -> bool:
        """Whether this fault is for that call."""
        return (
            self.count > 0
            and self.when is when
            and self.endpoint in {endpoint, "*"}
            and self.account in {None, account}
        )


class FaultPlan:
    """The faults that are still to happen, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Plan one more, bounded."""
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(fault)

    def clear(self) -> int:
        """Forget all; how many there were."""
        count = len(self._faults)
        self._faults.clear()
        return count

    def take_event(self, names: tuple[str, ...], account: int | None) -> Fault | None:
        """The next fault for an event of any of these names; ``*`` does not mean events."""
        for name in names if self._faults else ():
            if any(fault.endpoint == name for fault in self._faults):
                return self.take(name, account, When.BEFORE)
        return None

    def take(self, endpoint: str, account: int | None, when: When) -> Fault | None:
        """The next fault for this call, counted down."""
        if not self._faults:
            return None
        for fault in self._faults:
            if fault.fits(endpoint, account, when):
                fault.count -= 1
                if fault.count == 0:
                    self._faults.remove(fault)
                return fault
        return None


Later = Callable[[int, Callable[[], None]], None]


class EventFaults:
    """Delivers events, or not, as the plan says. ``later`` carries out after some milliseconds."""

    def __init__(self, plan: FaultPlan, later: Later) -> None:
        self._plan = plan
        self._later = later

    def deliver(
        self, names: tuple[str, ...], account: int | None, send: Callable[[], None]
    ) -> None:
        """Send an event once, twice, later or never."""
        fault = self._plan.take_event(names, account)
        if fault is None:
            send()
        elif fault.effect is Effect.DUPLICATE:
            send()
            send()
        elif fault.effect is Effect.DELAY:
            self._later(fault.delay_ms, send)
        elif fault.effect is not Effect.DROP:
            send()
