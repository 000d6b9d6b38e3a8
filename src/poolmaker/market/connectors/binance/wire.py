"""The shapes of the wire, decoded strictly, and their meaning in ticks, lots and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypedDict

import msgspec

from poolmaker.kernel.checks import require
from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Rounding, divide, power_of_ten
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.edges import (
    asset_code,
    decode,
    foreign_code,
    number,
    plain,
    time_us,
    units,
)
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

PRECISION: Final = 8
_CACHE_MAX: Final = 10_000
_RUN_MAX: Final = 1_000_000
"""More updates than any venue makes between two frames."""
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


_SIDES: Final = frozenset(Side)


class _Fee(TypedDict):
    """The commission of a trade."""

    fee_asset: str
    fee_units: int


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
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class DepthFrame(msgspec.Struct):
    """A change of the book; one letter each, as on the wire."""

    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


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


class AccountPayload(msgspec.Struct):
    """The account over REST; its balances are read one by one."""

    balances: list[Any]


class PositionCell(msgspec.Struct):
    """A balance on the stream."""

    a: str
    f: str
    l: str  # noqa: E741 - the wire's own letter

    @property
    def row(self) -> BalanceRow:
        """The same as REST says it."""
        return BalanceRow(self.a, self.f, self.l)


class PositionFrame(msgspec.Struct):
    """Balances on the stream, each read by itself."""

    B: list[Any]


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
    """The venue's rules; each symbol is read by itself."""

    symbols: list[Any]

    def of(self, name: str) -> list[SymbolRow]:
        """The rows of one symbol, in the venue's own writing."""
        rows = [row for row in self.symbols if isinstance(row, dict) and row.get("symbol") == name]
        return [decode(row, SymbolRow) for row in rows]


class TimeRow(msgspec.Struct, rename="camel"):
    """The venue's clock."""

    server_time: int


class PriceRow(msgspec.Struct):
    """The last price of a symbol."""

    price: str


class RatesRow(msgspec.Struct):
    """Rates of commission; parts of one."""

    maker: str = "0"
    taker: str | None = None


class CommissionRow(msgspec.Struct, rename="camel"):
    """What a symbol costs this account."""

    standard_commission: RatesRow
    tax_commission: RatesRow = msgspec.field(default_factory=RatesRow)


class UnitsReader:
    """Decimal text of the wire to atomic units, exactly. Texts recur, so they are remembered."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._fill = power_of_ten(max(0, scale - PRECISION))
        self._known: dict[str, int] = {}

    def units(self, text: str) -> int:
        """The units; raises NoAnswer for what is no amount that the scale can hold."""
        known = self._known.get(text)
        if known is not None:
            return known
        found = self._read(text)
        if len(self._known) >= _CACHE_MAX:
            self._known.clear()
        self._known[text] = found
        return found

    def _read(self, text: str) -> int:
        """The same as ``edges.units``, quicker for the form that the wire nearly always has."""
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        usual = len(fraction) == PRECISION <= self._scale and digits.isascii() and digits.isdigit()
        return int(digits) * self._fill if usual else units(text, self._scale)


class MarketWire:
    """Reads rows of one market."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._prices = UnitsReader(market.quote.scale)
        self._sizes = UnitsReader(market.base.scale)

    def levels(self, rows: Sequence[tuple[str, str]]) -> Levels:
        """(price, size) of book rows, in atomic units; one row that cannot be read spoils all."""
        price, size = self._prices.units, self._sizes.units
        levels = [(price(row[0]), size(row[1])) for row in rows]
        if not all(price_units for price_units, _ in levels):
            raise NoAnswer("a level at a price of zero")
        return levels

    def snapshot(self, row: DepthRow) -> BookSnapshot:
        """A snapshot of the book."""
        last_id = number(row.last_update_id)
        return BookSnapshot(last_id, self.levels(row.bids), self.levels(row.asks))

    def diff(self, frame: DepthFrame) -> BookDiff:
        """A change of the book of this market, over a run of numbers that can be true."""
        self._same(frame.s)
        first_id, last_id = number(frame.U), number(frame.u)
        if not first_id <= last_id < first_id + _RUN_MAX:
            raise NoAnswer(f"a change from update {first_id} to {last_id}")
        return BookDiff(first_id, last_id, self.levels(frame.b), self.levels(frame.a))

    def order(self, row: OrderRow) -> OrderReport:
        """An order over REST. After a cancel our id is in the original's field."""
        self._same(row.symbol)
        client_id = row.orig_client_order_id or row.client_order_id
        return self._report(row.order_id, client_id, row.status, row.executed_qty, row.update_time)

    def execution(self, frame: ExecutionFrame) -> OrderReport:
        """An order event. On a cancel the original id stands in its own field."""
        return self._report(frame.i, frame.C or frame.c, frame.X, frame.z, frame.T)

    def base_units(self, text: str) -> int:
        """Atomic base units of what has filled, which need not fit the lot of today's rules."""
        return units(text, self.market.base.scale)

    def trade(self, row: TradeRow, config: BinanceConfig) -> TradeReport:
        """A trade over REST, which does not name our id."""
        self._same(row.symbol)
        return TradeReport(
            symbol=self.market.symbol,
            exchange_order_id=str(number(row.order_id)),
            trade_id=str(number(row.id)),
            intent=None,
            side=Side.BUY if row.is_buyer else Side.SELL,
            base_units=units(row.qty, self.market.base.scale),
            quote_units=units(row.quote_qty, self.market.quote.scale),
            is_maker=row.is_maker,
            venue_time_us=time_us(row.time),
            **self._fee(row.commission, row.commission_asset, config),
        )

    def executed_trade(self, frame: ExecutionFrame, config: BinanceConfig) -> TradeReport | None:
        """The trade of an order event; None when the event is of another kind."""
        if frame.x != "TRADE":
            return None
        if frame.S not in _SIDES:
            raise NoAnswer(f"a side that is not the wire's: {ascii(frame.S)[:40]}")
        return TradeReport(
            symbol=self.market.symbol,
            exchange_order_id=str(number(frame.i)),
            trade_id=str(number(frame.t)) if frame.t >= 0 else "",
            intent=decode_client_id(frame.C or frame.c),
            side=Side(frame.S),
            base_units=units(frame.l, self.market.base.scale),
            quote_units=units(frame.Y, self.market.quote.scale),
            is_maker=frame.m,
            venue_time_us=time_us(frame.T),
            **self._fee(frame.n, frame.N or "", config),
        )

    def _fee(self, text: str, name: str, config: BinanceConfig) -> _Fee:
        """Asset and units of a commission, whatever the asset: it is a fact and will be booked."""
        if not name:
            return {"fee_asset": "", "fee_units": 0}
        code = foreign_code(name)
        scales = {asset.code: asset.scale for asset in (self.market.quote, self.market.base)}
        scale = scales[code] if code in scales else config.asset(code).scale
        return {"fee_asset": code, "fee_units": units(text, scale, signed=True)}

    def _same(self, symbol: str) -> None:
        if symbol != self.market.symbol.replace("/", ""):
            raise NoAnswer(f"a row of another market: {ascii(symbol)[:40]}")

    def _report(
        self, order_id: int, client_id: str, status: str, filled: str, time_ms: int
    ) -> OrderReport:
        state = _STATES.get(status)
        if state is None:
            raise NoAnswer(f"an order in a state that is not the wire's: {ascii(status)[:40]}")
        return OrderReport(
            symbol=self.market.symbol,
            exchange_order_id=str(number(order_id)),
            client_id=plain(client_id),
            intent=decode_client_id(client_id),
            state=state,
            filled_units=self.base_units(filled),
            venue_time_us=time_us(time_ms),
        )


def venue_market(spec: MarketSpec, row: SymbolRow, fees: CommissionRow) -> VenueMarket:
    """A symbol's rules in our units.

    Raises CallerFault where ``spec`` cannot hold them exactly, NoAnswer where they are no rules.
    """
    # The venue writes amounts and commissions with eight decimals; a smaller scale would refuse
    # facts that have happened.
    for name, scale in (("base", spec.base_scale), ("quote", spec.quote_scale)):
        require(scale >= PRECISION, f"market {spec.symbol}: {name} needs a scale of 8 or more")
    if (row.base_asset, row.quote_asset) != (spec.base, spec.quote):
        traded = f"{ascii(row.base_asset)[:40]} for {ascii(row.quote_asset)[:40]}"
        raise NoAnswer(f"market {spec.symbol}: the venue trades {traded}")
    rules = {rule.filter_type: rule for rule in row.filters}
    if missing := {"LOT_SIZE", "PRICE_FILTER"} - rules.keys():
        raise NoAnswer(f"market {spec.symbol}: without the rules {', '.join(sorted(missing))}")
    notional = rules.get("NOTIONAL") or rules.get("MIN_NOTIONAL")
    lot_units = _step(rules["LOT_SIZE"].step_size, spec.base_scale)
    smallest = units(rules["LOT_SIZE"].min_qty or "0", spec.base_scale)
    market = Market(
        symbol=spec.symbol,
        base=spec.base_asset,
        quote=spec.quote_asset,
        tick_units=_step(rules["PRICE_FILTER"].tick_size, spec.quote_scale),
        lot_units=lot_units,
        quantity_min_lots=max(1, divide(smallest, lot_units, Rounding.UP)),
        notional_min_units=units(notional.min_notional, spec.quote_scale) if notional else 0,
    )
    standard, tax = fees.standard_commission, fees.tax_commission
    maker_ppm, taker_ppm = fee_ppm(standard.maker, tax.maker), None
    if standard.taker is not None:
        taker_ppm = fee_ppm(standard.taker, tax.taker or "0")
    return VenueMarket(market, row.status == "TRADING", maker_ppm, taker_ppm)


def _step(text: str, scale: int) -> int:
    step = units(text, scale)
    if step == 0:
        raise NoAnswer("a step of zero")
    return step


def fee_ppm(*parts: str) -> int:
    """What rates of commission take together, rounded up to a millionth."""
    whole = sum(units(part, PRECISION, signed=True) for part in parts)
    if abs(whole) > power_of_ten(PRECISION):
        raise NoAnswer(f"a commission of more than everything: {parts}")
    return divide(whole, power_of_ten(PRECISION - 6), Rounding.UP)


def balance(row: BalanceRow, config: BinanceConfig) -> BalanceReport:
    """What is held of one asset, in atomic units."""
    asset = config.asset(asset_code(row.asset))
    return BalanceReport(asset.code, units(row.free, asset.scale), units(row.locked, asset.scale))
