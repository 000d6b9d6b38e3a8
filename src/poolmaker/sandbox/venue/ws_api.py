"""The WebSocket API wire: the same calls as REST, and the signed user data stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from poolmaker.sandbox.venue import dispatch, render
from poolmaker.sandbox.venue.calls import Access
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.faults import Effect, Fault, When
from poolmaker.sandbox.venue.params import split_json
from poolmaker.sandbox.venue.peers import Peer, converse
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.rest import HANG_US, reset
from poolmaker.sandbox.venue.ws_session import SESSION_METHODS, Session

PENDING_MAX: Final = 1_000
_EXTRA: Final = frozenset({"apiKey", "returnRateLimits"})
_PUBLIC_EXTRA: Final = frozenset({"returnRateLimits"})
METHODS: Final[Mapping[str, str]] = {
    "ping": "GET /api/v3/ping",
    "time": "GET /api/v3/time",
    "exchangeInfo": "GET /api/v3/exchangeInfo",
    "depth": "GET /api/v3/depth",
    "trades.recent": "GET /api/v3/trades",
    "trades.historical": "GET /api/v3/historicalTrades",
    "trades.aggregate": "GET /api/v3/aggTrades",
    "klines": "GET /api/v3/klines",
    "uiKlines": "GET /api/v3/uiKlines",
    "avgPrice": "GET /api/v3/avgPrice",
    "ticker.24hr": "GET /api/v3/ticker/24hr",
    "ticker.price": "GET /api/v3/ticker/price",
    "ticker.book": "GET /api/v3/ticker/bookTicker",
    "ticker.tradingDay": "GET /api/v3/ticker/tradingDay",
    "ticker": "GET /api/v3/ticker",
    "order.place": "POST /api/v3/order",
    "order.test": "POST /api/v3/order/test",
    "order.status": "GET /api/v3/order",
    "order.cancel": "DELETE /api/v3/order",
    "order.cancelReplace": "POST /api/v3/order/cancelReplace",
    "openOrders.status": "GET /api/v3/openOrders",
    "openOrders.cancelAll": "DELETE /api/v3/openOrders",
    "order.amend.keepPriority": "PUT /api/v3/order/amend/keepPriority",
    "order.amendments": "GET /api/v3/order/amendments",
    "openOrderLists.status": "GET /api/v3/openOrderList",
    "allOrderLists": "GET /api/v3/allOrderList",
    "allOrders": "GET /api/v3/allOrders",
    "myPreventedMatches": "GET /api/v3/myPreventedMatches",
    "myAllocations": "GET /api/v3/myAllocations",
    "myTrades": "GET /api/v3/myTrades",
    "account.status": "GET /api/v3/account",
    "account.commission": "GET /api/v3/account/commission",
    "account.rateLimits.orders": "GET /api/v3/rateLimit/order",
}


class ApiRequest(msgspec.Struct):
    """One request; parameters stay as they were sent until their signature is checked."""

    method: str
    id: int | str | None = None
    params: dict[str, msgspec.Raw] = {}


class WebSocketApi:
    """Serves ``/ws-api/v3``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._decoder = msgspec.json.Decoder(ApiRequest)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until it ends."""
        exchange = self._exchange
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        peer = Peer(socket, request, "api")
        session = Session(exchange, peer, request)
        exchange.peers.add(peer)
        exchange.record("ws_api", "connect", [], status=101)
        try:
            await converse(peer, socket, exchange.clock, lambda text: self._on_text(session, text))
        finally:
            exchange.peers.discard(peer)
            exchange.users.leave(peer)
            for task in session.tasks:
                task.cancel()
        return socket

    def _on_text(self, session: Session, text: str) -> bool:
        try:
            request = self._decoder.decode(text)
            values = split_json(request.params)
        except msgspec.DecodeError:
            error = {"code": -1135, "msg": "Invalid JSON Request"}
            session.peer.send_json({"id": None, "status": 400, "error": error})
            return True
        fault = self._fault(request, values, When.BEFORE)
        if fault is None:
            self._carry_out(session, request, values)
        else:
            self._later(session, self._suffer_before(session, request, values, fault))
        return True

    @staticmethod
    def _later(session: Session, work: Any) -> None:
        if len(session.tasks) >= PENDING_MAX:
            work.close()
            session.peer.cut()
            return
        task = asyncio.create_task(work)
        session.tasks.add(task)
        task.add_done_callback(session.tasks.discard)

    def _fault(self, request: ApiRequest, values: Mapping[str, str], when: When) -> Fault | None:
        account = None
        try:
            key = self._exchange.keys.find(values.get("apiKey"))
            account = int(key.account.account_id)
        except WireRefusal:
            account = None
        return self._exchange.faults.take(request.method, account, when)

    async def _suffer_before(
        self, session: Session, request: ApiRequest, values: dict[str, str], fault: Fault
    ) -> None:
        if fault.effect is Effect.DELAY:
            await self._exchange.clock.sleep_us(fault.delay_ms * 1_000)
            self._carry_out(session, request, values)
            return
        await self._end(session, request, fault)

    async def _end(self, session: Session, request: ApiRequest, fault: Fault) -> None:
        """The effects after which the call's own answer never comes."""
        if fault.effect is Effect.ERROR:
            error = {"code": fault.code, "msg": fault.message}
            body = {"id": request.id, "status": fault.status or 500, "error": error}
            session.peer.send_json(body)
        elif fault.effect is Effect.STALE:
            raw = split_json(request.params)
            book = fault.stale_book(raw.get("symbol", ""), raw.get("limit", ""))
            session.peer.send_json({"id": request.id, "status": 200, "result": book})
        elif fault.effect is Effect.HTML:
            session.peer.send(fault.body.encode())
        elif fault.effect is Effect.RESET:
            reset(session.request)
        elif fault.effect is Effect.HANG:
            await self._exchange.clock.sleep_us(HANG_US)

    def _carry_out(self, session: Session, request: ApiRequest, values: dict[str, str]) -> None:
        exchange = self._exchange
        body: dict[str, object] = {"id": request.id, "status": 200}
        try:
            body["result"] = self._result(session, request, values)
        except WireRefusal as refusal:
            error = refusal.body()
            if "Retry-After" in refusal.headers:
                now_ms = render.millis(exchange.time_us())
                retry_ms = now_ms + int(refusal.headers["Retry-After"]) * 1_000
                error["data"] = {"serverTime": now_ms, "retryAfter": retry_ms}
            body.update(status=refusal.status, error=error)
        exchange.record("ws_api", request.method, list(values), status=int(str(body["status"])))
        if self._tells_limits(session, values):
            body["rateLimits"] = self._rate_limits()
        after = self._fault(request, values, When.AFTER)
        if after is None:
            session.peer.send_json(body)
        else:
            self._later(session, self._suffer_after(session, request, body, after))

    @staticmethod
    def _tells_limits(session: Session, values: Mapping[str, str]) -> bool:
        wanted = values.get("returnRateLimits")
        return session.tells_limits if wanted is None else wanted != "false"

    async def _suffer_after(
        self, session: Session, request: ApiRequest, body: dict[str, object], fault: Fault
    ) -> None:
        if fault.effect is Effect.DELAY:
            await self._exchange.clock.sleep_us(fault.delay_ms * 1_000)
            session.peer.send_json(body)
            return
        await self._end(session, request, fault)

    def _rate_limits(self) -> list[dict[str, object]]:
        exchange = self._exchange
        used = exchange.limiter.used_weight(exchange.time_us())
        return [{**exchange.limiter.settings.announce()[0], "count": used}]

    def _result(self, session: Session, request: ApiRequest, values: dict[str, str]) -> object:
        if request.method in SESSION_METHODS:
            return session.answer(request.method, values)
        name = METHODS.get(request.method)
        if name is None:
            raise WireRefusal(-1000, f"Invalid method: {request.method}")
        return self._call(session, name, values)

    def _call(self, session: Session, name: str, values: dict[str, str]) -> object:
        exchange, call = self._exchange, dispatch.CALLS[name]
        dispatch.admit(exchange, name, call, values)
        key = session.identify(call, values)
        extra = _PUBLIC_EXTRA if call.access is Access.PUBLIC else _EXTRA
        return dispatch.run(exchange, call, key, values, extra)
