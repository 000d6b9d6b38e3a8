"""Values of the story: what is asked, what was seen, what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from poolmaker.kernel.errors import PoolmakerError

ACCOUNT: Final = "main"
POOL: Final = "btc-usdt"
BASE: Final = "BTC"
QUOTE: Final = "USDT"
VENUE_ACCOUNT: Final = 1
LOCATION: Final = f"custody:venue:{ACCOUNT}"

SECONDS_MAX: Final = 90
FILLS_MIN: Final = 30

CustodyBook = Mapping[str, Mapping[str, str]]
"""Location -> asset -> exact decimal text."""


class StoryFailed(PoolmakerError):
    """Something did not happen in its time, or not as it should; the sentence says what."""

    code = "story_failed"


class ActName(StrEnum):
    """The acts in their order; the values are keys of the page's catalogue."""

    BEGIN = "begin"
    MONEY = "money"
    JOIN = "join"
    QUOTE = "quote"
    CRASH = "crash"
    PAUSE = "pause"
    LEAVE = "leave"
    SETTLE = "settle"
    JUDGE = "judge"


ACTS: Final = tuple(ActName)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryOptions:
    """What the command was asked to do. ``seed`` None draws one, ``port`` 0 takes a free one."""

    home: Path
    port: int
    once: bool
    as_json: bool
    seed: int | None
    recording: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the story: what he brings and where he wants it paid out."""

    name: str
    base: str
    quote: str
    payout: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the seed decides."""

    people: tuple[Person, Person]
    crash_after_fills: int
    crash_delay_us: int
    pause_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person at the platform."""

    person: Person
    user_id: str
    token: str
    order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was collected in the last act, from every side independently.

    ``booked`` and ``reported`` were taken while neither side moved. Open orders are
    (side, price, what is left), as exact texts without zeros at their ends.
    """

    trial_balance: Mapping[str, Any]
    verification: Mapping[str, Any]
    booked: CustodyBook
    reported: CustodyBook
    orders_at_venue: tuple[tuple[str, str, str], ...]
    orders_in_books: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the judge says about the evidence."""

    trial_balance_ok: bool
    ledger_verify_ok: bool
    custody_ok: bool
    custody: Mapping[str, Mapping[str, Mapping[str, str]]]
    open_orders_unknown: int


Judge = Callable[[Evidence], Verdict]


@dataclass(slots=True, kw_only=True)
class Told:
    """What has come out so far; the fields of the last line of ``--json``."""

    seed: int
    seconds: float = 0.0
    users: int = 0
    orders_placed: int = 0
    fills: int = 0
    restart_survived: bool = False
    verdict: Verdict | None = None
    finished: bool = False
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Everything holds."""
        verdict = self.verdict
        return (
            self.finished
            and self.restart_survived
            and self.seconds <= SECONDS_MAX
            and self.fills >= FILLS_MIN
            and verdict is not None
            and verdict.trial_balance_ok
            and verdict.ledger_verify_ok
            and verdict.custody_ok
            and verdict.open_orders_unknown == 0
        )

    def document(self) -> dict[str, Any]:
        """The last line of ``--json``; what was not reached reads as not ok."""
        verdict = self.verdict
        return {
            "seconds": round(self.seconds, 1),
            "seed": self.seed,
            "users": self.users,
            "orders_placed": self.orders_placed,
            "fills": self.fills,
            "restart_survived": self.restart_survived,
            "open_orders_unknown": verdict.open_orders_unknown if verdict else None,
            "trial_balance_ok": bool(verdict and verdict.trial_balance_ok),
            "ledger_verify_ok": bool(verdict and verdict.ledger_verify_ok),
            "custody_ok": bool(verdict and verdict.custody_ok),
            "custody": verdict.custody if verdict else {},
        }
