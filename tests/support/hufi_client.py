"""HuFi's client with desks that write down what they are told, in the transaction that tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from poolmaker.bus.ports import NewEvent
from poolmaker.bus.service import open_bus
from poolmaker.business.campaigns.model import ObservedCampaign
from poolmaker.business.rewards.model import ObservedReward
from poolmaker.business.treasury.model import Arrival, Disposition
from poolmaker.evm.service import Evm
from poolmaker.hufi.model import AccountKeys
from poolmaker.hufi.service import Hufi, HufiPorts, open_hufi
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.settings.outside import HufiSettings
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.messages.base import Message
from tests.support.chain import ChainStage

STREAM = "test:desks"


class Told(Message, frozen=True, kw_only=True, tag="Told.v1"):
    """One call of a desk."""

    what: str
    about: str


@dataclass
class Desks:
    """The rooms of campaigns, rewards and treasury as HuFi's client sees them.

    What they are told is an event in the caller's transaction: undone with it, never merged.
    """

    wishes: list[str] = field(default_factory=list)
    disposition: Disposition = Disposition.SUSPENSE
    calls: int = 0

    async def _tell(self, tx: Tx, what: str, about: object) -> None:
        self.calls += 1
        told = Told(what=what, about=msgspec.json.encode(about).decode())
        event = NewEvent(key=f"call-{self.calls}", message=told, occurred_at_us=1)
        await open_bus().append(tx, STREAM, [event], 1)

    async def seen(self, tx: Tx, campaign: ObservedCampaign) -> None:
        await self._tell(tx, "seen", campaign)

    async def wanted(self, tx: Tx) -> Sequence[str]:
        return list(self.wishes)

    async def joined(self, tx: Tx, campaign: str, at_us: int) -> None:
        await self._tell(tx, "joined", [campaign, at_us])

    async def refused(self, tx: Tx, campaign: str, reason: str, *, final: bool) -> None:
        await self._tell(tx, "refused", [campaign, reason, final])

    async def confirmed(self, tx: Tx, reward: ObservedReward) -> None:
        await self._tell(tx, "confirmed", reward)

    async def observed(self, tx: Tx, reward: ObservedReward) -> None:
        await self._tell(tx, "observed", reward)

    async def arrived(self, tx: Tx, arrival: Arrival) -> Disposition:
        if self.disposition is not Disposition.WAITING:
            await self._tell(tx, "arrived", _plain(arrival))
        return self.disposition

    async def told(self, transactions: Transactions, what: str) -> list[Any]:
        """What was told and is durable."""
        async with transactions.begin("test") as tx:
            events = await open_bus().read(tx, STREAM, 0, 1_000)
        found = [msgspec.json.decode(one.body, type=Told) for one in events]
        return [msgspec.json.decode(one.about) for one in found if one.what == what]


def _plain(arrival: Arrival) -> dict[str, object]:
    names = ("location", "asset", "units", "reference", "sender", "transaction_id")
    return {name: getattr(arrival, name) for name in names}


class GoodKey:
    """A venue that has nothing against the key; the real question is asked in its own tests."""

    async def problem(self) -> str:
        return ""


@dataclass
class HufiStage:
    """A platform's HuFi client, opened anew as often as a test likes."""

    on: ChainStage
    ready: dict[str, Any]
    account: dict[str, str]
    desks: Desks = field(default_factory=Desks)
    health: HealthBoard = field(init=False)

    def __post_init__(self) -> None:
        self.health = HealthBoard(self.on.clock)

    def settings(self) -> HufiSettings:
        """The section of the configuration."""
        return HufiSettings(
            oracle_url=self.ready["oracle"],
            launcher_url=self.ready["launcher"],
            file_hosts=(self.ready["files"].partition("://")[2],),
            account="main",
            exchange="mexc",
            escrow_factory=self.on.chain.ready["contracts"]["escrow_factory"],
        )

    def keys(self) -> AccountKeys:
        """The account's pairs."""
        one = self.account
        return AccountKeys(one["ro_key"], one["ro_secret"], one["key"], one["secret"])

    async def open(self, transactions: Transactions | None = None) -> tuple[Evm, Hufi]:
        """The clients of a fresh process."""
        evm = await self.on.open(transactions=transactions)
        ports = HufiPorts(
            session=self.on.session,
            transactions=transactions or self.on.database,
            campaigns=self.desks,
            rewards=self.desks,
            arrivals=self.desks,
            clock=self.on.clock,
            health=self.health,
            key_check=GoodKey(),
        )
        hufi = await open_hufi(self.settings(), evm, 50_000, self.keys(), ports, is_sandbox=True)
        return evm, hufi

    async def told(self, what: str) -> list[Any]:
        """What the desks were told for good."""
        return await self.desks.told(self.on.database, what)
