"""Rewards beside the world of business: transfers, payouts and campaigns do what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from poolmaker.bus.guard import StreamGuard
from poolmaker.business.campaigns.model import CampaignSettings, CampaignStatus, ObservedCampaign
from poolmaker.business.campaigns.ports import CampaignStore
from poolmaker.business.campaigns.service import CampaignPorts, CampaignService
from poolmaker.business.ledger.commands import MoveIn, MoveOut
from poolmaker.business.ledger.model import Posted
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.rewards.model import DistributionSettings, ObservedReward, Reward, reward_id
from poolmaker.business.rewards.ports import RewardStore, ShareStore
from poolmaker.business.rewards.service import SHARES, RewardPorts, RewardService, ShareHistory
from poolmaker.business.treasury.model import (
    TransferArrived,
    TransferEnd,
    TransferRefused,
    TransferRequest,
)
from poolmaker.hufi import ports as hufi
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.ids import CommandKey, UserId, fact_key
from poolmaker.kernel.money import Asset, AssetOnNetwork
from poolmaker.lab.stores.rewards import ModelCampaignStore, ModelRewardStore, ModelShareStore
from tests.support.business import ACCOUNT, Stores, World, model_stores

HMT = Asset("HMT", 18)
HMT_MIXIN = AssetOnNetwork(HMT, "hmt-polygon", 8)
WALLET = "0x" + "a1" * 20
LOCATION = f"custody:evm:{WALLET}:hmt-polygon"
AT_MIXIN = "custody:mixin:hmt-polygon"
STEP = 10**10
"""Atomic HMT in the smallest amount that Mixin holds."""
CAMPAIGN = "hufi-1338-0xab"
DAY_US = 10_000_000_000


@dataclass
class TransferBook:
    """Transfers of the treasury: MOVE_OUT at once, MOVE_IN when it is asked for the end.

    ``refusals`` says how many of the next transfers are refused; ``slow`` that none ends.
    """

    ledger: LedgerClient
    refusals: int = 0
    slow: bool = False
    wishes: dict[str, TransferRequest] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    async def request_transfer(self, tx: Tx, wish: TransferRequest) -> str:
        known = wish.key in self.wishes
        if not known and self.refusals:
            self.refusals -= 1
            self.refused.add(wish.key)
        self.wishes[wish.key] = wish
        if wish.key not in self.refused:
            out = MoveOut(
                key=CommandKey(f"{wish.key}:out"),
                transfer=wish.key,
                location=wish.source,
                money=wish.money,
            )
            await self.ledger.ask(tx, out)
        return wish.key

    async def transfer_end(self, tx: Tx, transfer: str) -> TransferEnd | None:
        if transfer in self.refused:
            return TransferRefused("no gas")
        wish = self.wishes[transfer]
        out = await self.ledger.outcome(tx, CommandKey(f"{transfer}:out"))
        if self.slow or not isinstance(out, Posted):
            return None
        arrival = MoveIn(
            key=fact_key("arrived", transfer),
            transfer=transfer,
            location=wish.target,
            money=wish.money,
            reference=f"tx {transfer}",
        )
        await self.ledger.ask(tx, arrival)
        if await self.ledger.outcome(tx, arrival.key) is None:
            return None
        return TransferArrived(wish.money.units, f"tx {transfer}")


@dataclass
class PayoutBook:
    """Payouts that were requested, by key; ``on_the_way`` is what waits for its hold."""

    requested: dict[str, tuple[UserId, str, int]] = field(default_factory=dict)
    on_the_way: dict[UserId, int] = field(default_factory=dict)

    async def waiting(self, tx: Tx, user: UserId, asset: str) -> int:
        return self.on_the_way.get(user, 0)

    async def request(self, tx: Tx, user: UserId, asset: str, units: int, key: CommandKey) -> None:
        assert self.requested.setdefault(key, (user, asset, units)) == (user, asset, units)


@dataclass(frozen=True)
class RewardStores:
    """Where the rows of rewards live, beside those of ``Stores``."""

    rewards: RewardStore
    shares: ShareStore
    campaigns: CampaignStore


def model_reward_stores() -> RewardStores:
    return RewardStores(ModelRewardStore(), ModelShareStore(), ModelCampaignStore())


SETTINGS = DistributionSettings(
    forms={HMT_MIXIN.name: HMT_MIXIN}, fee_ppm=50_000, payout_min={"HMT": STEP}, batch=2
)


class RewardWorld(World):
    """The world of business with campaigns and rewards in it."""

    def __init__(
        self,
        stores: Stores,
        rewards: RewardStores,
        clock: ManualClock,
        *,
        settings: DistributionSettings = SETTINGS,
        campaigns: CampaignSettings | None = None,
        **others: Any,
    ) -> None:
        super().__init__(stores, clock, **others)
        self.reward_rows = rewards.rewards
        self.transfer_book = TransferBook(self.ledger)
        self.payouts = PayoutBook()
        self.campaigns = CampaignService(
            CampaignPorts(transactions=self.crashing, store=rewards.campaigns, pools=self.pools),
            clock,
            campaigns or CampaignSettings(accounts={"mexc": ACCOUNT}),
        )
        self.reward_ports = RewardPorts(
            transactions=self.crashing,
            store=rewards.rewards,
            shares=ShareHistory(
                self.crashing,
                rewards.shares,
                self.ledger,
                StreamGuard(SHARES, self.crashing, stores.bus, clock),
            ),
            ledger=self.ledger,
            sagas=stores.sagas,
            transfers=self.transfer_book,
            campaigns=self.campaigns,
            orders=stores.orders,
            payouts=self.payouts,
        )
        self.rewards = RewardService(self.reward_ports, clock, settings)
        # The desks as the room of HuFi sees them.
        self.hufi_campaigns: hufi.CampaignRegistry = self.campaigns
        self.hufi_rewards: hufi.RewardBooking = self.rewards
        self.handlers.update(self.rewards.handlers())

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.stores.writer.register_asset(HMT)
        return self

    async def turn(self) -> int:
        followed = await self._survive(self.rewards.follow) or 0
        return await super().turn() + followed

    # ------------------------------------------------------------------------------ shortcuts

    async def offer(self, seen: ObservedCampaign) -> None:
        async def tell() -> None:
            async with self.crashing.begin("campaign seen") as tx:
                await self.hufi_campaigns.seen(tx, seen)

        await self.insist(tell)

    async def confirm(self, seen: ObservedReward) -> str:
        async def tell() -> str:
            async with self.crashing.begin("reward confirmed") as tx:
                await self.hufi_rewards.confirmed(tx, seen)
                return name_of(seen)

        name: str = await self.insist(tell)
        return name

    async def observe(self, seen: ObservedReward) -> str:
        async with self.stores.transactions.begin("reward observed") as tx:
            await self.hufi_rewards.observed(tx, seen)
        return name_of(seen)

    async def reward(self, name: str) -> Reward:
        async with self.stores.transactions.begin("look") as tx:
            found = await self.reward_rows.reward(tx, name)
        assert found is not None
        return found

    async def until_reward(self, name: str, *states: str) -> Reward:
        async def there() -> bool:
            return (await self.reward(name)).state in states

        await self.until(there)
        return await self.reward(name)

    async def hmt(self, account: str) -> int:
        return await self.balance(account, "HMT")


def campaign(clock: ManualClock, name: str = CAMPAIGN, **changes: Any) -> ObservedCampaign:
    """A campaign for the market of the world's pool that begins now."""
    seen = ObservedCampaign(
        id=name,
        source="hufi",
        kind="MARKET_MAKING",
        venue="mexc",
        market="BTC/USDT",
        start_us=clock.now_us(),
        end_us=clock.now_us() + 3 * DAY_US,
        day_us=DAY_US,
        form="hmt-polygon",
        fund_units=10**20,
        target="10000",
        status=CampaignStatus.ACTIVE,
    )
    return replace(seen, **changes)


def payment(
    units: int, from_us: int, to_us: int, key: str = "p1", **changes: Any
) -> ObservedReward:
    """A final payment of the world's campaign."""
    seen = ObservedReward(
        key=f"1338:0xab:{key}:{WALLET}",
        campaign=CAMPAIGN,
        location=LOCATION,
        asset="HMT",
        units=units,
        from_us=from_us,
        to_us=to_us,
        transaction_id=f"0x{key}",
        is_final=True,
    )
    return replace(seen, **changes)


def name_of(seen: ObservedReward) -> str:
    return reward_id(seen.key)


@asynccontextmanager
async def reward_world(**settings: Any) -> AsyncIterator[RewardWorld]:
    """A world in memory."""
    clock = ManualClock()
    async with RewardWorld(model_stores(clock), model_reward_stores(), clock, **settings) as world:
        yield world
