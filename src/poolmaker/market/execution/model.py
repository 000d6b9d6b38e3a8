"""Values of the execution core: intents, live orders as the planner sees them, venue replies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market, Side


class LiveOrderStage(StrEnum):
    """What a live order is to the planner."""

    PENDING = "PENDING"
    """Decided, perhaps sent, not answered."""
    RESTING = "RESTING"
    """At the venue."""
    CANCELLING = "CANCELLING"
    """A cancel is decided, sent or in doubt."""
    UNKNOWN = "UNKNOWN"
    """It may or may not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOrder:
    """An order that may still fill. A slot is (pool, side, level); it is occupied from decision.

    ``ticks`` and ``lots`` count in ``market``, the rules that it was made under; ``open_units``
    are atomic base units.
    """

    intent: IntentId
    pool: PoolId
    market: Market
    side: Side
    level: int
    ticks: int
    lots: int
    open_units: int
    stage: LiveOrderStage
    age_us: int

    @property
    def price_units(self) -> int:
        """Its price in atomic quote units of one whole base."""
        return self.ticks * self.market.tick_units


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOrder:
    """What should rest in one slot; ticks and lots of ``market``."""

    market: Market
    side: Side
    level: int
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateIntent:
    """A decided order. It is sent after it is stored, at most once."""

    intent: IntentId
    pool: PoolId
    market: Market
    side: Side
    level: int
    ticks: int
    lots: int
    client_id: str
    decided_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelIntent:
    """A decided cancel. It is sent at once, again and again until evidence, and stored after."""

    target: IntentId
    pool: PoolId
    symbol: str
    exchange_order_id: str
    client_id: str
    decided_us: int


class VenueRefusal(StrEnum):
    """A venue's definite no to an order: it does not exist there."""

    WOULD_TAKE = "WOULD_TAKE"
    """Post-only, and the price would have traded at once."""
    INSUFFICIENT = "INSUFFICIENT"
    """The account's free balance does not cover it."""
    FILTER = "FILTER"
    """Price, size or value outside the venue's rules."""
    MARKET_CLOSED = "MARKET_CLOSED"
    """The market does not take orders now."""
    DUPLICATE = "DUPLICATE"
    """The client id is in use: the order of this intent is there already."""
    RATE_LIMITED = "RATE_LIMITED"
    """Too many requests or a ban; nothing was done."""
    CLOCK = "CLOCK"
    """The request's time was outside the venue's window."""
    KEY = "KEY"
    """The key, its rights, or the signature."""
    OTHER = "OTHER"
    """Anything else that is definite."""


@dataclass(frozen=True, slots=True)
class Created:
    """The venue took the order."""

    exchange_order_id: str


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The venue definitely did not take the request. ``wait_us`` before the next one."""

    refusal: VenueRefusal
    text: str
    wait_us: int = 0


CreateReply = Created | RequestRefused


@dataclass(frozen=True, slots=True)
class CancelAccepted:
    """The venue cancelled it, after ``filled_units`` atomic base units of it had filled."""

    exchange_order_id: str
    filled_units: int


@dataclass(frozen=True, slots=True)
class NotThere:
    """The venue does not know such an open order: it may have filled, ended or never arrived."""


CancelReply = CancelAccepted | NotThere | RequestRefused
