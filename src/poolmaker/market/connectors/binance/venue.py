"""Questions and orders to a venue that speaks Binance spot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, VenueUnavailable
from poolmaker.kernel.ids import IntentId
from poolmaker.kernel.market import Market
from poolmaker.kernel.money import Ratio, parse_units
from poolmaker.market.connectors.binance import wire
from poolmaker.market.connectors.binance.client import Transport
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
    Refusal,
    Refused,
)
from poolmaker.market.tracking.model import (
    BalanceReport,
    BookSnapshot,
    OrderReport,
    TradePage,
    VenueMarket,
)
from poolmaker.messages.market import MarketSpec

_PAGE: Final = 1_000
_BAD_SYMBOL: Final = -1121
_DEPTH_WEIGHTS: Final = ((100, 5), (500, 25), (1_000, 50))


def native(symbol: str) -> str:
    """The venue's own writing of a symbol."""
    return symbol.replace("/", "")


class BinanceVenue:
    """``tracking.ports.Venue`` and ``execution.ports.OrderEntry`` over REST."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._wires: dict[str, wire.MarketWire] = {}

    def wire_of(self, market: Market) -> wire.MarketWire:
        """The reader of a market's rows; a new one after its rules changed."""
        known = self._wires.get(market.symbol)
        if known is None or known.market != market:
            known = self._wires[market.symbol] = wire.MarketWire(market)
        return known

    # ------------------------------------------------------------------------------- questions

    async def market(self, spec: MarketSpec) -> VenueMarket:
        """See ``Venue.market``."""
        symbol = {"symbol": native(spec.symbol)}
        rules = wire.decode(await self._ask("publicGetExchangeInfo", symbol, 20), wire.RulesRow)
        answer = await self._ask("privateGetAccountCommission", symbol, 20)
        fees = wire.decode(answer, wire.CommissionRow)
        return wire.venue_market(spec, rules.symbols[0], fees)

    async def server_time_us(self) -> int:
        """See ``Venue.server_time_us``. Also corrects the clock that requests are signed with."""
        before_us = self._clock.now_us()
        answer = await self._ask("publicGetTime", {}, 1)
        after_us = self._clock.now_us()
        venue_ms = int(answer["serverTime"])
        self._transport.set_clock_difference((before_us + after_us) // 2_000 - venue_ms)
        return venue_ms * 1_000

    async def book_snapshot(self, market: Market, levels: int) -> BookSnapshot:
        """See ``Venue.book_snapshot``."""
        weight = next((w for most, w in _DEPTH_WEIGHTS if levels <= most), 250)
        asked = {"symbol": native(market.symbol), "limit": levels}
        answer = await self._ask("publicGetDepth", asked, weight)
        try:
            return self.wire_of(market).snapshot(wire.decode(answer, wire.DepthRow))
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem

    async def open_orders(self, market: Market) -> list[OrderReport]:
        """See ``Venue.open_orders``."""
        answer = await self._ask("privateGetOpenOrders", {"symbol": native(market.symbol)}, 6)
        rows = _usable(answer, list[wire.OrderRow])
        return [self.wire_of(market).order(row) for row in rows]

    async def order_by_client_id(self, market: Market, client_id: str) -> OrderReport | None:
        """See ``Venue.order_by_client_id``."""
        return await self._order(market, {"origClientOrderId": client_id})

    async def order_by_id(self, market: Market, exchange_order_id: str) -> OrderReport | None:
        """See ``Venue.order_by_id``."""
        return await self._order(market, {"orderId": exchange_order_id})

    async def cursor_now(self, market: Market) -> str:
        """See ``Venue.cursor_now``."""
        asked = {"symbol": native(market.symbol), "limit": 1}
        rows = _usable(await self._ask("privateGetMyTrades", asked, 20), list[wire.TradeRow])
        return str(rows[-1].id + 1) if rows else "0"

    async def trades_after(self, market: Market, cursor: str) -> TradePage:
        """See ``Venue.trades_after``. The cursor is the id that the next trade at least has."""
        asked = {"symbol": native(market.symbol), "fromId": cursor, "limit": _PAGE}
        answer = await self._ask("privateGetMyTrades", asked, 20)
        rows = sorted(_usable(answer, list[wire.TradeRow]), key=lambda row: row.id)
        reader, config = self.wire_of(market), self._transport.config
        trades = tuple(reader.trade(row, config) for row in rows)
        after = str(rows[-1].id + 1) if rows else cursor
        return TradePage(trades, after, complete=len(rows) < _PAGE)

    async def balances(self) -> list[BalanceReport]:
        """See ``Venue.balances``."""
        answer = await self._ask("privateGetAccount", {}, 20)
        rows = _usable(answer, wire.AccountRow).balances
        held = {row.asset: (row.free, row.locked) for row in rows}
        return wire.balances(held, self._transport.config)

    async def price(self, asset: str, market: Market) -> Ratio | None:
        """See ``Venue.price``: the last price of the asset in the market's quote."""
        symbol = f"{asset}{market.quote.code}"
        try:
            answer = await self._transport.ask("publicGetTickerPrice", {"symbol": symbol}, 2)
        except VenueRefused as refused:
            if refused.venue_code == _BAD_SYMBOL:
                return None
            raise VenueUnavailable(str(refused)) from refused
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem
        quote_units = parse_units(str(answer["price"]), market.quote.scale)
        return Ratio(quote_units, self._transport.config.asset(asset).one) if quote_units else None

    # ------------------------------------------------------------------------------- orders

    def client_id(self, intent: IntentId) -> str:
        """See ``OrderEntry.client_id``."""
        return encode_client_id(intent)

    async def create(self, intent: CreateIntent) -> CreateReply:
        """See ``OrderEntry.create``. LIMIT_MAKER never takes; an answer without an id is none."""
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
        try:
            answer = await self._transport.send("privatePostOrder", order)
            return Created(str(wire.decode(answer, wire.AckRow).order_id))
        except VenueRefused as refused:
            return await self._refused(refused)
        except NoAnswer as problem:
            raise OutcomeUnknown(f"create {intent.intent}: {problem}") from problem

    async def cancel(self, cancel: CancelIntent) -> CancelReply:
        """See ``OrderEntry.cancel``."""
        named = {"symbol": native(cancel.symbol)}
        if cancel.exchange_order_id:
            named["orderId"] = cancel.exchange_order_id
        else:
            named["origClientOrderId"] = cancel.client_id
        try:
            answer = await self._transport.send("privateDeleteOrder", named)
            return self._cancelled(cancel, wire.decode(answer, wire.OrderRow))
        except VenueRefused as refused:
            return NotThere() if refused.not_there else await self._refused(refused)
        except NoAnswer as problem:
            raise OutcomeUnknown(f"cancel {cancel.target}: {problem}") from problem

    def _cancelled(self, cancel: CancelIntent, row: wire.OrderRow) -> CancelReply:
        reader = self._wires.get(cancel.symbol)
        filled = reader.lots(row.executed_qty) if reader is not None else 0
        return CancelAccepted(str(row.order_id), filled)

    async def _refused(self, refused: VenueRefused) -> Refused:
        if refused.refusal is Refusal.CLOCK:
            try:
                await self.server_time_us()
            except VenueUnavailable:
                return Refused(refused.refusal, refused.text)
        return Refused(refused.refusal, refused.text, refused.wait_us)

    # ------------------------------------------------------------------------------- helpers

    async def _order(self, market: Market, named: Mapping[str, str]) -> OrderReport | None:
        asked = {"symbol": native(market.symbol), **named}
        try:
            answer = await self._transport.ask("privateGetOrder", asked, 4)
            return self.wire_of(market).order(wire.decode(answer, wire.OrderRow))
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
            if refused.refusal is Refusal.CLOCK and method != "publicGetTime":
                await self.server_time_us()
            raise VenueUnavailable(str(refused)) from refused
        except NoAnswer as problem:
            raise VenueUnavailable(str(problem)) from problem


def _usable(answer: Any, kind: type[wire.T]) -> wire.T:
    try:
        return wire.decode(answer, kind)
    except NoAnswer as problem:
        raise VenueUnavailable(str(problem)) from problem


def _short(text: str) -> str:
    """Without the zeros that the asset's scale adds beyond the venue's precision."""
    return text.rstrip("0").rstrip(".") if "." in text else text
