"""The REST wire: raw query and body in, JSON and weight headers out, faults on the way."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from poolmaker.sandbox.venue import dispatch, mexc
from poolmaker.sandbox.venue.calls import Access, VenueCall
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.faults import Effect, Fault, When
from poolmaker.sandbox.venue.keys import ApiKey, signed_text_of_form
from poolmaker.sandbox.venue.params import split_form
from poolmaker.sandbox.venue.peers import encode
from poolmaker.sandbox.venue.refusals import WireRefusal

READ_TIMEOUT_S: Final = 30
HANG_US: Final = 600_000_000
_JSON: Final = "application/json"


def reset(request: web.Request) -> None:
    """End the TCP connection with RST, as a broken middlebox does."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def close(request: web.Request) -> None:
    """End the TCP connection without an answer."""
    if request.transport is not None:
        request.transport.close()


def answer(body: object, status: int, headers: dict[str, str]) -> web.Response:
    """A JSON answer."""
    return web.Response(body=encode(body), status=status, headers=headers, content_type=_JSON)


@dataclass(frozen=True, slots=True)
class Face:
    """One exchange's REST: its calls, the header of its keys, the words of its refusals."""

    calls: Mapping[str, VenueCall]
    key_header: str
    body_of: Callable[[WireRefusal], dict[str, object]]


BINANCE: Final = Face(dispatch.CALLS, "X-MBX-APIKEY", WireRefusal.body)
MEXC: Final = Face(mexc.CALLS, mexc.KEY_HEADER, mexc.body_of)


class RestWire:
    """Serves the REST paths of one face."""

    def __init__(self, exchange: Exchange, face: Face) -> None:
        self._exchange = exchange
        self._face = face

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        name = f"{request.method} {request.path}"
        call = self._face.calls.get(name)
        if call is None:
            self._exchange.record("rest", name, [], status=404)
            return answer({"code": -1, "msg": f"not found: {name}"}, 404, {})
        async with asyncio.timeout(READ_TIMEOUT_S):
            body = (await request.read()).decode("utf-8", "replace")
        before = self._fault(name, request, When.BEFORE)
        if before is not None:
            ended = await self._suffer(before, request)
            if ended is not None:
                return ended
        response = self._carry_out(name, call, request, body)
        after = self._fault(name, request, When.AFTER)
        if after is not None:
            ended = await self._suffer(after, request)
            if ended is not None:
                return ended
        return response

    def _carry_out(
        self, name: str, call: VenueCall, request: web.Request, body: str
    ) -> web.Response:
        exchange, key = self._exchange, None
        names: list[str] = []
        try:
            values = split_form(body)
            values.update(split_form(request.rel_url.raw_query_string))
            names = list(values)
            dispatch.admit(exchange, name, call, values)
            key = self._identify(call, request, body, values)
            dispatch.admit_account(exchange, name, call, key, values)
            result = dispatch.run(exchange, call, key, values)
            response = answer(result, 200, self._headers(name, call, key))
        except WireRefusal as refusal:
            headers = {**self._headers(name, call, key), **refusal.headers}
            response = answer(self._face.body_of(refusal), refusal.status, headers)
        exchange.record("rest", name, names, status=response.status)
        return response

    def _identify(
        self, call: VenueCall, request: web.Request, body: str, values: dict[str, str]
    ) -> ApiKey | None:
        if call.access is Access.PUBLIC:
            return None
        text, signature = signed_text_of_form(request.rel_url.raw_query_string, body)
        if signature is not None:
            values["signature"] = signature
        key_text = request.headers.get(self._face.key_header)
        return dispatch.identify(self._exchange, call, key_text, values, text)

    def _headers(self, name: str, call: VenueCall, key: ApiKey | None) -> dict[str, str]:
        exchange = self._exchange
        headers = dict(dispatch.weight_headers(exchange, name, call, key))
        if key is not None:
            headers.update(dispatch.order_count_headers(exchange, call, key))
        return headers

    def _fault(self, name: str, request: web.Request, when: When) -> Fault | None:
        key_text = request.headers.get(self._face.key_header)
        account = None
        if key_text is not None:
            try:
                account = int(self._exchange.keys.find(key_text).account.account_id)
            except WireRefusal:
                account = None
        return self._exchange.faults.take(name, account, when)

    async def _suffer(self, fault: Fault, request: web.Request) -> web.Response | None:
        """Let the fault happen; None when the call goes on after it."""
        clock = self._exchange.clock
        if fault.effect is Effect.DUPLICATE:
            return None
        if fault.effect is Effect.DELAY:
            await clock.sleep_us(fault.delay_ms * 1_000)
            return None
        if fault.effect is Effect.ERROR:
            body = {"code": fault.code, "msg": fault.message}
            return answer(body, fault.status or 500, dict(fault.headers))
        if fault.effect is Effect.STALE:
            query = request.query
            return answer(
                fault.stale_book(query.get("symbol", ""), query.get("limit", "")), 200, {}
            )
        if fault.effect is Effect.HTML:
            return web.Response(
                text=fault.body, status=fault.status or 502, content_type="text/html",
                headers=dict(fault.headers),
            )  # fmt: skip
        if fault.effect is Effect.HANG:
            await clock.sleep_us(HANG_US)
        if fault.effect is Effect.RESET:
            reset(request)
        else:
            close(request)
        return web.Response(status=500)
