"""Values of the engine: its configuration, what is wished of a pool, what the page sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset
from poolmaker.market.tracking.rules import AbsenceRule
from poolmaker.messages.market import CapitalSet, DrainTo, QuoteGate, StartQuoting


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """How one engine works. All times are milliseconds.

    ``assets`` tells the scale of assets by code, for balances and for fees in third assets.
    ``depth_min_orders``: at least the size of so many of the venue's smallest orders stands behind
    every price.
    """

    account: VenueAccountId
    assets: Mapping[str, Asset] = field(default_factory=dict)
    tick_ms: int = 1_000
    control_poll_ms: int = 100
    control_idle_ms: int = 2_000
    """The longest time between two looks where hints ring."""
    reconcile_ms: int = 10_000
    resolve_ms: int = 500
    report_ms: int = 250
    balance_report_ms: int = 2_000
    unbooked_max_ms: int = 10_000
    decision_age_max_ms: int = 3_000
    cancel_retry_ms: int = 1_500
    cancel_failures_max: int = 3
    unready_max_ms: int = 3_000
    refusal_pause_ms: int = 500
    refusal_pause_max_ms: int = 30_000
    twap_ms: int = 60_000
    twap_span_min_ms: int = 10_000
    book_levels: int = 1_000
    rules_check_ms: int = 300_000
    closed_check_ms: int = 5_000
    depth_min_orders: int = 20
    stop_ms: int = 15_000
    absence: AbsenceRule = field(default_factory=AbsenceRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInstructions:
    """What the business asked of one pool: the newest message of each kind."""

    pool: PoolId
    start: StartQuoting | None = None
    quoting: bool = False
    stop_reason: str = ""
    capital: CapitalSet | None = None
    drain: DrainTo | None = None
    drain_reported: bool = False


@dataclass(frozen=True, slots=True)
class OwnFact:
    """What one fact of the account stream did to a pool's capital, in atomic units."""

    seq: int
    base_units: int
    quote_units: int
    published_us: int


@dataclass(frozen=True, slots=True)
class GateSince:
    """Why a side does not quote, since when (wall microseconds), and what more is known of it."""

    gate: QuoteGate
    since_us: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LiveOrderView:
    """An own order as the page shows it; decimal texts."""

    intent: str
    side: Side
    level: int
    price: str
    quantity: str
    filled: str
    state: str
    age_ms: int


@dataclass(frozen=True, slots=True)
class LiveFillView:
    """An own fill as the page shows it; decimal texts."""

    side: Side
    base: str
    quote: str
    is_maker: bool
    venue_time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePool:
    """One pool as the page shows it. ``bids`` and ``asks`` are (price, quantity), best first.

    ``mid`` is the middle of the depth prices, which decide quotes and money; empty where a side of
    the book is thinner than they need.
    """

    pool: PoolId
    symbol: str
    base_asset: str
    quote_asset: str
    book_state: str
    book_version: int
    book_age_ms: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    mid: str
    orders: tuple[LiveOrderView, ...]
    fills: tuple[LiveFillView, ...]
    gates: Mapping[Side, GateSince]
    base: str
    quote: str
    deviation_ppm: int
    widened_to_floor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """How one engine is doing, since ``since_us`` (wall). ``why_not`` is empty while all hold.

    ``connected``: the account's stream flows. ``reconciled``: open orders, trades and balances were
    compared in this session. ``quoting``: an order rests for some pool. ``ok``: nothing needs a
    person; an engine that no pool asks to quote is well without quoting.
    """

    account: VenueAccountId
    ok: bool
    connected: bool
    reconciled: bool
    quoting: bool
    since_us: int
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """One account as the page shows it; plain values, detached from the engine."""

    account: VenueAccountId
    ready: bool
    halted: str
    epoch: int
    taken_at_us: int
    unknown_orders: int
    orders_placed: int
    fills_booked: int
    pools: tuple[LivePool, ...]
    gates: Mapping[PoolId, Mapping[Side, GateSince]] = field(default_factory=dict)

    def gates_of(self, pool: PoolId) -> Mapping[Side, GateSince]:
        """Why the sides of a pool do not quote, also while its market is not known yet."""
        return self.gates.get(pool, {})
