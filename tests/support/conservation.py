"""What four worlds hold together, counted from outside: nothing appears and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ccxt.async_support

from poolmaker.sandbox.chain.contracts import SUPPLY
from poolmaker.sandbox.chain.model import MIXIN_VAULT, STAKING, VENUE_VAULT
from poolmaker.sandbox.chain.options import ACCOUNTS, MNEMONIC
from poolmaker.sandbox.chain.wallet import account_of
from tests.outside.mixin_support import RunningMixin
from tests.support.hufi import Worlds
from tests.support.mixin import POLYGON
from tests.support.venue import ccxt_settings

COINBASE = "0x" + "0" * 40
VAULT_COINS = 10_000
DECIMALS = {"USDT": 6, "HMT": 18, "POL": 18}
NAMES = {"USDT": "USDT", "HMT": "HMT", "POL": "ETH"}
RECEIVER = 3
"""The venue's account that receives."""

Holdings = Counter[str]


def fine(text: str | int) -> int:
    """Decimal text in the finest unit of all worlds, 1e-18."""
    return int(Decimal(text).scaleb(18))


@dataclass(frozen=True)
class FourWorlds:
    """Venue, Mixin, chain and HuFi, each a process."""

    worlds: Worlds
    mixin: RunningMixin

    def trader(self, account: int = RECEIVER) -> Any:
        """ccxt at the venue, unmodified but for its addresses."""
        return ccxt.async_support.binance(ccxt_settings(self.worlds.venue.ready, account))

    async def everything(self, escrows: Collection[str] = ()) -> dict[str, int]:
        """Per coin: at Mixin, at the venue, in wallets on the chain, in transit, and the fees."""
        total: Holdings = Counter()
        people, given = await self._chain(escrows)
        for part in (
            people, await self._at_mixin(), await self._at_venue(), await self._leaving(),
            await self.arriving(given),
        ):  # fmt: skip
            total.update(part)
        return dict(total)

    async def _at_mixin(self) -> Holdings:
        audit = await self.mixin.admin("GET", "/invariants")
        assert audit["ok"], audit["violations"]
        found: Holdings = Counter()
        for asset in audit["assets"].values():
            found[asset["symbol"]] += fine(asset["held"])
        return found

    async def _at_venue(self) -> Holdings:
        venue, found = self.worlds.venue, Holdings()
        for account in (await venue.admin("GET", "/accounts"))["accounts"]:
            for coin, held in account["balances"].items():
                found[coin] += fine(held["total"])
        for row in await self._left_venue():
            found[row["asset"]] += fine(row["fee"])
        audit = await venue.admin("GET", "/invariants")
        assert audit["ok"], audit["violations"]
        for coin, fee in audit["fees"].items():
            found[coin] += fine(fee)
        return found

    async def _balances(self, addresses: Collection[str]) -> Holdings:
        found: Holdings = Counter()
        for address in addresses:
            held = await self.worlds.chain.admin("GET", f"/balances/{address}")
            for coin, name in NAMES.items():
                found[coin] += int(held[name]) * 10 ** (18 - DECIMALS[coin])
        return found

    async def addresses(self) -> set[str]:
        """What Mixin and the venue gave out on the chain's network."""
        mixin = (await self.mixin.admin("GET", "/addresses"))["addresses"]
        venue = (await self.worlds.venue.admin("GET", "/addresses"))["addresses"]
        return {one["address"].lower() for one in mixin if one["chain_id"] == POLYGON} | {
            one["address"].lower() for one in venue if one["network"] == "MATIC"
        }

    async def _chain(self, escrows: Collection[str]) -> tuple[Holdings, Holdings]:
        """What people and contracts hold, their gas included, and what is at deposit addresses."""
        wallets = {number: account_of(MNEMONIC, number).address for number in range(ACCOUNTS)}
        vaults = [wallets.pop(number) for number in (MIXIN_VAULT, VENUE_VAULT)]
        people = await self._balances([*wallets.values(), *escrows, STAKING, COINBASE])
        given, kept = await self._balances(await self.addresses()), await self._balances(vaults)
        for coin in ("USDT", "HMT"):
            # Nobody else holds a token, so that the count is complete.
            assert people[coin] + given[coin] + kept[coin] == fine(SUPPLY), coin
        people["POL"] -= await self._gas_of_vaults(kept["POL"])
        return people, given

    async def _gas_of_vaults(self, kept: int) -> int:
        """What left the vaults and was no withdrawal: the worlds' own cost."""
        mined = await self.mined()
        paid = [
            fine(row["amount"])
            for row in await self.left_mixin()
            if row["symbol"] == "POL" and f"mixin/{row['id']}" in mined
        ]
        return fine(2 * VAULT_COINS) - kept - sum(paid)

    async def mined(self) -> dict[str, str]:
        """Transactions of the withdrawals that a block holds, by side and id."""
        rows = (await self.worlds.chain.admin("GET", "/transfers"))["transfers"]
        return {row["key"]: row["tx_hash"] for row in rows if row["block"] is not None}

    async def left_mixin(self) -> list[dict[str, Any]]:
        """Mixin's withdrawals."""
        return list((await self.mixin.admin("GET", "/withdrawals"))["withdrawals"])

    async def _left_venue(self) -> list[dict[str, Any]]:
        return list((await self.worlds.venue.admin("GET", "/withdrawals"))["withdrawals"])

    async def _leaving(self) -> Holdings:
        """What left a side and no block holds."""
        mined, found = await self.mined(), Holdings()
        for row in await self.left_mixin():
            found[row["symbol"]] += 0 if f"mixin/{row['id']}" in mined else fine(row["amount"])
        for row in await self._left_venue():
            found[row["asset"]] += 0 if f"venue/{row['id']}" in mined else fine(row["sent"])
        return found

    async def arriving(self, given: Holdings | None = None) -> Holdings:
        """What lies at deposit addresses and is not credited."""
        found = Counter(given or await self._balances(await self.addresses()))
        assets = (await self.mixin.admin("GET", "/assets"))["assets"]
        symbols = {one["asset_id"]: one["symbol"] for one in assets}
        for row in (await self.mixin.admin("GET", "/deposits"))["deposits"]:
            if row["transaction_hash"].startswith("0x") and row["state"] == "confirmed":
                found[symbols[row["asset_id"]]] -= fine(row["amount"])
        trader = self.trader()
        try:
            for row in await trader.fetch_deposits():
                found[row["currency"]] -= fine(row["info"]["amount"])
        finally:
            await trader.close()
        return found

    async def is_quiet(self) -> bool:
        """Whether nothing is on its way and nothing waits to be completed."""
        pending = await self.mixin.admin("GET", "/withdrawals?state=pending")
        leaving = [row for row in await self._left_venue() if row["status"] != 6]
        return not (pending["withdrawals"] or leaving or any((await self.arriving()).values()))
