"""The outside world: what people, exchanges and chains do, at the worlds' own ports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.sandbox.hufi.texts import iso
from poolmaker.sandbox.story.config import Worlds, asset_id
from poolmaker.sandbox.story.model import (
    BASE,
    DAY_S,
    FINALITY_BLOCKS,
    QUOTE,
    REWARD,
    VENUE_ACCOUNT,
    StoryFailed,
)
from poolmaker.sandbox.story.patience import Patience

PATIENCE_US: Final = 120 * SECOND_US
TIMEOUT_S: Final = 30
PAUSE_US: Final = 200_000
BLOCKS: Final = FINALITY_BLOCKS + 1
"""As many as make everything before them final."""
FUND: Final = "100"
TARGET: Final = 200
_OK: Final = 200
_REFUSED: Final = 400
_PAID_ALREADY: Final = "paid already"


class Outside:
    """Acts at the admin ports of the worlds."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        worlds: Worlds,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        """``check`` raises when a world has ended: then nobody will ever answer."""
        self._session = session
        self._clock = clock
        self._check = check
        self._worlds = worlds
        self._names = {asset_id(asset): asset for asset in (BASE, QUOTE, REWARD)}

    # ------------------------------------------------------------------------------- the venue

    async def terms(self, **terms: str) -> None:
        """The venue changes our account's terms."""
        await self._venue("POST", f"/accounts/{VENUE_ACCOUNT}", terms)

    async def rest(self, *, resting: bool) -> None:
        """Everybody else stops trading for a while, or goes on."""
        await self._venue("POST", f"/flow/{'pause' if resting else 'resume'}", {})

    async def bring(self, asset: str, amount: str, tx_id: str) -> None:
        """The operator pays in at the venue; its deposit history shows it under ``tx_id``."""
        order = {"account": VENUE_ACCOUNT, "asset": asset, "amount": amount, "tx_id": tx_id}
        await self._venue("POST", "/deposit", order)

    async def _venue(self, method: str, path: str, body: object = None) -> Any:
        return await self._ask("exchange", method, self._worlds.venue["admin"] + path, body)

    # ------------------------------------------------------------------------------- at Mixin

    def mixin_id(self, wallet: int) -> str:
        """The user id behind a wallet's number."""
        return str(self._worlds.mixin["users"][wallet - 1]["app_id"])

    async def pay(self, wallet: int, link: str) -> None:
        """A wallet opens a payment link and pays; paying twice pays once."""
        await self._pay({"user": str(wallet), "link": link})

    async def pay_by_hand(self, wallet: int, asset: str, amount: str, memo: str) -> None:
        """A wallet pays the bot with a memo that somebody typed."""
        bot = self._worlds.mixin["bot"]["app_id"]
        order = {"opponent": bot, "asset": asset_id(asset), "amount": amount, "memo": memo}
        await self._pay({"user": str(wallet), **order})

    async def _pay(self, order: Mapping[str, str]) -> None:
        try:
            await self._mixin("POST", "/pay", order)
        except StoryFailed as problem:
            if _PAID_ALREADY not in str(problem):
                raise

    async def wallet(self, wallet: int) -> dict[str, str]:
        """What a wallet holds of the story's assets."""
        found = await self._mixin("GET", "/users")
        held = next(row for row in found["users"] if row["number"] == wallet)["balances"]
        return {name: held.get(one, "0") for one, name in self._names.items()}

    async def _mixin(self, method: str, path: str, body: object = None) -> Any:
        return await self._ask("Mixin", method, self._worlds.mixin["admin"] + path, body)

    # ----------------------------------------------------------------------------- on the chain

    async def give(self, address: str, asset: str, amount: str) -> str:
        """Somebody sends us the chain's coin or a token; the transaction's hash."""
        order = {"address": address, "asset": asset, "amount": amount}
        found = await self._chain("POST", "/faucet", order)
        return str(found["tx_hash"])

    async def mine(self) -> None:
        """Blocks come until everything before them is final."""
        await self._chain("POST", "/mine", {"blocks": BLOCKS})

    async def _chain(self, method: str, path: str, body: object = None) -> Any:
        return await self._ask("chain", method, self._worlds.chain["admin"] + path, body)

    # ------------------------------------------------------------------------------ and at HuFi

    async def launch(self, days: int, start_us: int) -> str:
        """A campaign for our market; the escrow's address. HuFi counts in milliseconds."""
        start_ms = start_us // 1_000
        order = {
            "manifest": {
                "type": "MARKET_MAKING",
                "exchange": "mexc",
                "pair": f"{BASE}/{QUOTE}",
                "daily_volume_target": TARGET,
                "day_s": DAY_S,
                "start_date": iso(start_ms),
                "end_date": iso(start_ms + days * DAY_S * 1_000),
            },
            "token": REWARD,
            "amount": FUND,
        }
        found = await self._ask(
            "HuFi", "POST", self._worlds.hufi["admin"] + "/campaigns", order, once=True
        )
        return str(found["address"])

    async def _ask(
        self, who: str, method: str, url: str, body: object = None, *, once: bool = False
    ) -> Any:
        """Ask until it answers; ``once`` for what would happen twice."""
        patience = Patience(self._clock, PATIENCE_US)
        wait = aiohttp.ClientTimeout(total=PATIENCE_US // SECOND_US if once else TIMEOUT_S)
        while True:
            try:
                async with self._session.request(method, url, json=body, timeout=wait) as answer:
                    text, status = await answer.text(), answer.status
                problem = f"{status} {text[:200]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                text, status, problem = "", 0, str(error) or type(error).__name__
            if status == _OK:
                return json.loads(text)
            if status == _REFUSED:
                raise StoryFailed(f"{who} refused {url.rpartition('/')[2]}: {text[:300]}")
            self._check()
            if once or patience.is_over():
                raise StoryFailed(f"{who} does not answer: {problem}")
            await self._clock.sleep_us(PAUSE_US)
