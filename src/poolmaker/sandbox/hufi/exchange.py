"""The exchange as HuFi reads it: three signed questions over the venue's MEXC face."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from poolmaker.hufi import rules
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.sandbox.hufi.model import ExchangePermission

TIMEOUT_S: Final = 15
PAGE: Final = 1_000
PAGES_MAX: Final = 1_000
_KEY_HEADER: Final = "X-MEXC-APIKEY"
_REFUSALS: Final = frozenset({10072, 700002, 700006, 700007})
_PROBE: Final = "ETH/USDT"


class AccessRefused(Exception):
    """The exchange does not let this key see something."""

    def __init__(self, missing: ExchangePermission) -> None:
        super().__init__(missing)
        self.missing = missing


class ExchangeReader:
    """Reads accounts of others. Raises AccessRefused and, for anything else, Unavailable."""

    def __init__(self, session: aiohttp.ClientSession, rest: str, clock: Clock) -> None:
        self._session = session
        self._base = f"{rest}/mexc"
        self._clock = clock

    async def _get(self, path: str, query: str, headers: dict[str, str]) -> tuple[int, Any]:
        url = f"{self._base}{path}?{query}"
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.get(url, headers=headers) as reply,
            ):
                return reply.status, msgspec.json.decode(await reply.read())
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as problem:
            raise Unavailable(f"the exchange does not answer: {problem}") from None

    async def _signed(
        self, path: str, key: tuple[str, str], permission: ExchangePermission, **params: object
    ) -> Any:
        stamp = self._clock.now_us() // 1_000
        text = urlencode({**params, "recvWindow": 10_000, "timestamp": stamp})
        digest = hmac.new(key[1].encode(), text.encode(), hashlib.sha256).hexdigest()
        headers = {_KEY_HEADER: key[0]}
        status, body = await self._get(path, f"{text}&signature={digest}", headers)
        if status == 200:
            return body
        code = body.get("code") if isinstance(body, dict) else None
        if status in {401, 403} or code in _REFUSALS:
            raise AccessRefused(permission)
        raise Unavailable(f"the exchange answered {status}: {body}")

    async def balance(self, key: tuple[str, str], symbol: str) -> float | None:
        """Free and used together, None where the account has none."""
        account = await self._signed("/api/v3/account", key, ExchangePermission.BALANCE)
        for held in account["balances"]:
            if held["asset"] == symbol:
                return float(Decimal(held["free"]) + Decimal(held["locked"]))
        return None

    async def deposit_address(self, key: tuple[str, str]) -> str:
        """The account's ETH address on Ethereum."""
        rows = await self._signed(
            "/api/v3/capital/deposit/address", key, ExchangePermission.DEPOSIT, coin="ETH"
        )
        for row in rows:
            if row["network"] == "ETH":
                return str(row["address"])
        raise AccessRefused(ExchangePermission.DEPOSIT)

    async def trades(
        self, key: tuple[str, str], pair: str, since_ms: int, until_ms: int
    ) -> list[rules.ScoredTrade]:
        """The account's trades in [since, until), newest first."""
        found: dict[int, Any] = {}
        first = since_ms
        for _ in range(PAGES_MAX):
            if first >= until_ms:
                break
            last = min(until_ms, first + rules.DAY_MS) - 1
            rows = await self._signed(
                "/api/v3/myTrades", key, ExchangePermission.TRADES, symbol=pair.replace("/", ""),
                startTime=first, endTime=last, limit=PAGE,
            )  # fmt: skip
            fresh = [row for row in rows if row["id"] not in found]
            found.update((row["id"], row) for row in fresh)
            if len(rows) < PAGE:
                first = last + 1
            elif fresh:
                first = int(rows[-1]["time"])
            else:
                first = int(rows[-1]["time"]) + 1
        newest_first = sorted(found.values(), key=lambda row: (-row["time"], -row["id"]))
        return [_trade(pair, row) for row in newest_first]

    async def missing(
        self, key: tuple[str, str], wanted: Sequence[ExchangePermission]
    ) -> tuple[ExchangePermission, ...]:
        """Which of ``wanted`` the key lacks, asked live."""
        lacking: list[ExchangePermission] = []
        for permission in wanted:
            try:
                await self._probe(key, permission)
            except AccessRefused:
                lacking.append(permission)
        return tuple(lacking)

    async def _probe(self, key: tuple[str, str], permission: ExchangePermission) -> None:
        if permission is ExchangePermission.BALANCE:
            await self.balance(key, "ETH")
        elif permission is ExchangePermission.DEPOSIT:
            await self.deposit_address(key)
        else:
            now_ms = self._clock.now_us() // 1_000
            await self.trades(key, _PROBE, now_ms, now_ms + 1)

    async def markets(self) -> list[tuple[str, str]]:
        """Base and quote of everything listed."""
        _, body = await self._get("/api/v3/exchangeInfo", "", {})
        return [(row["baseAsset"], row["quoteAsset"]) for row in body["symbols"]]


def _trade(pair: str, row: dict[str, Any]) -> rules.ScoredTrade:
    return rules.ScoredTrade(
        symbol=pair, side="buy" if row["isBuyer"] else "sell", is_maker=bool(row["isMaker"]),
        cost=float(row["quoteQty"]), time_ms=int(row["time"]),
    )  # fmt: skip
