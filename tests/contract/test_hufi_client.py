"""HuFi's client against the sandbox's chain, venue and HuFi, with PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from poolmaker.business.treasury.model import Disposition, SendCompleted, SendRequest
from poolmaker.hufi.api import HufiHttp, LauncherApi
from poolmaker.hufi.model import AccountKeys
from poolmaker.hufi.verdicts import campaign_id, instant_us
from poolmaker.infra.database import Database
from poolmaker.kernel.clock import DAY_US, SECOND_US, ManualClock
from poolmaker.kernel.errors import PreconditionError
from tests.support.business import CrashError, CrashingTransactions
from tests.support.chain import on_stage
from tests.support.hufi import Participant, Worlds, running_worlds
from tests.support.hufi_client import HufiStage

pytestmark = pytest.mark.timeout(90)
DAY_S = 5
MARKET_MAKING = {
    "type": "MARKET_MAKING", "pair": "HMT/USDT", "daily_volume_target": 10, "day_s": DAY_S,
}  # fmt: skip


class World(HufiStage):
    """The platform's client, the worlds, and the platform's own hand at the venue."""

    worlds: Worlds
    hand: Participant

    async def launch(self, **more: Any) -> str:
        """Launch a campaign; its address."""
        made = await self.worlds.launch({**MARKET_MAKING, **more}, "20", days=20)
        return str(made["address"])

    async def trade(self) -> None:
        """Our account sells to somebody."""
        buyer = self.worlds.people[0].exchange
        await self.hand.exchange.create_order("HMT/USDT", "limit", "sell", 1_000, 0.0203)
        order = ("HMT/USDT", "limit", "buy", 1_000, 0.0203, {"timeInForce": "IOC"})
        await buyer.create_order(*order)

    async def until_paid(self, address: str) -> None:
        """Days go by until the first payout."""
        while (await self.worlds.campaign(address))["amount_paid"] == "0":
            await asyncio.sleep(0.3)
            await self.worlds.run()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with running_worlds(people=1) as worlds, on_stage(worlds.chain, database) as stage:
        made = World(stage, worlds.hufi.ready, worlds.venue.ready["accounts"][1])
        made.worlds, made.hand = worlds, Participant(2, worlds.hufi, worlds.venue)
        await made.hand.exchange.load_markets()
        await stage.mine(130)
        try:
            yield made
        finally:
            await made.hand.exchange.close()


async def test_campaigns_are_told_with_their_days_and_joined_once(world: World) -> None:
    """hufi invariants 5 and 6."""
    address = await world.launch()
    await world.worlds.launch(MARKET_MAKING, "20", days=20, token="HMT")
    _, hufi = await world.open()
    await hufi.look_at_campaigns()
    (seen,) = await world.told("seen")
    name = campaign_id(1338, address)
    assert (seen["id"], seen["day_us"], seen["fund_units"]) == (name, DAY_S * SECOND_US, 20_000_000)
    assert (seen["market"], seen["venue"], seen["target"]) == ("HMT/USDT", "mexc", "10")
    assert await world.told("joined") == []
    world.desks.wishes = [name, campaign_id(1338, "0x" + "ab" * 20)]
    for _ in range(3):
        _, hufi = await world.open()
        await hufi.look_at_campaigns()
    ((joined, at_us),) = await world.told("joined")
    assert joined == name
    assert abs(at_us - world.on.clock.now_us()) < 60 * SECOND_US
    assert await world.told("refused") == []
    there = await world.worlds.campaign(address)
    assert there["participants"] == [world.on.wallet.lower()]
    (key,) = await hufi.oracle.keys()
    assert key.api_key == world.account["ro_key"]
    launcher = LauncherApi(HufiHttp(world.on.session, world.ready["launcher"]), page=1)
    assert len(await launcher.campaigns(1338)) == 2
    hufi.oracle._size = 1
    assert [one.address for one in await hufi.oracle.joined()] == [address]
    (standing,) = await hufi.leaderboard(name)
    assert standing.address.lower() == world.on.wallet.lower()


async def test_a_join_that_crashes_anywhere_is_not_made_twice(world: World) -> None:
    name = campaign_id(1338, await world.launch())
    world.desks.wishes = [name]
    clock = world.on.clock = ManualClock(world.on.clock.now_us())
    for crash_at in range(1, 12):
        for lost in (False, True):
            clock.advance(DAY_US)
            crashing = CrashingTransactions(world.on.database)
            _, hufi = await world.open(crashing)
            crashing.commits, crashing.crash_at, crashing.lost = 0, crash_at, lost
            with contextlib.suppress(CrashError):
                await hufi.look_at_campaigns()
    _, hufi = await world.open()
    assert len(await world.told("joined")) == 1
    status = await hufi.oracle.join_status(1338, name.rpartition("-")[2])
    assert [[name, instant_us(status.joined_at)]] == await world.told("joined")


async def test_a_join_whose_answer_is_lost_is_found_by_asking(world: World) -> None:
    name = campaign_id(1338, await world.launch())
    world.desks.wishes = [name]
    fault = {"endpoint": "POST /campaigns/join", "effect": "reset", "when": "after", "count": 1}
    assert (await world.worlds.hufi.admin("POST", "/faults", fault))["status"] == 200
    _, hufi = await world.open()
    await hufi.look_at_campaigns()
    assert await world.told("joined") == []
    await hufi.look_at_campaigns()
    assert [row[0] for row in await world.told("joined")] == [name]


async def test_an_expired_token_is_renewed_by_one_login(world: World) -> None:
    _, hufi = await world.open()
    hufi.oracle._bearer = "stale"
    keys = await asyncio.gather(*(hufi.oracle.keys() for _ in range(5)))
    assert keys == [[]] * 5


async def test_the_key_that_trades_is_never_handed_over(world: World) -> None:
    """hufi invariant 5."""
    one = world.account
    same = AccountKeys(one["key"], one["secret"], one["key"], one["secret"])
    world.keys = lambda: same  # type: ignore[method-assign]
    with pytest.raises(PreconditionError, match="trades"):
        await world.open()


async def test_a_days_payout_is_received_once_through_a_reorganisation_and_crashes_and_sent_on(
    world: World,
) -> None:
    """hufi invariants 3 and 4; failures 3.4.3, 3.4.8 and W4."""
    address = await world.launch()
    world.desks.wishes = [campaign_id(1338, address)]
    evm, hufi = await world.open()
    await hufi.look_at_campaigns()
    await hufi.receiver.look()
    await world.trade()
    await world.until_paid(address)
    await hufi.receiver.look()
    (observed,) = await world.told("observed")
    assert not observed["is_final"]
    await world.worlds.chain.admin("POST", "/reorg", {"depth": 1})
    await hufi.receiver.look()
    assert list(evm.watcher.tail) == []
    assert await world.told("confirmed") == []
    await world.worlds.run("payout")
    await world.on.mine()

    for crash_at in range(1, 8):
        for lost in (False, True):
            crashing = CrashingTransactions(world.on.database)
            _, hufi = await world.open(crashing)
            crashing.commits, crashing.crash_at, crashing.lost = 0, crash_at, lost
            with contextlib.suppress(CrashError):
                await hufi.receiver.look()
    (reward,) = await world.told("confirmed")
    campaign = await world.worlds.campaign(address)
    start_us = instant_us(campaign["start_date"])
    assert reward["campaign"] == campaign_id(1338, address)
    assert reward["is_final"]
    assert reward["to_us"] - reward["from_us"] == DAY_S * SECOND_US
    assert (reward["from_us"] - start_us) % (DAY_S * SECOND_US) == 0
    received = await world.on.balance("USDT")
    assert reward["units"] == received * 100
    assert reward["location"] == world.on.location
    assert {one["key"] for one in await world.told("observed")} == {reward["key"]}
    assert await world.told("arrived") == []

    await world.on.give("ETH", "1")
    request = SendRequest(
        source=world.on.location, reference="a" * 32, asset="USDT", units=reward["units"],
        network="evm", address=world.on.mixin, tag="",
    )  # fmt: skip
    evm, _ = await world.open()
    await evm.payer.send(request)
    await world.on.mine()
    assert isinstance(await evm.payer.find(request, 0), SendCompleted)
    assert await world.on.balance("USDT", world.on.mixin) == received


async def test_a_competitive_payout_has_its_days_by_the_id_of_its_period(world: World) -> None:
    address = await world.launch(
        type="COMPETITIVE_MARKET_MAKING", minimum_volume_required=1, rewards_distribution=[60, 30]
    )
    world.desks.wishes = [campaign_id(1338, address)]
    _, hufi = await world.open()
    await hufi.look_at_campaigns()
    await hufi.receiver.look()
    await world.trade()
    await world.until_paid(address)
    await world.on.mine()
    await hufi.receiver.look()
    rewards = await world.told("confirmed")
    assert rewards
    assert {one["to_us"] - one["from_us"] for one in rewards} == {DAY_S * SECOND_US}


async def test_a_transfer_that_is_no_payout_goes_to_the_treasury_once(world: World) -> None:
    """hufi invariant 4; failures W1."""
    _, hufi = await world.open()
    await hufi.receiver.look()
    sent = await world.on.give("USDT", "4")
    await world.on.give("HMT", "4")
    await world.on.mine()
    world.desks.disposition = Disposition.WAITING
    await hufi.receiver.look()
    assert await world.told("arrived") == []
    world.desks.disposition = Disposition.SUSPENSE
    async with world.on.database.transaction() as connection:
        await connection.execute("UPDATE evm.transfer SET due_us = 0")
    for _ in range(2):
        _, hufi = await world.open()
        await hufi.receiver.look()
    (arrived,) = await world.told("arrived")
    assert (arrived["transaction_id"], arrived["units"]) == (sent, 400_000_000)
    assert arrived["location"] == world.on.location
    assert await world.told("confirmed") == []
