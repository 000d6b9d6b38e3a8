"""HuFi's two servers: the launcher, which anybody may ask, and the recording oracle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final, TypeVar

import aiohttp
import msgspec
from eth_utils.address import to_checksum_address

from poolmaker.evm.signer import Signer
from poolmaker.hufi.model import (
    HufiRefused,
    JoinedCampaign,
    JoinedPage,
    JoinStatus,
    LaunchedCampaign,
    LaunchedPage,
    Leaderboard,
    RegisteredKey,
)
from poolmaker.infra.foreign import NotReadable, read_json
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable

TIMEOUT_S: Final = 60
PAGE: Final = 100
SKIP_MAX: Final = 1_000
_UNAUTHORIZED: Final = 401
_BAD: Final = 400
_SERVER_ERROR: Final = 500
T = TypeVar("T")
Query = Sequence[tuple[str, str]]


class _Refusal(msgspec.Struct):
    message: str = ""


class _Nonce(msgspec.Struct):
    nonce: str


class _Tokens(msgspec.Struct):
    access_token: str


class _Revalidated(msgspec.Struct):
    is_valid: bool


class HufiHttp:
    """Requests to one of the servers. Nothing is repeated."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: object = None,
        bearer: str = "",
    ) -> bytes:
        """The body of a good answer.

        Raises HufiRefused for a refusal; Unavailable when a read got no answer; OutcomeUnknown
        when anything else got none.
        """
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        silence = Unavailable if method == "GET" else OutcomeUnknown
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.request(
                    method,
                    self._base_url + path,
                    params=list(query),
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                ) as reply,
            ):
                raw = await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            raise silence(f"HuFi does not answer: {problem!r}") from problem
        if reply.status >= _SERVER_ERROR and method == "GET":
            raise Unavailable(f"HuFi answers HTTP {reply.status}")
        if reply.status >= _BAD:
            raise HufiRefused(reply.status, _words(raw))
        return raw


def _words(raw: bytes) -> str:
    try:
        said = str(read_json(raw, _Refusal).message)
    except NotReadable:
        said = ""
    return said[:300] or "without a word"


def read(raw: bytes, kind: type[T]) -> T:
    """Decode an answer. Raises Unavailable when it is not what HuFi says it is."""
    try:
        found: T = read_json(raw, kind)
    except NotReadable as problem:
        raise Unavailable(f"HuFi answered something else than was asked: {problem}") from None
    return found


def _page(size: int, skip: int) -> list[tuple[str, str]]:
    """``skip`` of 0 is refused by HuFi and left out."""
    return [("limit", str(size)), *([("skip", str(skip))] if skip else [])]


class LauncherApi:
    """What the launcher tells everybody."""

    def __init__(self, http: HufiHttp, page: int = PAGE) -> None:
        self._http = http
        self._size = page

    async def campaigns(self, chain_id: int) -> list[LaunchedCampaign]:
        """Every campaign of a chain that the launcher's pages reach, newest first."""
        found: list[LaunchedCampaign] = []
        for skip in range(0, SKIP_MAX + 1, self._size):
            query = [("chain_id", str(chain_id)), *_page(self._size, skip)]
            page = read(await self._http.ask("GET", "/campaigns", query=query), LaunchedPage)
            found.extend(page.results)
            if not page.has_more:
                break
        return found


class OracleApi:
    """The recording oracle as one participant. One login at a time; a new one on 401."""

    def __init__(self, http: HufiHttp, signer: Signer, page: int = PAGE) -> None:
        self._http = http
        self._signer = signer
        self._size = page
        self._bearer = ""
        self._turn = asyncio.Lock()

    async def keys(self) -> list[RegisteredKey]:
        """The exchange keys that it holds for us."""
        return read(await self._ask("GET", "/exchange-api-keys"), list[RegisteredKey])

    async def register_key(self, exchange: str, key: str, secret: str) -> None:
        """Hand in a key; it replaces the one of this exchange. Raises HufiRefused, 503 included."""
        body = {"exchange_name": exchange, "api_key": key, "secret_key": secret}
        await self._ask("POST", "/exchange-api-keys", body=body)

    async def revalidate_key(self, exchange: str) -> bool:
        """Have a key checked again; whether it is valid now."""
        raw = await self._ask("POST", f"/exchange-api-keys/{exchange}/revalidate")
        return read(raw, _Revalidated).is_valid

    async def join_status(self, chain_id: int, escrow: str) -> JoinStatus:
        """Whether we are in a campaign or could be."""
        raw = await self._ask("POST", "/campaigns/check-join-status", body=_of(chain_id, escrow))
        return read(raw, JoinStatus)

    async def join(self, chain_id: int, escrow: str) -> None:
        """Take part from now on. Raises HufiRefused, OutcomeUnknown: then ask ``join_status``."""
        await self._ask("POST", "/campaigns/join", body=_of(chain_id, escrow))

    async def joined(self) -> list[JoinedCampaign]:
        """Every campaign that we are in, those included that it joined for us by itself."""
        found: list[JoinedCampaign] = []
        while True:
            query = _page(self._size, len(found))
            page = read(await self._ask("GET", "/campaigns", query=query), JoinedPage)
            found.extend(page.results)
            if not page.has_more or not page.results:
                return found

    async def leaderboard(self, chain_id: int, escrow: str) -> Leaderboard:
        """The scores of the running day. Raises HufiRefused once the campaign has ended."""
        place = f"/campaigns/{chain_id}-{to_checksum_address(escrow)}/leaderboard"
        return read(await self._http.ask("GET", place), Leaderboard)

    async def _ask(
        self, method: str, path: str, *, query: Query = (), body: object = None
    ) -> bytes:
        bearer = self._bearer or await self._log_in("")
        try:
            return await self._http.ask(method, path, query=query, body=body, bearer=bearer)
        except HufiRefused as refused:
            if refused.status != _UNAUTHORIZED:
                raise
        bearer = await self._log_in(bearer)
        return await self._http.ask(method, path, query=query, body=body, bearer=bearer)

    async def _log_in(self, stale: str) -> str:
        """Sign a nonce, unless somebody has a fresher token than ``stale`` by now."""
        async with self._turn:
            if self._bearer not in {"", stale}:
                return self._bearer
            address = to_checksum_address(self._signer.address)
            raw = await self._http.ask("POST", "/auth/nonce", body={"address": address})
            text = json.dumps({"nonce": read(raw, _Nonce).nonce}, separators=(",", ":"))
            body = {"address": address, "signature": self._signer.sign_login(text)}
            tokens = read(await self._http.ask("POST", "/auth", body=body), _Tokens)
            self._bearer = tokens.access_token
            return self._bearer


def _of(chain_id: int, escrow: str) -> dict[str, object]:
    return {"chain_id": chain_id, "address": to_checksum_address(escrow)}
