"""A venue and a Mixin with a relay between them, and what both hold together."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.rng import Rng
from poolmaker.mixin.codec.amounts import to_units
from poolmaker.sandbox.relay.model import RelayNotice, RelaySide, WithdrawalId
from poolmaker.sandbox.relay.ports import RelayChain, RelayWorld
from poolmaker.sandbox.relay.rules import transfer_id
from poolmaker.sandbox.relay.service import Relay
from poolmaker.sandbox.relay.worlds import MixinWorld, VenueWorld
from tests.support.mixin import ADDRESS, POLYGON, USDT, LocalMixin, local_mixin
from tests.support.venue import LocalVenue, local_venue

RECEIVER = 3
"""The venue account that receives."""


@dataclass
class TwoWorlds:
    """Both worlds, in the test's own event loop."""

    venue: LocalVenue
    mixin: LocalMixin
    told: list[RelayNotice] = field(default_factory=list)

    def sides(self) -> tuple[VenueWorld, MixinWorld]:
        """Both as the relay reaches them."""
        session = self.venue.session
        return (
            VenueWorld(session, self.venue.addresses.admin),
            MixinWorld(session, self.mixin.addresses.admin),
        )

    def relay(
        self, worlds: tuple[RelayWorld, RelayWorld] | None = None, clock: Clock | None = None,
        mean_us: int = 0, chain: RelayChain | None = None,
    ) -> Relay:  # fmt: skip
        """A relay that remembers nothing; it carries at once unless told otherwise."""
        return Relay(
            worlds or self.sides(), clock or SystemClock(), Rng(1), mean_us, self.told.append, chain
        )

    async def venue_address(self, coin: str = "USDT", network: str = "MATIC") -> str:
        """The receiver's deposit address."""
        _, given, _ = await self.venue.signed(
            "GET", "/sapi/v1/capital/deposit/address", RECEIVER, coin=coin, network=network
        )
        return str(given["address"])

    async def mixin_address(self) -> str:
        """The bot's deposit address on Polygon."""
        body = {"members": [self.mixin.bot["app_id"]], "threshold": 1, "chain_id": POLYGON}
        (entry,) = await self.mixin.call("POST", "/safe/deposit/entries", body)
        return str(entry["destination"])

    async def leave_mixin(
        self, address: str, amount: str = "7.00000001", asset: str = USDT
    ) -> dict[str, Any]:
        """A Mixin user withdraws; the withdrawal as the admin port shows it."""
        order = {"user": "1", "asset": asset, "amount": amount, "destination": address}
        assert "error" not in await self.mixin.admin("POST", "/withdraw", order)
        return (await self.mixin_withdrawals())[-1]

    async def leave_venue(self, address: str = ADDRESS, amount: str = "20.00000003") -> str:
        """The first account withdraws; the venue's id of it."""
        _, body, _ = await self.venue.signed(
            "POST", "/sapi/v1/capital/withdraw/apply", coin="USDT", network="MATIC",
            address=address, amount=amount,
        )  # fmt: skip
        return str(body["id"])

    async def mixin_withdrawals(self) -> list[dict[str, Any]]:
        """What left Mixin."""
        found = await self.mixin.admin("GET", "/withdrawals")
        return list(found["withdrawals"])

    async def venue_withdrawals(self) -> list[dict[str, Any]]:
        """What left the venue."""
        return list((await self.venue.admin("GET", "/withdrawals"))["withdrawals"])

    async def venue_deposits(self) -> list[dict[str, Any]]:
        """The receiver's deposits as its own key sees them."""
        path = "/sapi/v1/capital/deposit/hisrec"
        return list((await self.venue.signed("GET", path, RECEIVER))[1])

    async def in_flight(self) -> Counter[str]:
        """Units per coin that have left one side and have not come to the other."""
        came = {one["txId"] for one in await self.venue_deposits()}
        came |= {one["tx_id"] for one in self._mixin_deposits()}
        found: Counter[str] = Counter()
        for row in await self.mixin_withdrawals():
            if transfer_id(RelaySide.MIXIN, WithdrawalId(row["id"])) not in came:
                found[row["symbol"]] += to_units(row["amount"])
        for row in await self.venue_withdrawals():
            if transfer_id(RelaySide.VENUE, WithdrawalId(row["id"])) not in came:
                found[row["asset"]] += to_units(row["sent"])
        return +found

    def _mixin_deposits(self) -> list[dict[str, str]]:
        deposits = self.mixin.server.house.world.books.deposits.values()
        return [{"tx_id": one.tx_id} for one in deposits]

    async def everything(self) -> Counter[str]:
        """Units per coin: both worlds' balances, the fees and what is in flight."""
        total = await self.in_flight()
        for account in (await self.venue.admin("GET", "/accounts"))["accounts"]:
            for coin, held in account["balances"].items():
                total[coin] += to_units(held["total"])
        for row in await self.venue_withdrawals():
            total[row["asset"]] += to_units(row["fee"])
        audits = [await one.admin("GET", "/invariants") for one in (self.venue, self.mixin)]
        assert [one["violations"] for one in audits] == [[], []]
        for coin, fee in audits[0]["fees"].items():
            total[coin] += to_units(fee)
        for asset in audits[1]["assets"].values():
            total[asset["symbol"]] += to_units(asset["held"])
        return +total


@contextlib.asynccontextmanager
async def two_worlds() -> AsyncIterator[TwoWorlds]:
    """A venue whose withdrawals wait for the outside world, and a Mixin."""
    async with local_venue(withdrawals_by_hand=True) as venue, local_mixin() as mixin:
        yield TwoWorlds(venue, mixin)
