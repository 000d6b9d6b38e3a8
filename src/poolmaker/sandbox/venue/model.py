"""Values of the venue: markets, accounts, orders, fills and what the engine says has happened.

Prices are integer ticks, quantities integer lots, balances integer units of 1e-8 of the asset.
A market's tick and lot are chosen so that one tick times one lot is a whole number of units of
the quote asset: no product is ever rounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

import msgspec

from poolmaker.kernel.checks import require
from poolmaker.sandbox.venue.units import SCALE

AccountId = NewType("AccountId", int)
PREVENTED_MAX: Final = 1_000


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """The order types that this venue's symbols allow."""

    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"


class TimeInForce(StrEnum):
    """What becomes of the part that does not trade at once."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class StpMode(StrEnum):
    """Self-trade prevention: who expires when an account would trade with itself."""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class OrderStatus(StrEnum):
    """Where an order is in its life; the last four are terminal."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"


class Execution(StrEnum):
    """What an execution report reports."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    TRADE_PREVENTION = "TRADE_PREVENTION"


class SymbolStatus(StrEnum):
    """Whether a symbol trades. Cancels are accepted in every state but BREAK."""

    TRADING = "TRADING"
    HALT = "HALT"
    BREAK = "BREAK"
    CANCEL_ONLY = "CANCEL_ONLY"


class VenueError(StrEnum):
    """Why the engine did not take a command, in the order in which they are looked for."""

    MARKET_CLOSED = "MARKET_CLOSED"
    PRICE_FILTER = "PRICE_FILTER"
    PERCENT_PRICE_BY_SIDE = "PERCENT_PRICE_BY_SIDE"
    LOT_SIZE = "LOT_SIZE"
    MARKET_LOT_SIZE = "MARKET_LOT_SIZE"
    NOTIONAL = "NOTIONAL"
    MAX_NUM_ORDERS = "MAX_NUM_ORDERS"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    WOULD_TAKE = "WOULD_TAKE"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    CANCEL_RESTRICTED = "CANCEL_RESTRICTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolSpec:
    """The rules of one symbol. Units are 1e-8 of the asset named.

    The engine counts in ``tick_units`` and ``step_units``, which stay as they were when the symbol
    was listed. What a new order must be a multiple of may change while it trades: so many of those
    (``tick_multiple``, ``step_multiple``). Orders that rest already are not touched by a change.
    """

    base: str
    quote: str
    tick_units: int
    step_units: int
    min_notional_units: int
    first_price_units: int
    max_lots: int = 90_000_000_000
    max_price_units: int = 10_000_000 * SCALE
    max_notional_units: int = 9_000_000 * SCALE
    percent_up: int = 5
    percent_down_per_cent: int = 20
    open_orders_max: int = 200
    tick_multiple: int = 1
    step_multiple: int = 1
    min_lots: int = 1

    def __post_init__(self) -> None:
        """Refuse a tick and a lot whose product is not a whole number of quote units."""
        product = self.tick_units * self.step_units
        require(product > 0 and product % SCALE == 0, f"{self.name}: tick times lot is not exact")
        require(self.first_price_units % self.tick_units == 0, f"{self.name}: price off the tick")
        smallest = min(self.tick_multiple, self.step_multiple, self.min_lots)
        require(smallest >= 1, f"{self.name}: expected one or more of tick, step and quantity")

    @property
    def tick_size_units(self) -> int:
        """What the price of a new order is a multiple of."""
        return self.tick_units * self.tick_multiple

    @property
    def step_size_units(self) -> int:
        """What the quantity of a new order is a multiple of."""
        return self.step_units * self.step_multiple

    @property
    def min_quantity_units(self) -> int:
        """The smallest quantity of a new order."""
        return max(self.step_size_units, self.step_units * self.min_lots)

    @property
    def name(self) -> str:
        """The symbol as the wire writes it."""
        return self.base + self.quote


class Balance:
    """What an account holds of one asset: free to use, and locked in open orders."""

    __slots__ = ("free", "locked")

    def __init__(self) -> None:
        self.free = 0
        self.locked = 0


class Fill(msgspec.Struct, gc=False):
    """One trade as one of its two accounts sees it."""

    symbol: str
    trade_id: int
    order_id: int
    price: int
    lots: int
    quote_units: int
    fee_units: int
    fee_asset: str
    time_us: int
    is_buyer: bool
    is_maker: bool


class Order:
    """One order, from acceptance to its end; queued in a price level while it rests."""

    __slots__ = (
        "account",
        "after",
        "before",
        "client_id",
        "created_us",
        "done",
        "is_buy",
        "locked_units",
        "lots",
        "order_id",
        "order_type",
        "prevented_lots",
        "price",
        "quote_done",
        "quote_order_units",
        "resting",
        "status",
        "stp",
        "symbol",
        "tif",
        "updated_us",
        "working_us",
    )

    def __init__(self, order_id: int, request: NewOrder, time_us: int) -> None:
        self.order_id = order_id
        self.account = request.account
        self.symbol = request.symbol
        self.client_id = request.client_id
        self.is_buy = request.is_buy
        self.order_type = request.order_type
        self.tif = request.tif
        self.stp = request.stp
        self.price = request.price
        self.lots = request.lots
        self.quote_order_units = request.quote_order_units
        self.done = 0
        self.quote_done = 0
        self.prevented_lots = 0
        self.locked_units = 0
        self.status = OrderStatus.NEW
        self.created_us = time_us
        self.updated_us = time_us
        self.working_us = time_us
        self.resting = False
        self.before: Order | None = None
        self.after: Order | None = None

    @property
    def remaining(self) -> int:
        """Lots not yet traded."""
        return self.lots - self.done

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status is OrderStatus.NEW or self.status is OrderStatus.PARTIALLY_FILLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of an account's past the venue keeps, per symbol. Open orders are always kept.

    The real venue archives orders without fills after 90 days and keeps the rest; a sandbox that
    runs for days keeps the newest so many instead, and says so here. The bounds are small enough
    to be reached within an hour of busy trading: from then on memory is flat.
    """

    unfilled_orders: int = 5_000
    traded_orders: int = 2_000
    fills: int = 4_000


class Prevented(msgspec.Struct, gc=False, kw_only=True):
    """A trade of an account with itself that did not happen."""

    match_id: int
    taker_order_id: int
    maker_order_id: int
    stp: StpMode
    price: int
    lots: int
    time_us: int


class SymbolHistory:
    """One account's orders, fills and prevented trades in one symbol, bounded by a Retention."""

    __slots__ = (
        "archived_to",
        "by_client_id",
        "fills",
        "orders",
        "prevented",
        "traded",
        "unfilled",
    )

    def __init__(self, retention: Retention) -> None:
        self.orders: dict[int, Order] = {}
        self.by_client_id: dict[str, Order] = {}
        self.fills: deque[Fill] = deque(maxlen=retention.fills)
        self.prevented: deque[Prevented] = deque(maxlen=PREVENTED_MAX)
        self.traded: deque[Order] = deque()
        self.unfilled: deque[Order] = deque()
        self.archived_to = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Account:
    """A holder of balances. Client accounts have history and reports, internal ones do not."""

    account_id: AccountId
    name: str
    is_client: bool
    maker_rate: int = 0
    taker_rate: int = 0
    pays_in_bnb: bool = False
    balances: dict[str, Balance] = field(default_factory=dict)
    open_orders: dict[str, dict[int, Order]] = field(default_factory=dict)
    open_client_ids: set[tuple[str, str]] = field(default_factory=set)
    history: dict[str, SymbolHistory] = field(default_factory=dict)
    updated_us: int = 0

    def balance(self, asset: str) -> Balance:
        """The balance of ``asset``, made empty when it was never held."""
        found = self.balances.get(asset)
        if found is None:
            found = self.balances[asset] = Balance()
        return found


class NewOrder(msgspec.Struct, gc=False, kw_only=True):
    """A request to place an order, already in ticks, lots and units.

    ``lots`` is 0 exactly when a MARKET order is sized by ``quote_order_units``. ``price`` is 0
    exactly for MARKET.
    """

    account: Account
    symbol: str
    is_buy: bool
    order_type: OrderType = OrderType.LIMIT
    tif: TimeInForce = TimeInForce.GTC
    price: int = 0
    lots: int = 0
    quote_order_units: int = 0
    client_id: str = ""
    stp: StpMode = StpMode.EXPIRE_MAKER


class Accepted(msgspec.Struct, gc=False):
    """An order that was taken, with the fills that it had at once."""

    order: Order
    fills: list[Fill]


class Report(msgspec.Struct, gc=False, kw_only=True):
    """What happened to one order of a client, with its numbers as they stood then."""

    execution: Execution
    execution_id: int
    order: Order
    status: OrderStatus
    done: int
    quote_done: int
    time_us: int
    is_working: bool
    client_id: str
    original_client_id: str = ""
    fill: Fill | None = None
    prevented_lots: int = 0
    prevented_match_id: int = 0
    prevented_price: int = 0
    counter_order_id: int = 0


class PositionSeen(msgspec.Struct, gc=False):
    """Balances of a client that a command has touched: asset, free and locked units."""

    account: Account
    time_us: int
    balances: list[tuple[str, int, int]]


class BalanceMoved(msgspec.Struct, gc=False):
    """A deposit (positive) or a withdrawal (negative) of a client."""

    account: Account
    asset: str
    delta_units: int
    time_us: int


class TradePrint(msgspec.Struct, gc=False):
    """One trade as the public sees it."""

    symbol: str
    trade_id: int
    price: int
    lots: int
    quote_units: int
    time_us: int
    buyer_is_maker: bool


Event = Report | PositionSeen | BalanceMoved | TradePrint
RATE_SCALE: Final = 100_000_000
