"""The HTTP side: raw bytes in, judged; data or an in-band error out; faults in between."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import web

from poolmaker.mixin.codec.tokens import WireRequest, response_digest, sign_token
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.auth import Doorkeeper, MixinCaller
from poolmaker.sandbox.mixin.calls import CALLS, Ask, House, find_call
from poolmaker.sandbox.mixin.refusals import MixinError
from poolmaker.sandbox.serving import FaultWords, FaultyCalls
from poolmaker.sandbox.venue.faults import Fault
from poolmaker.sandbox.venue.rest import READ_TIMEOUT_S

REQUEST_ID: Final = "X-Request-Id"
INTEGRITY: Final = "X-Integrity-Token"


class MixinApi:
    """Serves the API."""

    def __init__(self, house: House, doorkeeper: Doorkeeper) -> None:
        self._house = house
        self._world = house.world
        self._doorkeeper = doorkeeper
        words = FaultWords(
            _fault_body, 500, "Internal Server Error", has_accounts=True, has_events=True
        )
        self.faults = FaultyCalls(house.world.clock, words, house.world.faults)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            body = await request.read()
        found = find_call(request.method, request.path)
        name = found[0] if found else f"{request.method} {request.path}"
        caller, refusal = self._identify(name, request, body)

        async def act(_request: web.Request) -> web.StreamResponse:
            return self._carry_out(found, request, body, caller, refusal)

        number = caller.person.number if caller else None
        response = await self.faults.around(name, request, act, number)
        response.headers[REQUEST_ID] = _id_of(request)
        return response

    def _identify(
        self, name: str, request: web.Request, body: bytes
    ) -> tuple[MixinCaller | None, MixinError | None]:
        if name not in CALLS or CALLS[name].is_open:
            return None, None
        wire = WireRequest(request.method, request.raw_path, body)
        header, request_id = request.headers.get("Authorization", ""), _id_of(request)
        try:
            return self._doorkeeper.identify(header, wire, request_id), None
        except MixinError as refusal:
            return None, refusal

    def _carry_out(
        self,
        found: tuple[str, dict[str, str]] | None,
        request: web.Request,
        body: bytes,
        caller: MixinCaller | None,
        refusal: MixinError | None,
    ) -> web.Response:
        status, said = 200, {}
        try:
            if refusal is not None:
                raise refusal
            said = {"data": self._answer(found, request, body, caller)}
        except MixinError as problem:
            status, said = problem.status, problem.body()
        self._world.record({
            "method": request.method, "path": request.raw_path,
            "body": body.decode("utf-8", "replace"), "request_id": _id_of(request),
            "user": caller.person.user_id if caller else "",
            "code": said.get("error", {}).get("code", 0),
        })  # fmt: skip
        return self._respond(request, caller, said, status)

    def _answer(
        self,
        found: tuple[str, dict[str, str]] | None,
        request: web.Request,
        body: bytes,
        caller: MixinCaller | None,
    ) -> Any:
        if found is None:
            raise refusals.not_found()
        call = CALLS[found[0]]
        if caller is not None and not (caller.may(call.scope) if call.scope else _own(caller)):
            raise refusals.forbidden()
        ask = Ask(self._house, caller, found[1], dict(request.query), _json(body))
        return call.handler(ask)

    def _respond(
        self, request: web.Request, caller: MixinCaller | None, said: dict[str, Any], status: int
    ) -> web.Response:
        data = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {}
        permission = caller.permission if caller else None
        if permission is not None and permission.key is not None:
            now_s = self._world.clock.now_us() // 1_000_000
            wire = WireRequest(request.method, request.raw_path)
            claims = {
                "iat": now_s, "exp": now_s + 60, "jti": _id_of(request),
                "sig": response_digest(wire, data),
            }  # fmt: skip
            headers[INTEGRITY] = sign_token(claims, self._world.server_seed)
        return web.Response(
            body=data, status=status, headers=headers, content_type="application/json"
        )


def _fault_body(fault: Fault, _request: web.Request) -> object:
    return MixinError(fault.code, fault.message, status=fault.status or 500).body()


def _own(caller: MixinCaller) -> bool:
    """What no grant covers is for a session of one's own."""
    return caller.permission is None


def _id_of(request: web.Request) -> str:
    return request.headers.get(REQUEST_ID, "")


def _json(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise refusals.MixinError(400, "The request body can't be parsed as valid data.") from None
