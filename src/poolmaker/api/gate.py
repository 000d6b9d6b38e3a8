"""What every request passes before anything of the platform is asked for it.

In this order: it gets a correlation id and a language; a path or query that no route could mean and
a body that is too large are refused; its token says who is calling; it takes its place in the
budgets of that caller; without a known token it ends there if it is for the API; and it has a
limited time. Everything under it uses the connections of
clients, never those of engines and sagas.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from contextlib import AbstractContextManager
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from poolmaker.api.access import Role
from poolmaker.api.budgets import Budgets, Rank
from poolmaker.api.problems import CATALOGUES, CORRELATION_HEADER, ApiProblem, answer
from poolmaker.api.tokens import Principal, Tokens, token_hash
from poolmaker.infra.connections import Purpose, working_for
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import Ids

BODY_BYTES_MAX: Final = 65_536
REQUEST_S: Final = 20
KNOWN_MAX: Final = 10_000
API_PREFIX: Final = "/api/"
_STREAMS: Final = frozenset({"/api/v1/stream", "/stream"})
_SAFETY: Final = ("/api/v1/health", "/api/v1/kill", "/api/v1/freeze")
_BEARER: Final = re.compile(r"Bearer ([!-~]{16,200})")
_DIGITS_MAX: Final = 9


class RequestGate:
    """ASGI middleware in front of the API and the pages."""

    def __init__(self, app: ASGIApp, ids: Ids, tokens: Tokens, budgets: Budgets) -> None:
        self._app = app
        self._ids = ids
        self._tokens = tokens
        self._budgets = budgets
        self._known: OrderedDict[bytes, tuple[str, Rank]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer with the problem that stops it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        correlation = self._ids.correlation()
        state = scope.setdefault("state", {})
        state["correlation"] = correlation
        state["language"] = CATALOGUES.negotiate(request.headers.get("accept-language", ""))
        state["principal"] = None
        answering = _Answering(send, correlation)
        with working_for(Purpose.CLIENTS):
            try:
                await self._pass(request, receive, answering)
            except ApiProblem as problem:
                await answering.problem(request, problem, receive)

    async def _pass(self, request: Request, receive: Receive, send: _Answering) -> None:
        """Run the request in the place of its caller.

        Nothing of the API is for nobody: without a known token it is refused before its body is
        read, so that a slow body without one keeps no place.
        """
        _require_readable(request)
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        hashed = token_hash(match[1]) if match is not None else b""
        caller = await self._caller(request, hashed) if hashed else None
        if caller is not None:
            with self._place(request, *caller):
                if await self._recognise(request, hashed) is not None:
                    await self._run(request, receive, send)
                    return
        with self._place(request, f"address {_address(request)}", Rank.ANONYMOUS):
            if request.url.path.startswith(API_PREFIX):
                raise ApiProblem("unauthenticated")
            await self._run(request, receive, send)

    async def _caller(self, request: Request, hashed: bytes) -> tuple[str, Rank] | None:
        """Whose budget a token uses, and the rank of its places; None for nobody known.

        A token that was never seen is looked for in the files of the staff first: that asks
        nothing of the database, so that no crowd of guesses is in their way.
        """
        if hashed not in self._known and not self._remember(hashed, self._tokens.filed(hashed)):
            with self._budgets.unknown_token(_address(request)):
                await self._recognise(request, hashed)
        return self._known.get(hashed)

    async def _recognise(self, request: Request, hashed: bytes) -> Principal | None:
        """Who is calling, None for nobody known. The tokens decide each time; nothing is kept.

        What is remembered is only whose budget the next request with this token uses.
        """
        request.state.principal = principal = await self._principal(hashed)
        self._remember(hashed, principal)
        return principal

    def _remember(self, hashed: bytes, principal: Principal | None) -> bool:
        self._known.pop(hashed, None)
        if principal is None:
            return False
        rank = Rank.USER if principal.role is Role.USER else Rank.STAFF
        self._known[hashed] = (caller_of(principal), rank)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return True

    async def _principal(self, hashed: bytes) -> Principal | None:
        try:
            async with asyncio.timeout(REQUEST_S):
                return await self._tokens.principal(hashed)
        except (Unavailable, OutcomeUnknown, TimeoutError):
            raise ApiProblem("unavailable") from None

    def _place(self, request: Request, caller: str, rank: Rank) -> AbstractContextManager[None]:
        """What keeps money safe is counted apart: no other work of a person is in its way."""
        path = request.url.path
        if path in _STREAMS:
            return self._budgets.stream(caller, rank)
        if rank is Rank.STAFF and path.startswith(_SAFETY):
            return self._budgets.request(f"{caller} for safety", Rank.SAFETY)
        return self._budgets.request(caller, rank)

    async def _run(self, request: Request, receive: Receive, send: _Answering) -> None:
        bounded = _Bounded(receive)
        if request.url.path in _STREAMS:
            await self._app(request.scope, bounded, send)
            return
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._app(request.scope, bounded, send)
        except TimeoutError:
            code = "unavailable" if request.method == "GET" else "outcome_unknown"
            raise ApiProblem(code) from None


def caller_of(principal: Principal) -> str:
    """Whose budget and whose Idempotency-Keys: of a person, whatever token is shown."""
    return f"{principal.role}:{principal.user_id or principal.name}"


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _require_readable(request: Request) -> None:
    """Refuse what no route could mean, and a body that is announced too large."""
    query = unquote(request.scope.get("query_string", b"").decode("latin-1"))
    if "\0" in request.url.path or "\0" in request.scope["path"]:
        raise ApiProblem("not_found")
    raw_path = request.scope.get("raw_path", b"").lower()
    if b"%2f" in raw_path and request.url.path.startswith(API_PREFIX):
        raise ApiProblem("not_found")  # decoded, an id with a slash would be another address
    if "\0" in query:
        raise ApiProblem("invalid", {"what": "the query holds a zero byte"})
    length = request.headers.get("content-length", "0")
    is_number = length.isascii() and length.isdecimal() and len(length) <= _DIGITS_MAX
    if not is_number or int(length) > BODY_BYTES_MAX:
        raise ApiProblem("too_large", {"limit": str(BODY_BYTES_MAX)})


class _Bounded:
    """Ends a body that was sent in pieces and grew too large."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = BODY_BYTES_MAX

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise ApiProblem("too_large", {"limit": str(BODY_BYTES_MAX)})
        return message


class _Answering:
    """Puts the correlation id on the answer, and knows whether one has begun."""

    def __init__(self, send: Send, correlation: str) -> None:
        self._send = send
        self._correlation = correlation
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            headers = MutableHeaders(scope=message)
            headers[CORRELATION_HEADER] = self._correlation
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)

    async def problem(self, request: Request, problem: ApiProblem, receive: Receive) -> None:
        """Answer with a problem, unless an answer has begun: then it only ends."""
        if self._has_begun:
            return
        language = request.headers.get("accept-language", "")
        response = answer(problem, request.state.correlation, language)
        await response(request.scope, receive, self)
