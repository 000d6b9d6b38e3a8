"""Questions and orders to a venue that speaks Binance spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.kernel.ids import IntentId, PoolId
from poolmaker.kernel.market import Market
from poolmaker.kernel.money import Ratio
from poolmaker.market.connectors.binance import wire
from poolmaker.market.connectors.binance.client import LAST_LOOK, NotSent, Transport
from poolmaker.market.connectors.binance.edges import (
    OddRows,
    decode,
    each,
    number,
    time_us,
    units,
)
from poolmaker.market.connectors.binance.refusals import NoAnswer, VenueRefused
from poolmaker.market.execution.client_ids import encode_client_id
from poolmaker.market.execution.model import (
    CancelAccepted,
    CancelIntent,
    CancelReply,
    Created,
    CreateIntent,
    CreateReply,
    NotThere,
    RequestRefused,
    VenueRefusal,
)
from poolmaker.market.tracking.model import (
    BalanceReport,
    BookSnapshot,
    NoMarket,
    OddRow,
    OddTrade,
    OpenOrders,
    OrderReport,
    TradePage,
    TradeReport,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec

T = TypeVar("T")
V = TypeVar("V")
_PAGE: Final = 1_000
_BAD_SYMBOL: Final = -1121
_DEPTH_WEIGHTS: Final = ((100, 5), (500, 25), (1_000, 50))


def native(symbol: str) -> str:
    """The venue's own writing of a symbol."""
    return symbol.replace("/", "")


class BinanceVenue:
    """``tracking.ports.Venue`` and ``execution.ports.OrderEntry`` over REST."""

    def __init__(
        self, transport: Transport, clock: Clock, barred: Callable[[PoolId], str] | None = None
    ) -> None:
        self._transport = transport
        self._barred = barred or (lambda _pool: "")
        self._clock = clock
        self.odd = OddRows(clock)
        self._wires: dict[str, wire.MarketWire] = {}

    def wire_of(self, market: Market) -> wire.MarketWire:
        """The reader of a market's rows; a new one after its rules changed."""
        known = self._wires.get(market.symbol)
        if known is None or known.market != market:
            known = self._wires[market.symbol] = wire.MarketWire(market)
        return known

    # ------------------------------------------------------------------------------- questions

    async def market(self, spec: MarketSpec) -> VenueMarket | NoMarket:
        symbol = {"symbol": native(spec.symbol)}
        try:
            answer = await self._ask("publicGetExchangeInfo", symbol, 20)
            fees = await self._ask("privateGetAccountCommission", symbol, 20)
        except NotOffered as problem:
            return NoMarket(str(problem))
        try:
            return self._rules(spec, answer, fees)
        except NoAnswer as problem:
            return NoMarket(f"its rules cannot be read: {problem}")

    def _rules(self, spec: MarketSpec, answer: Any, fees: Any) -> VenueMarket | NoMarket:
        name = native(spec.symbol)
        rows = decode(answer, wire.RulesRow).of(name)
        if len(rows) != 1:
            return NoMarket(f"the venue lists {len(rows)} markets with the name {name}")
        return wire.venue_market(spec, rows[0], decode(fees, wire.CommissionRow))

    async def server_time_us(self) -> int:
        """Also corrects the clock that requests are signed with."""
        before_us = self._clock.now_us()
        answer = await self._ask("publicGetTime", {}, 1)
        after_us = self._clock.now_us()
        venue_us = _usable(lambda: time_us(decode(answer, wire.TimeRow).server_time))
        self._transport.set_clock_difference((before_us + after_us - 2 * venue_us) // 2_000)
        return venue_us

    async def book_snapshot(self, market: Market, levels: int) -> BookSnapshot:
        weight = next((w for most, w in _DEPTH_WEIGHTS if levels <= most), 250)
        asked = {"symbol": native(market.symbol), "limit": levels}
        answer = await self._ask("publicGetDepth", asked, weight)
        return _usable(lambda: self.wire_of(market).snapshot(decode(answer, wire.DepthRow)))

    async def open_orders(self, market: Market) -> OpenOrders:
        answer = await self._ask("privateGetOpenOrders", {"symbol": native(market.symbol)}, 6)
        read = self.wire_of(market).order
        good, odd = self._each(answer, wire.OrderRow, read, "open_orders", market.symbol)
        return OpenOrders(tuple(good), tuple(odd))

    async def order_by_client_id(self, market: Market, client_id: str) -> OrderReport | None:
        return await self._order(market, {"origClientOrderId": client_id})

    async def order_by_id(self, market: Market, exchange_order_id: str) -> OrderReport | None:
        return await self._order(market, {"orderId": exchange_order_id})

    async def cursor_now(self, market: Market) -> str:
        asked = {"symbol": native(market.symbol), "limit": 1}
        answer = await self._ask("privateGetMyTrades", asked, 20)
        return _usable(lambda: _after(decode(answer, list[wire.TradeRow])))

    async def trades_after(self, market: Market, cursor: str) -> TradePage:
        """The cursor is the id that the next trade at least has."""
        asked = {"symbol": native(market.symbol), "fromId": cursor, "limit": _PAGE}
        answer = await self._ask("privateGetMyTrades", asked, 20)
        reader, config, first = self.wire_of(market), self._transport.config, int(cursor)

        def read(row: wire.TradeRow) -> TradeReport:
            return reader.trade(row, config)

        good, odd = self._each(answer, wire.TradeRow, read, "trades", market.symbol)
        asked_for = [trade for trade in good if int(trade.trade_id) >= first]
        trades = tuple(sorted(asked_for, key=lambda trade: int(trade.trade_id)))
        numbers = [int(trade.trade_id) for trade in trades]
        numbers += [int(row.identity) for row in odd if row.identity]
        after = max([first - 1, *numbers]) + 1
        return TradePage(trades, str(after), len(good) + len(odd) < _PAGE, _in_order(odd))

    async def balances(self) -> list[BalanceReport]:
        answer = await self._ask("privateGetAccount", {}, 20)
        rows = _usable(lambda: decode(answer, wire.AccountPayload)).balances
        config, held = self._transport.config, {}

        def read(row: wire.BalanceRow) -> None:
            report = wire.balance(row, config)
            if report.asset in held:
                raise NoAnswer(f"{report.asset} stands there twice")
            held[report.asset] = report

        self._each(rows, wire.BalanceRow, read, "balances")
        return list(held.values())

    async def price(self, asset: str, market: Market) -> Ratio | None:
        """See ``Venue.price``: the last price of the asset in the market's quote."""
        symbol = {"symbol": f"{asset}{market.quote.code}"}
        try:
            answer = await self._ask("publicGetTickerPrice", symbol, 2)
        except NotOffered:
            return None
        scale = market.quote.scale
        quote_units = _usable(lambda: units(decode(answer, wire.PriceRow).price, scale))
        return Ratio(quote_units, self._transport.config.asset(asset).one) if quote_units else None

    def odd_rows(self) -> Sequence[tuple[OddRow, int]]:
        return self.odd.current()

    # ------------------------------------------------------------------------------- orders

    @property
    def arrival_max_us(self) -> int:
        return self._transport.config.arrival_max_us

    def client_id(self, intent: IntentId) -> str:
        return encode_client_id(intent)

    async def create(self, intent: CreateIntent) -> CreateReply:
        """LIMIT_MAKER never takes; an answer without an id is none."""
        market = intent.market
        order = {
            "symbol": native(market.symbol),
            "side": intent.side.value,
            "type": "LIMIT_MAKER",
            "quantity": _short(market.quantity(intent.lots).decimal()),
            "price": _short(market.price(intent.ticks).decimal()),
            "newClientOrderId": intent.client_id,
            "newOrderRespType": "ACK",
        }
        looking = LAST_LOOK.set(lambda: self._barred(intent.pool))
        try:
            answer = await self._transport.send("privatePostOrder", order)
            return Created(str(number(decode(answer, wire.AckRow).order_id)))
        except NotSent as barred:
            return RequestRefused(VenueRefusal.OTHER, f"not sent: {barred}")
        except VenueRefused as refused:
            return await self._refused(refused)
        except NoAnswer as problem:
            raise OutcomeUnknown(f"create {intent.intent}: {problem}") from problem
        finally:
            LAST_LOOK.reset(looking)

    async def cancel(self, cancel: CancelIntent) -> CancelReply:
        named = {"symbol": native(cancel.symbol)}
        if cancel.exchange_order_id:
            named["orderId"] = cancel.exchange_order_id
        else:
            named["origClientOrderId"] = cancel.client_id
        try:
            answer = await self._transport.send("privateDeleteOrder", named)
            return self._cancelled(cancel, decode(answer, wire.OrderRow))
        except VenueRefused as refused:
            return NotThere() if refused.not_there else await self._refused(refused)
        except NoAnswer as problem:
            raise OutcomeUnknown(f"cancel {cancel.target}: {problem}") from problem

    def _cancelled(self, cancel: CancelIntent, row: wire.OrderRow) -> CancelReply:
        reader = self._wires.get(cancel.symbol)
        filled = reader.base_units(row.executed_qty) if reader is not None else 0
        return CancelAccepted(str(number(row.order_id)), filled)

    async def _refused(self, refused: VenueRefused) -> RequestRefused:
        if refused.refusal is VenueRefusal.CLOCK:
            try:
                await self.server_time_us()
            except VenueUnavailable:
                return RequestRefused(refused.refusal, refused.text)
        return RequestRefused(refused.refusal, refused.text, refused.wait_us)

    # ------------------------------------------------------------------------------- helpers

    async def _order(self, market: Market, named: Mapping[str, str]) -> OrderReport | None:
        asked = {"symbol": native(market.symbol), **named}
        try:
            answer = await self._transport.ask("privateGetOrder", asked, 4)
            return self.wire_of(market).order(decode(answer, wire.OrderRow))
        except VenueRefused as refused:
            if refused.not_there:
                return None
            raise VenueUnavailable(str(refused)) from refused
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem

    async def _ask(self, method: str, params: Mapping[str, Any], weight: int) -> Any:
        """A question whose failure means only that it must be asked again."""
        try:
            return await self._transport.ask(method, params, weight)
        except VenueRefused as refused:
            if refused.refusal is VenueRefusal.CLOCK and method != "publicGetTime":
                await self.server_time_us()
            if refused.venue_code == _BAD_SYMBOL:
                raise NotOffered(str(refused)) from refused
            raise VenueUnavailable(str(refused)) from refused
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem

    def _each(
        self, answer: Any, kind: type[T], read: Callable[[T], V], source: str, subject: str = ""
    ) -> tuple[list[V], list[OddRow]]:
        """Rows that can be read and rows that are set aside, which are kept for whoever looks."""
        good, odd = _usable(lambda: each(answer, kind, read, source, subject))
        self.odd.read(source, subject, odd)
        return good, odd


class NotOffered(VenueUnavailable):
    """The venue knows no market of this name."""

    code = "market_not_offered"


def _usable(read: Callable[[], T]) -> T:
    """What an answer to a question says; one that cannot be read must be asked again."""
    try:
        return read()
    except NoAnswer as problem:
        raise VenueUnavailable(str(problem)) from problem


def _in_order(odd: Sequence[OddRow]) -> tuple[OddTrade, ...]:
    """Odd trades in the venue's order, those without a number first: they may stand anywhere."""
    found = sorted(odd, key=lambda row: int(row.identity or -1))
    return tuple(OddTrade(row, row.identity) for row in found)


def _after(rows: Sequence[wire.TradeRow]) -> str:
    return str(max((number(row.id) + 1 for row in rows), default=0))


def _short(text: str) -> str:
    """Without the zeros that the asset's scale adds beyond the venue's precision."""
    return text.rstrip("0").rstrip(".") if "." in text else text
