"""Values of the trackers: book messages, venue reports, the state of an exchange order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.states import StateTable


class VenueOrderState(StrEnum):
    """Where an exchange order is in its life, as far as evidence goes."""

    PENDING_NEW = "PENDING_NEW"
    """Registered; the venue has not answered yet."""
    OPEN = "OPEN"
    """The venue says it rests, nothing of it filled."""
    PARTLY_FILLED = "PARTLY_FILLED"
    """The venue says it rests, a part of it filled."""
    PENDING_CANCEL = "PENDING_CANCEL"
    """We asked to cancel; it may still fill."""
    UNKNOWN = "UNKNOWN"
    """It may or may not exist."""
    FILLED = "FILLED"
    """All of it filled."""
    CANCELLED = "CANCELLED"
    """The venue says it is cancelled, or it is proven absent after it had been seen."""
    EXPIRED = "EXPIRED"
    """The venue ended it, for instance by self-trade prevention."""
    REJECTED = "REJECTED"
    """The venue refused it, it was never sent, or it is proven never to have arrived."""


class VenueOrderEvent(StrEnum):
    """What moves an exchange order."""

    SEEN_LIVE = "SEEN_LIVE"
    """The venue shows it resting, nothing filled."""
    SEEN_PART = "SEEN_PART"
    """The venue shows it resting, partly filled."""
    SEEN_FILLED = "SEEN_FILLED"
    """The venue shows all of it filled."""
    CANCEL_SENT = "CANCEL_SENT"
    """We are asking the venue to cancel."""
    CANCEL_PROVED = "CANCEL_PROVED"
    """The venue shows it cancelled."""
    EXPIRE_PROVED = "EXPIRE_PROVED"
    """The venue shows it expired."""
    REJECT_PROVED = "REJECT_PROVED"
    """A definite refusal, or it never left this process."""
    ABSENT_PROVED = "ABSENT_PROVED"
    """Repeated look-ups, the open orders and the trades show that it is not there."""
    OUTCOME_LOST = "OUTCOME_LOST"
    """A request was sent and its answer is lost."""
    CANCEL_FAILED = "CANCEL_FAILED"
    """The cancel definitely did not happen and the order was seen resting since."""


_S = VenueOrderState
_E = VenueOrderEvent
_ENDS: Final = {
    _E.SEEN_FILLED: _S.FILLED,
    _E.CANCEL_PROVED: _S.CANCELLED,
    _E.EXPIRE_PROVED: _S.EXPIRED,
}


def _row(
    state: VenueOrderState, **moves: VenueOrderState
) -> dict[tuple[VenueOrderState, VenueOrderEvent], VenueOrderState]:
    ends = {(state, event): end for event, end in _ENDS.items()}
    return ends | {(state, VenueOrderEvent[name]): after for name, after in moves.items()}


ORDER_STATES: Final = StateTable(
    name="exchange order",
    initial=_S.PENDING_NEW,
    terminal=frozenset({_S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED}),
    transitions={
        **_row(
            _S.PENDING_NEW,
            SEEN_LIVE=_S.OPEN,
            SEEN_PART=_S.PARTLY_FILLED,
            CANCEL_SENT=_S.PENDING_CANCEL,
            REJECT_PROVED=_S.REJECTED,
            OUTCOME_LOST=_S.UNKNOWN,
        ),
        **_row(
            _S.OPEN,
            SEEN_LIVE=_S.OPEN,
            SEEN_PART=_S.PARTLY_FILLED,
            CANCEL_SENT=_S.PENDING_CANCEL,
            REJECT_PROVED=_S.EXPIRED,
            OUTCOME_LOST=_S.UNKNOWN,
        ),
        **_row(
            _S.PARTLY_FILLED,
            SEEN_LIVE=_S.PARTLY_FILLED,
            SEEN_PART=_S.PARTLY_FILLED,
            CANCEL_SENT=_S.PENDING_CANCEL,
            REJECT_PROVED=_S.EXPIRED,
            OUTCOME_LOST=_S.UNKNOWN,
        ),
        **_row(
            _S.PENDING_CANCEL,
            SEEN_LIVE=_S.PENDING_CANCEL,
            SEEN_PART=_S.PENDING_CANCEL,
            CANCEL_SENT=_S.PENDING_CANCEL,
            CANCEL_FAILED=_S.OPEN,
            REJECT_PROVED=_S.REJECTED,
            OUTCOME_LOST=_S.UNKNOWN,
        ),
        **_row(
            _S.UNKNOWN,
            SEEN_LIVE=_S.OPEN,
            SEEN_PART=_S.PARTLY_FILLED,
            CANCEL_SENT=_S.UNKNOWN,
            REJECT_PROVED=_S.REJECTED,
            ABSENT_PROVED=_S.REJECTED,
            OUTCOME_LOST=_S.UNKNOWN,
        ),
    },
)


@dataclass(slots=True, kw_only=True)
class ExchangeOrder:
    """One order of ours at the venue. One object holds every client and exchange id it ever had.

    ``ticks`` and ``lots`` count in ``market``: the rules that the order was made under, whatever
    the venue's rules are by now. ``reported_units`` is the largest cumulative fill that the venue
    has named, ``booked_units`` the sum of the fills that stand on the account stream, both in
    atomic base units. Times are wall microseconds.
    """

    intent: IntentId
    pool: PoolId
    market: Market
    side: Side
    level: int
    ticks: int
    lots: int
    state: VenueOrderState = VenueOrderState.PENDING_NEW
    client_ids: list[str] = field(default_factory=list)
    exchange_ids: list[str] = field(default_factory=list)
    reported_units: int = 0
    booked_units: int = 0
    seen: bool = False
    registered_us: int = 0
    changed_us: int = 0
    reason: str = ""

    @property
    def terminal(self) -> bool:
        """Whether it has ended, by evidence."""
        return self.state in ORDER_STATES.terminal

    @property
    def symbol(self) -> str:
        """The market's symbol."""
        return self.market.symbol

    @property
    def quantity_units(self) -> int:
        """Its whole size in atomic base units."""
        return self.lots * self.market.lot_units

    @property
    def price_units(self) -> int:
        """Its price in atomic quote units of one whole base."""
        return self.ticks * self.market.tick_units

    @property
    def filled_units(self) -> int:
        """The most that is known to have filled, in atomic base units."""
        return max(self.reported_units, self.booked_units)

    @property
    def open_units(self) -> int:
        """The most that may still fill, in atomic base units; 0 after the end."""
        return 0 if self.terminal else max(0, self.quantity_units - self.filled_units)

    @property
    def unexplained_units(self) -> int:
        """What the venue says has filled and no booked trade explains, in atomic base units."""
        return max(0, self.reported_units - self.booked_units)

    def learn_exchange_id(self, exchange_order_id: str) -> bool:
        """Whether the id was new to this order."""
        new = bool(exchange_order_id) and exchange_order_id not in self.exchange_ids
        if new:
            self.exchange_ids.append(exchange_order_id)
        return new

    def copy(self) -> ExchangeOrder:
        """An order of its own with the same content."""
        ids = {"client_ids": list(self.client_ids), "exchange_ids": list(self.exchange_ids)}
        return replace(self, **ids)  # type: ignore[arg-type]


class ReportedState(StrEnum):
    """What a venue says about an order."""

    LIVE = "LIVE"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """The venue's word on one order. ``intent`` is what its client id decodes to, if it is ours.

    ``filled_units`` are atomic base units: what fills need not fit the lot of today's rules.
    """

    symbol: str
    exchange_order_id: str
    client_id: str
    intent: IntentId | None
    state: ReportedState
    filled_units: int
    venue_time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeReport:
    """The venue's word on one trade of the account, units exactly as it reports them.

    ``fee_units`` are atomic units of ``fee_asset``. ``intent`` is set where the channel names
    our client id; trades read over REST do not.
    """

    symbol: str
    exchange_order_id: str
    trade_id: str
    intent: IntentId | None
    side: Side
    base_units: int
    quote_units: int
    fee_asset: str
    fee_units: int
    is_maker: bool
    venue_time_us: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one trade within an account."""
        return self.symbol, self.exchange_order_id, self.trade_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFill:
    """A trade as it stands on the account stream.

    ``fee_seq`` is None while the fee is not on the stream yet; ``fee_base_units`` and
    ``fee_quote_units`` are what the fee takes of the pool's capital.
    """

    trade: TradeReport
    pool: PoolId
    published_us: int
    fill_seq: int
    fee_seq: int | None = None
    fee_base_units: int = 0
    fee_quote_units: int = 0


@dataclass(frozen=True, slots=True)
class OpenFees:
    """Commissions of a pool that nobody has priced yet.

    ``quote_units`` is what their trades were worth: no venue takes more than the whole trade.
    """

    count: int
    quote_units: int


@dataclass(frozen=True, slots=True)
class OddRow:
    """A part of a venue's answer that cannot be read: set aside, named and never guessed.

    ``subject`` is the market that it is about, as far as that can be told, and ``identity`` the
    row's own number at the venue. Two rows with the same content are the same oddity.
    """

    source: str
    subject: str
    problem: str
    excerpt: str
    identity: str = ""
    matters: bool = True
    """False where it says that nothing is held: it is named, and nobody has to look."""

    @property
    def key(self) -> str:
        """Names the row for a person who decides on it."""
        named = f"{self.source}\n{self.subject}\n{self.excerpt}"
        return sha256(named.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """Open orders of a market. While ``odd`` has rows, absence from ``reports`` proves nothing."""

    reports: tuple[OrderReport, ...]
    odd: tuple[OddRow, ...] = ()


@dataclass(frozen=True, slots=True)
class OddTrade:
    """A trade that cannot be read; ``cursor`` stands before it, empty where that is not known."""

    row: OddRow
    cursor: str


@dataclass(frozen=True, slots=True)
class TradePage:
    """Trades after a cursor in the venue's order; ``complete`` when there are no more now.

    ``cursor`` stands after everything on the page, ``odd`` included: whoever keeps it must not
    move it past a trade that nobody has read. ``odd`` is in the venue's order.
    """

    trades: tuple[TradeReport, ...]
    cursor: str
    complete: bool
    odd: tuple[OddTrade, ...] = ()


@dataclass(frozen=True, slots=True)
class BalanceReport:
    """What the venue says it holds of one asset, atomic units."""

    asset: str
    free_units: int
    locked_units: int


@dataclass(frozen=True, slots=True)
class VenueMarket:
    """A market's rules as the venue has them now. Fees are millionths, None where unknown."""

    market: Market
    is_open: bool
    maker_fee_cbps: int
    taker_fee_ppm: int | None = None


@dataclass(frozen=True, slots=True)
class NoMarket:
    """The venue does not offer a market now, or its rules cannot be read: it is closed to us."""

    reason: str


Levels = list[tuple[int, int]]
"""(price, size) pairs: atomic quote units of one whole base, atomic base units; size 0 removes.

Public prices do not count in ticks: orders that rest since before a change of the tick stay where
they are, and a change of the rules must never change what a price that was read means.
"""


@dataclass(frozen=True, slots=True)
class Depth:
    """What must stand behind a price: so much base, and base worth so much quote, atomic units."""

    base_units: int = 0
    quote_units: int = 0

    def largest(self, other: Depth) -> Depth:
        """The larger of each part."""
        base_units = max(self.base_units, other.base_units)
        return Depth(base_units, max(self.quote_units, other.quote_units))

    def times(self, factor: int, parts: int = 1) -> Depth:
        """A multiple of it or, rounded up, of a part."""
        base_units = -(-self.base_units * factor // parts)
        return Depth(base_units, -(-self.quote_units * factor // parts))

    def covers(self, other: Depth) -> bool:
        """Whether no part of ``other`` is larger."""
        return self.base_units >= other.base_units and self.quote_units >= other.quote_units


@dataclass(frozen=True, slots=True)
class BookDiff:
    """Absolute sizes of the levels that changed in updates ``first_id`` to ``last_id``."""

    first_id: int
    last_id: int
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A whole book as of update ``last_id``."""

    last_id: int
    bids: Levels
    asks: Levels
