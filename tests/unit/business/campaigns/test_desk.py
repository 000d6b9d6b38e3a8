"""What is seen outside, what we want of it, and what became of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from poolmaker.business.campaigns.model import (
    NO_POOL,
    Campaign,
    CampaignSettings,
    CampaignStatus,
    JoinPolicy,
    JoinState,
)
from poolmaker.kernel.errors import PreconditionError
from tests.support.business import ACCOUNT, POOL
from tests.support.rewards import CAMPAIGN, DAY_US, RewardWorld, campaign, reward_world

ACCOUNTS = {"mexc": ACCOUNT}


async def _wanted(world: RewardWorld) -> Sequence[str]:
    async with world.stores.transactions.begin("wanted") as tx:
        return await world.hufi_campaigns.wanted(tx)


async def _joined(world: RewardWorld, at_us: int = 7) -> None:
    async with world.stores.transactions.begin("joined") as tx:
        await world.campaigns.joined(tx, CAMPAIGN, at_us)


async def _refused(world: RewardWorld, text: str, *, final: bool) -> None:
    async with world.stores.transactions.begin("refused") as tx:
        await world.campaigns.refused(tx, CAMPAIGN, text, final=final)


async def _story(world: RewardWorld) -> tuple[Campaign, list[str]]:
    found = await world.campaigns.view(CAMPAIGN)
    assert found is not None
    view, lines = found
    return view.campaign, [line.event for line in lines]


async def test_a_campaign_of_a_pools_market_is_wanted_then_joined_then_over() -> None:
    """Invariant 4 of campaigns."""
    async with reward_world() as world:
        await world.open_pool()
        seen = campaign(world.clock)
        await world.offer(seen)
        assert await _wanted(world) == [CAMPAIGN]
        await _joined(world)
        await _joined(world, 8)
        await world.offer(seen)
        assert list(await _wanted(world)) == []
        found, events = await _story(world)
        assert (found.state, found.joined_at_us, found.pool) == (JoinState.JOINED, 7, POOL)
        await world.offer(replace(seen, status=CampaignStatus.ENDED))
        await _joined(world, 9)
        await _refused(world, "late", final=True)
        found, events = await _story(world)
        assert (found.state, found.joined_at_us) == (JoinState.ENDED, 7)
        assert events == ["seen", "matched", "wanted", "joined", "ended"]


async def test_a_campaign_of_nobodys_market_is_seen_and_matched_when_its_pool_is_opened() -> None:
    async with reward_world() as world:
        seen = campaign(world.clock)
        await world.offer(seen)
        found, _ = await _story(world)
        assert (found.state, found.pool) == (JoinState.SEEN, NO_POOL)
        with pytest.raises(PreconditionError):
            await world.campaigns.want(CAMPAIGN)
        assert await _wanted(world) == []
        await world.open_pool()
        assert await _wanted(world) == [CAMPAIGN]
        found, events = await _story(world)
        assert (found.state, found.pool) == (JoinState.WANTED, POOL)
        assert events == ["seen", "matched", "wanted"]


async def test_where_joining_is_not_wanted_a_person_may_want_it() -> None:
    settings = CampaignSettings(accounts=ACCOUNTS, join=False)
    async with reward_world(campaigns=settings) as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        assert list(await _wanted(world)) == []
        await world.campaigns.want(CAMPAIGN)
        await world.campaigns.want(CAMPAIGN)
        assert await _wanted(world) == [CAMPAIGN]


async def test_what_is_put_off_is_asked_again_and_one_answer_is_one_line() -> None:
    async with reward_world() as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        for _ in range(3):
            await _refused(world, "the exchange cannot be reached", final=False)
        found, _ = await _story(world)
        assert found.text == "the exchange cannot be reached"
        assert await _wanted(world) == [CAMPAIGN]
        await _joined(world)
        found, events = await _story(world)
        assert found.text == ""
        assert events == ["seen", "matched", "wanted", "put_off", "joined"]


@pytest.mark.parametrize("required", [False, True])
async def test_a_campaign_that_refuses_us_never_fails_an_order_p27(required: bool) -> None:
    """P27, invariant 3 of campaigns: optional is shown, required is told, orders are left alone."""
    pools = frozenset({POOL}) if required else frozenset()
    settings = CampaignSettings(accounts=ACCOUNTS, required=pools)
    async with reward_world(campaigns=settings) as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        alice = await world.user("alice", btc=100_000_000, usdt=50_000_000_000)
        order = await world.open(alice, 100_000_000, 50_000_000_000)
        await _refused(world, "Campaign has reached the maximum number", final=True)
        await _refused(world, "told again", final=True)
        await world.until_state(order, "in_mm")
        assert list(await _wanted(world)) == []
        (view,) = await world.campaigns.listed()
        assert view.campaign.state is JoinState.REFUSED
        assert view.campaign.text == "Campaign has reached the maximum number"
        assert view.policy is (JoinPolicy.REQUIRED if required else JoinPolicy.OPTIONAL)
        assert [one.subject for one in await world.campaigns.attention()] == (
            [CAMPAIGN] if required else []
        )
        await world.campaigns.want(CAMPAIGN)
        assert list(await world.campaigns.attention()) == []
        assert (await world.order(order)).state.value == "in_mm"


async def test_a_required_campaign_that_puts_us_off_is_told_until_it_is_joined_p27() -> None:
    """P27: a required join is never silently ignored, not even while it may still succeed."""
    settings = CampaignSettings(accounts=ACCOUNTS, required=frozenset({POOL}))
    async with reward_world(campaigns=settings) as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        assert list(await world.campaigns.attention()) == []
        async with world.stores.transactions.begin("refused") as tx:
            await world.hufi_campaigns.refused(tx, CAMPAIGN, "503", final=False)
        (item,) = await world.campaigns.attention()
        assert item.evidence["state"] == JoinState.WANTED
        await _joined(world)
        assert list(await world.campaigns.attention()) == []


async def test_a_trouble_ends_with_its_campaign() -> None:
    settings = CampaignSettings(accounts=ACCOUNTS, required=frozenset({POOL}))
    async with reward_world(campaigns=settings) as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        await _refused(world, "", final=True)
        (item,) = await world.campaigns.attention()
        assert item.evidence["answer"] == "no reason was given"
        world.clock.advance(3 * DAY_US)
        assert list(await world.campaigns.attention()) == []


async def test_who_runs_a_campaign_may_have_joined_us_after_a_refusal() -> None:
    async with reward_world() as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        await _refused(world, "no", final=True)
        await _joined(world)
        found, _ = await _story(world)
        assert (found.state, found.text) == (JoinState.JOINED, "")


async def test_what_is_over_is_not_wanted() -> None:
    async with reward_world() as world:
        await world.open_pool()
        seen = campaign(world.clock)
        await world.offer(replace(seen, status=CampaignStatus.ENDING))
        found, _ = await _story(world)
        assert found.state is JoinState.SEEN
        await world.offer(replace(seen, id="other"))
        assert await _wanted(world) == ["other"]
        world.clock.advance(3 * DAY_US)
        assert list(await _wanted(world)) == []


async def test_a_contradiction_is_one_line_of_the_story_and_changes_nothing() -> None:
    """Invariant 1 of campaigns."""
    async with reward_world() as world:
        await world.open_pool()
        seen = campaign(world.clock)
        for told in (seen, replace(seen, day_us=5), replace(seen, day_us=5), seen):
            await world.offer(told)
        found, events = await _story(world)
        assert found.seen == seen
        assert events.count("contradicted") == 1


async def test_people_see_the_running_day_and_how_many_there_are() -> None:
    async with reward_world() as world:
        seen = campaign(world.clock)
        await world.offer(seen)
        world.clock.advance(DAY_US)
        (view,) = await world.campaigns.listed()
        assert view.window is not None
        assert (view.window.day, view.days) == (1, 3)
        world.clock.advance(2 * DAY_US)
        (view,) = await world.campaigns.listed()
        assert view.window is None
        assert await world.campaigns.view("none") is None


async def test_a_campaign_that_was_never_seen_cannot_be_answered() -> None:
    async with reward_world() as world:
        with pytest.raises(PreconditionError):
            await _joined(world)
