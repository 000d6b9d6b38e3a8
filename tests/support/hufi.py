"""Three worlds side by side, and participants of HuFi's campaigns on them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import ccxt.async_support
from eth_account import Account
from eth_account.messages import encode_defunct

from poolmaker.sandbox.chain.options import MNEMONIC
from tests.support.venue import RunningVenue, running_venue
from tests.support.worlds import RunningWorld, running_world

Account.enable_unaudited_hdwallet_features()


@dataclass(frozen=True)
class Reply:
    """What HuFi answered."""

    status: int
    body: Any


class Participant:
    """A wallet with an account at the venue: logs in, enrols a key, joins, trades with ccxt."""

    def __init__(self, number: int, hufi: RunningWorld, venue: RunningVenue) -> None:
        self.wallet = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{4 + number}")
        self.address: str = self.wallet.address
        self.keys = venue.ready["accounts"][number - 1]
        self.tokens: dict[str, str] = {}
        self._oracle = hufi.ready["oracle"]
        base = venue.ready["rest"] + "/mexc"
        self.exchange = ccxt.async_support.mexc(
            {
                "apiKey": self.keys["key"],
                "secret": self.keys["secret"],
                "enableRateLimit": False,
                "options": {"defaultType": "spot"},
                "urls": {
                    "api": {
                        "spot": {"public": base, "private": base},
                        "contract": {"public": f"{base}/api/v1/contract", "private": base},
                    }
                },
            }
        )

    async def ask(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> Reply:
        """One request to the recording oracle, as this wallet where it is logged in."""
        bearer = token or self.tokens.get("access_token")
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self._oracle + path, json=body, headers=headers) as reply,
        ):
            raw = await reply.read()
            return Reply(reply.status, json.loads(raw) if raw else None)

    def signed(self, nonce: str) -> str:
        """The nonce signed as HuFi asks for it."""
        text = json.dumps({"nonce": nonce}, separators=(",", ":"))
        signature = self.wallet.sign_message(encode_defunct(text=text)).signature
        return "0x" + bytes(signature).hex()

    async def log_in(self) -> Reply:
        """Sign the nonce; keep the tokens."""
        nonce = (await self.ask("POST", "/auth/nonce", {"address": self.address})).body["nonce"]
        reply = await self.ask(
            "POST", "/auth", {"address": self.address, "signature": self.signed(nonce)}
        )
        if reply.status == 200:
            self.tokens = reply.body
        return reply

    async def enrol(self, prefix: str = "ro_") -> Reply:
        """Hand in the exchange key."""
        body = {
            "exchange_name": "mexc",
            "api_key": self.keys[f"{prefix}key"],
            "secret_key": self.keys[f"{prefix}secret"],
        }
        return await self.ask("POST", "/exchange-api-keys", body)

    async def join(self, address: str) -> Reply:
        """Join a campaign."""
        return await self.ask("POST", "/campaigns/join", {"chain_id": 1338, "address": address})


@dataclass(frozen=True)
class Worlds:
    """A chain, a venue and HuFi, each a process."""

    chain: RunningWorld
    venue: RunningVenue
    hufi: RunningWorld
    people: list[Participant]

    async def launch(self, manifest: dict[str, Any], amount: str, **more: Any) -> dict[str, Any]:
        """Launch a campaign at mexc and let HuFi find it."""
        body = {"manifest": {"exchange": "mexc", **manifest}, "amount": amount}
        made = await self.hufi.admin("POST", "/campaigns", {"token": "USDT", **body, **more})
        assert made["status"] == 200, made
        await self.run("campaigns_discovery")
        return made

    async def run(self, job: str = "all") -> None:
        """Run a job now."""
        assert (await self.hufi.admin("POST", f"/jobs/{job}"))["status"] == 200

    async def campaign(self, address: str) -> dict[str, Any]:
        """What HuFi knows of a campaign."""
        state = await self.hufi.admin("GET", "/state")
        return next(one for one in state["campaigns"] if one["address"] == address)

    async def trade(self, amount: float, price: float, maker: int = 0, taker: int = 1) -> None:
        """One sells, the other takes it."""
        one, two = self.people[maker].exchange, self.people[taker].exchange
        await one.create_order("HMT/USDT", "limit", "sell", amount, price)
        await two.create_order("HMT/USDT", "limit", "buy", amount, price, {"timeInForce": "IOC"})


@contextlib.asynccontextmanager
async def running_worlds(
    *arguments: str, people: int = 2, venue_arguments: Sequence[str] = ()
) -> AsyncIterator[Worlds]:
    """All three and some people who logged in and enrolled read-only keys; jobs run when told."""
    async with (
        running_world("chain", "--block-ms", "0") as chain,
        running_venue("--flow", "none", *venue_arguments) as venue,
        running_world(
            "hufi", "--chain", chain.ready["rpc"], "--venue", venue.ready["rest"],
            "--jobs-every-s", "0", *arguments,
        ) as hufi,
    ):  # fmt: skip
        some = [Participant(number, hufi, venue) for number in range(1, people + 1)]
        try:
            for one in some:
                assert (await one.log_in()).status == 200
                assert (await one.enrol()).status == 200
                await one.exchange.load_markets()
            yield Worlds(chain, venue, hufi, some)
        finally:
            for one in some:
                await one.exchange.close()
