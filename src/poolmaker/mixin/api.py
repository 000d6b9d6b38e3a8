"""Signed requests to the API, and what each way of not being answered means.

==================================  ==========================  ==============================
what happens                        a read                      a write
==================================  ==========================  ==============================
an error object, whatever status    MixinRefused                MixinRefused
error 429                           asked again, then Unavailable
no connection                       Unavailable                 Unavailable
5xx, 500, 7000, 7001, no or another Unavailable                 OutcomeUnknown
request's answer, a time-out
==================================  ==========================  ==============================
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.mixin.codec.tokens import BotSession, Issue, WireRequest, bot_token
from poolmaker.mixin.model import Keystore, MixinRefused

REQUEST_ID: Final = "X-Request-Id"
TOO_MANY: Final = 429
IN_DOUBT: Final = frozenset({500, 7000, 7001})
TRIES_MAX: Final = 4
_BACK_OFF_US: Final = SECOND_US // 2
_TIMEOUT_S: Final = 20
_CONNECT_TIMEOUT_S: Final = 5
_ANSWER_BYTES_MAX: Final = 64 << 20
_SERVER_ERROR: Final = 500
_NOT_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    request_id: str
    body: bytes


class _TooMany(Exception):
    """The server asks us to slow down; nothing was done."""


class MixinApi:
    """One bot's requests. Every one carries a token of its own and has its timeout.

    The session may repeat a GET on a connection that was cut: the same signed bytes have the
    same effect. It never repeats a POST.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, keystore: Keystore, clock: Clock,
        rng: Rng,
    ) -> None:  # fmt: skip
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._keystore = keystore
        self._clock = clock
        self._rng = rng

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Data of a read. Raises MixinRefused or Unavailable."""
        uri = f"{path}?{urlencode(query, quote_via=quote, safe='')}" if query else path
        return await self._ask(WireRequest("GET", uri), Unavailable)

    async def post(self, path: str, body: object) -> Any:
        """Data of a write. Raises MixinRefused, Unavailable or OutcomeUnknown."""
        data = json.dumps(body, separators=(",", ":")).encode()
        return await self._ask(WireRequest("POST", path, data), OutcomeUnknown)

    async def _ask(self, request: WireRequest, doubt: type[Unavailable | OutcomeUnknown]) -> Any:
        for tried in range(TRIES_MAX):
            try:
                return await self._once(request, doubt)
            except _TooMany:
                wait_us = _BACK_OFF_US << tried
                await self._clock.sleep_us(wait_us + self._rng.below(wait_us))
        raise Unavailable(f"{_name(request)}: asked to slow down {TRIES_MAX} times")

    async def _once(self, request: WireRequest, doubt: type[Unavailable | OutcomeUnknown]) -> Any:
        request_id = str(uuid.UUID(int=self._rng.bits(128), version=4))
        try:
            answer = await self._send(request, request_id)
        except _NOT_SENT as error:
            raise Unavailable(f"{_name(request)}: no connection: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise doubt(f"{_name(request)}: no answer: {type(error).__name__} {error}") from error
        said = _read(answer)
        if said is None or answer.request_id != request_id:
            raise doubt(f"{_name(request)}: not an answer to it, status {answer.status}")
        return _judge(said, _name(request), doubt)

    async def _send(self, request: WireRequest, request_id: str) -> _Answer:
        keys, now_s = self._keystore, self._clock.now_us() // SECOND_US
        session = BotSession(keys.app_id, keys.session_id, keys.session_seed)
        token = bot_token(session, request, Issue(request_id, now_s))
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            REQUEST_ID: request_id,
        }
        async with self._session.request(
            request.method,
            # The token covers these very bytes: nothing may be quoted again.
            URL(self._base_url + request.uri, encoded=True),
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S),
        ) as response:
            body = await _body(response)
            return _Answer(response.status, response.headers.get(REQUEST_ID, ""), body)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body; nothing of it when there is no end to it, which nobody can read as an answer."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > _ANSWER_BYTES_MAX:
            return b""
    return b"".join(parts)


def _name(request: WireRequest) -> str:
    return f"{request.method} {request.uri.partition('?')[0]}"


def _read(answer: _Answer) -> dict[str, Any] | None:
    """The answer's object; None for what is no answer of the API, as a proxy's page."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    complete = isinstance(said, dict) and ("data" in said or isinstance(said.get("error"), dict))
    return said if complete else None


def _judge(said: dict[str, Any], name: str, doubt: type[Unavailable | OutcomeUnknown]) -> Any:
    error = said.get("error")
    if not isinstance(error, dict):
        return said["data"]
    code, status = error.get("code"), error.get("status")
    if code == TOO_MANY:
        raise _TooMany
    failed = isinstance(status, int) and status >= _SERVER_ERROR
    if not isinstance(code, int) or code in IN_DOUBT or failed:
        raise doubt(f"{name}: error {code} {error.get('description', '')}")
    extra = json.dumps(error["extra"])[:200] if error.get("extra") else ""
    raise MixinRefused(code, str(error.get("description", "")), extra)
