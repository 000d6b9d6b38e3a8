"""The shapes of the wire, decoded strictly, and their meaning in ticks, lots and units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from poolmaker.kernel.checks import require
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Rounding, divide, parse_units, power_of_ten
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.refusals import NoAnswer
from poolmaker.market.execution.client_ids import decode_client_id
from poolmaker.market.tracking.model import (
    BalanceReport,
    BookDiff,
    BookSnapshot,
    Levels,
    OrderReport,
    ReportedState,
    TradeReport,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec

T = TypeVar("T")
PRECISION: Final = 8
_CACHE_MAX: Final = 50_000
_STATES: Final = {
    "NEW": ReportedState.LIVE,
    "PARTIALLY_FILLED": ReportedState.LIVE,
    "PENDING_NEW": ReportedState.LIVE,
    "PENDING_CANCEL": ReportedState.LIVE,
    "FILLED": ReportedState.FILLED,
    "CANCELED": ReportedState.CANCELLED,
    "EXPIRED": ReportedState.EXPIRED,
    "EXPIRED_IN_MATCH": ReportedState.EXPIRED,
    "REJECTED": ReportedState.REJECTED,
}


class OrderRow(msgspec.Struct, rename="camel"):
    """An order in lists, queries and answers to a cancel."""

    symbol: str
    order_id: int
    client_order_id: str
    executed_qty: str
    status: str
    orig_client_order_id: str = ""
    update_time: int = 0


class AckRow(msgspec.Struct, rename="camel"):
    """The short answer to a create."""

    order_id: int


class TradeRow(msgspec.Struct, rename="camel"):
    """A trade of the account over REST."""

    symbol: str
    id: int
    order_id: int
    qty: str
    quote_qty: str
    commission: str
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


class DepthRow(msgspec.Struct, rename="camel"):
    """A snapshot of the book."""

    last_update_id: int
    bids: list[list[str]]
    asks: list[list[str]]


class DepthFrame(msgspec.Struct):
    """A change of the book; one letter each, as on the wire."""

    s: str
    U: int
    u: int
    b: list[list[str]]
    a: list[list[str]]


class ExecutionFrame(msgspec.Struct):
    """An order event of the account; one letter each, as on the wire."""

    s: str
    c: str
    S: str
    x: str
    X: str
    i: int
    z: str
    T: int
    C: str | None = None
    l: str = "0"  # noqa: E741 - the wire's own letter
    n: str = "0"
    N: str | None = None
    t: int = -1
    m: bool = False
    Y: str = "0"


class BalanceRow(msgspec.Struct):
    """A balance over REST."""

    asset: str
    free: str
    locked: str


class AccountRow(msgspec.Struct):
    """The account over REST."""

    balances: list[BalanceRow]


class PositionCell(msgspec.Struct):
    """A balance on the stream."""

    a: str
    f: str
    l: str  # noqa: E741 - the wire's own letter


class PositionFrame(msgspec.Struct):
    """Balances on the stream."""

    B: list[PositionCell]


class FilterRow(msgspec.Struct, rename="camel"):
    """One rule of a symbol; each kind fills its own fields."""

    filter_type: str
    tick_size: str = ""
    step_size: str = ""
    min_qty: str = ""
    min_notional: str = ""


class SymbolRow(msgspec.Struct, rename="camel"):
    """A symbol's rules."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[FilterRow]


class RulesRow(msgspec.Struct):
    """The venue's rules."""

    symbols: list[SymbolRow]


class RatesRow(msgspec.Struct):
    """Rates of commission; parts of one."""

    maker: str = "0"


class CommissionRow(msgspec.Struct, rename="camel"):
    """What a symbol costs this account."""

    standard_commission: RatesRow
    tax_commission: RatesRow = msgspec.field(default_factory=RatesRow)


def decode(answer: Any, kind: type[T]) -> T:
    """An answer as ``kind``. A shape that is not the wire's is no answer at all."""
    try:
        return msgspec.convert(answer, kind, strict=True)
    except msgspec.ValidationError as error:
        raise NoAnswer(f"an answer of another shape: {error}") from error


class Grid:
    """Decimal text to multiples of a step, exactly. Texts recur, so they are remembered."""

    def __init__(self, scale: int, step_units: int) -> None:
        # A scale below the wire's precision is widened, so that every text of the wire fits.
        widened = max(0, PRECISION - scale)
        self._scale = scale + widened
        self._fine = step_units * power_of_ten(widened)
        self._fill = power_of_ten(self._scale - PRECISION)
        self._known: dict[str, int] = {}

    def steps(self, text: str) -> int:
        """The multiple; raises NoAnswer for a text between steps, which a rule change explains."""
        known = self._known.get(text)
        if known is not None:
            return known
        steps, rest = divmod(self._units(text), self._fine)
        if rest:
            raise NoAnswer(f"{text} is not a multiple of the step of {self._fine} units")
        if len(self._known) >= _CACHE_MAX:
            self._known.clear()
        self._known[text] = steps
        return steps

    def _units(self, text: str) -> int:
        """The same as ``parse_units``, quicker for the form that the wire nearly always has."""
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        if len(fraction) != PRECISION or not (digits.isascii() and digits.isdigit()):
            return parse_units(text, self._scale)
        return int(digits) * self._fill


class MarketWire:
    """Reads rows of one market."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._prices = Grid(market.quote.scale, market.tick_units)
        self._sizes = Grid(market.base.scale, market.lot_units)

    def levels(self, rows: Sequence[Sequence[str]]) -> Levels:
        """(ticks, lots) of book rows."""
        ticks, lots = self._prices.steps, self._sizes.steps
        return [(ticks(row[0]), lots(row[1])) for row in rows]

    def snapshot(self, row: DepthRow) -> BookSnapshot:
        """A snapshot of the book."""
        return BookSnapshot(row.last_update_id, self.levels(row.bids), self.levels(row.asks))

    def diff(self, frame: DepthFrame) -> BookDiff:
        """A change of the book."""
        return BookDiff(frame.U, frame.u, self.levels(frame.b), self.levels(frame.a))

    def order(self, row: OrderRow) -> OrderReport:
        """An order over REST. After a cancel our id is in the original's field."""
        client_id = row.orig_client_order_id or row.client_order_id
        return self._report(row.order_id, client_id, row.status, row.executed_qty, row.update_time)

    def execution(self, frame: ExecutionFrame) -> OrderReport:
        """An order event. On a cancel the original id stands in its own field."""
        return self._report(frame.i, frame.C or frame.c, frame.X, frame.z, frame.T)

    def lots(self, text: str) -> int:
        """Lots of a quantity."""
        return self._sizes.steps(text)

    def trade(self, row: TradeRow, config: BinanceConfig) -> TradeReport:
        """A trade over REST, which does not name our id."""
        return TradeReport(
            symbol=self.market.symbol,
            exchange_order_id=str(row.order_id),
            trade_id=str(row.id),
            intent=None,
            side=Side.BUY if row.is_buyer else Side.SELL,
            base_units=parse_units(row.qty, self.market.base.scale),
            quote_units=parse_units(row.quote_qty, self.market.quote.scale),
            fee_asset=row.commission_asset,
            fee_units=self._fee(row.commission, row.commission_asset, config),
            is_maker=row.is_maker,
            venue_time_us=row.time * 1_000,
        )

    def executed_trade(self, frame: ExecutionFrame, config: BinanceConfig) -> TradeReport | None:
        """The trade of an order event; None when the event is of another kind."""
        if frame.x != "TRADE":
            return None
        return TradeReport(
            symbol=self.market.symbol,
            exchange_order_id=str(frame.i),
            trade_id=str(frame.t) if frame.t >= 0 else "",
            intent=decode_client_id(frame.C or frame.c),
            side=Side(frame.S),
            base_units=parse_units(frame.l, self.market.base.scale),
            quote_units=parse_units(frame.Y, self.market.quote.scale),
            fee_asset=frame.N or "",
            fee_units=self._fee(frame.n, frame.N or "", config),
            is_maker=frame.m,
            venue_time_us=frame.T * 1_000,
        )

    def _fee(self, text: str, code: str, config: BinanceConfig) -> int:
        if not code:
            return 0
        for asset in (self.market.base, self.market.quote):
            if asset.code == code:
                return parse_units(text, asset.scale)
        return parse_units(text, config.asset(code).scale)

    def _report(
        self, order_id: int, client_id: str, status: str, filled: str, time_ms: int
    ) -> OrderReport:
        state = _STATES.get(status)
        if state is None:
            raise NoAnswer(f"an order in a state that is not the wire's: {status}")
        return OrderReport(
            symbol=self.market.symbol,
            exchange_order_id=str(order_id),
            client_id=client_id,
            intent=decode_client_id(client_id),
            state=state,
            filled_lots=self._sizes.steps(filled),
            venue_time_us=time_ms * 1_000,
        )


def venue_market(spec: MarketSpec, row: SymbolRow, fees: CommissionRow) -> VenueMarket:
    """A symbol's rules in our units. Raises CallerFault where ``spec`` cannot hold them exactly."""
    require(
        (row.base_asset, row.quote_asset) == (spec.base, spec.quote),
        f"market {spec.symbol}: the venue trades {row.base_asset} for {row.quote_asset}",
    )
    # The venue writes amounts and commissions with eight decimals; a smaller scale would refuse
    # facts that have happened.
    for name, scale in (("base", spec.base_scale), ("quote", spec.quote_scale)):
        require(scale >= PRECISION, f"market {spec.symbol}: {name} needs a scale of 8 or more")
    rules = {rule.filter_type: rule for rule in row.filters}
    notional = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL")
    lot_units = parse_units(rules["LOT_SIZE"].step_size, spec.base_scale)
    smallest = parse_units(rules["LOT_SIZE"].min_qty or "0", spec.base_scale)
    market = Market(
        symbol=spec.symbol,
        base=spec.base_asset,
        quote=spec.quote_asset,
        tick_units=parse_units(rules["PRICE_FILTER"].tick_size, spec.quote_scale),
        lot_units=lot_units,
        quantity_min_lots=max(1, divide(smallest, lot_units, Rounding.UP)),
        notional_min_units=parse_units(notional.min_notional, spec.quote_scale) if notional else 0,
    )
    return VenueMarket(market, row.status == "TRADING", maker_fee_cbps(fees))


def maker_fee_cbps(fees: CommissionRow) -> int:
    """What a maker pays, rounded up to hundredths of a basis point."""
    parts = (fees.standard_commission.maker, fees.tax_commission.maker)
    units = sum(parse_units(part, PRECISION) for part in parts)
    return divide(units, power_of_ten(PRECISION - 6), Rounding.UP)


def balances(rows: Mapping[str, tuple[str, str]], config: BinanceConfig) -> list[BalanceReport]:
    """(free, locked) texts by asset code as atomic units."""
    found = []
    for code, (free, locked) in rows.items():
        scale = config.asset(code).scale
        found.append(BalanceReport(code, parse_units(free, scale), parse_units(locked, scale)))
    return found
