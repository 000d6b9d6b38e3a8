"""One request to HuFi's servers, and the tables that route them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PoolmakerError
from poolmaker.sandbox.hufi.fields import Fields, snake_keys
from poolmaker.sandbox.hufi.model import User
from poolmaker.sandbox.hufi.refusals import HufiRefusal, invalid, not_found, server_error
from poolmaker.sandbox.serving import FaultWords, FaultyCalls
from poolmaker.sandbox.venue.faults import Fault
from poolmaker.sandbox.venue.rest import answer

READ_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: fields of its body, of its query, what stood in its path, who asks."""

    body: dict[str, Any]
    query: dict[str, Any]
    path: dict[str, str]
    headers: Mapping[str, str]
    """Found under a name in any case."""

    def fields(self) -> Fields:
        """Its body, to be checked."""
        return Fields(self.body)

    def questions(self) -> Fields:
        """Its query, to be checked."""
        return Fields(self.query)

    def places(self) -> Fields:
        """What stood in its path, to be checked."""
        return Fields(self.path)


Answer = tuple[int, object]
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
    "Access-Control-Allow-Headers": "*",
}
_ANYBODY: Final = {"Access-Control-Allow-Origin": "*"}
AccountOf = Callable[[str | None], int | None]
"""The number of the participant whose Authorization header this is."""

Handler = Callable[[Asked], Awaitable[Answer]]
UserHandler = Callable[[Asked, User], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One route; ``path`` is a pattern with named groups, ``name`` what faults call it.

    An answer may be kept by others for ``age_s``, 0 says nothing of that.
    """

    method: str
    path: re.Pattern[str]
    name: str
    handler: Handler
    age_s: int = 0


def route(method: str, path: str, handler: Handler, age_s: int = 0) -> HttpRoute:
    """A route from a path such as ``/campaigns/{campaign}/leaderboard``."""
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    return HttpRoute(method, re.compile(pattern), f"{method} {path}", handler, age_s)


class HufiApi:
    """Serves a table of routes as HuFi's servers do: bodies, refusals, CORS.

    With ``account_of`` a fault may be for one participant's calls alone.
    """

    def __init__(
        self, routes: Sequence[HttpRoute], clock: Clock, account_of: AccountOf | None = None
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._account_of = account_of
        self.faults = FaultyCalls(
            clock,
            FaultWords(
                self._fault_body, 500, "Internal server error", has_accounts=account_of is not None
            ),
        )

    def _fault_body(self, fault: Fault, request: web.Request) -> object:
        more = {"status_code": fault.status or 500}
        return HufiRefusal(0, fault.message, **more).body(request.path_qs, self._clock.now_us())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={**_ANYBODY, **PREFLIGHT})
        found = self._find(request)
        name = found[0].name if found else "*"

        async def act(inner: web.Request) -> web.StreamResponse:
            return await self._answer(inner, found)

        header = request.headers.get("Authorization")
        account = self._account_of(header) if self._account_of else None
        response = await self.faults.around(name, request, act, account)
        response.headers.update(_ANYBODY)
        return response

    def _find(self, request: web.Request) -> tuple[HttpRoute, dict[str, str]] | None:
        for one in self._routes:
            match = one.path.fullmatch(request.path)
            if match is not None and one.method == request.method:
                return one, match.groupdict()
        return None

    async def _answer(
        self, request: web.Request, found: tuple[HttpRoute, dict[str, str]] | None
    ) -> web.StreamResponse:
        path = request.path_qs
        try:
            if found is None:
                raise not_found(request.method, path)
            status, body = await found[0].handler(await self._asked(request, found[1]))
        except HufiRefusal as refusal:
            return answer(refusal.body(path, self._clock.now_us()), refusal.status, {})
        except PoolmakerError as problem:
            # What HuFi does not foresee is told as a failure inside, and nothing of it.
            request.app.logger.warning("%s: %s", path, problem)
            return answer(server_error().body(path, self._clock.now_us()), 500, {})
        headers = {"Cache-Control": f"max-age={found[0].age_s}"} if found[0].age_s else {}
        return web.Response(status=status) if status == 204 else answer(body, status, headers)

    @staticmethod
    async def _asked(request: web.Request, path: dict[str, str]) -> Asked:
        async with asyncio.timeout(READ_TIMEOUT_S):
            raw = await request.read()
        try:
            body = snake_keys(msgspec.json.decode(raw)) if raw else {}
        except msgspec.DecodeError:
            raise HufiRefusal(
                400, "Unexpected token in JSON", error="Bad Request", status_code=400
            ) from None
        if not isinstance(body, dict):
            raise invalid(["an unknown value was passed to the validate function"])
        query: dict[str, Any] = {}
        for name in request.query:
            values = request.query.getall(name)
            query[name] = values[0] if len(values) == 1 else list(values)
        return Asked(body, query, path, request.headers)
