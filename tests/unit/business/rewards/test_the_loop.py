"""A reward from the first sight to the users' wallets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolmaker.business.ledger.commands import AllocateReward
from poolmaker.business.ledger.model import Outcome
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.rewards.model import (
    DistributionSettings,
    RewardDecision,
    RewardDecisionKind,
    RewardDecisionRefusal,
    RewardTrouble,
)
from poolmaker.business.rewards.rules import digest_of
from poolmaker.business.rewards.service import RewardService
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import CommandKey, PoolId
from poolmaker.messages.base import decode
from tests.support.business import POOL
from tests.support.rewards import (
    AT_MIXIN,
    CAMPAIGN,
    DAY_US,
    HMT_MIXIN,
    LOCATION,
    SETTINGS,
    STEP,
    RewardWorld,
    campaign,
    name_of,
    payment,
    reward_world,
)
from tests.support.rewards_lives import UNALLOCATED, brute_weights, one_day, pass_day

UNITS = 100 * 10**18 + 12_345


async def _state_names(world: RewardWorld, name: str) -> list[str]:
    view = await world.rewards.view(name)
    assert view is not None
    states = [line.state.value for line in view.timeline]
    return [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state]


async def test_a_reward_walks_the_states_of_the_drawing_and_everybody_gets_his_part() -> None:
    async with reward_world() as world:
        day = await one_day(world)
        seen = payment(UNITS, day.from_us, day.to_us)
        await world.observe(replace(seen, is_final=False))
        name = await world.confirm(seen)
        reward = await world.until_reward(name, "done")
        assert await _state_names(world, name) == [
            "observed",
            "confirmed",
            "transferring",
            "transferred",
            "allocating",
            "allocated",
            "credited",
            "done",
        ]
        stored = await world.rewards.explain(name)
        assert stored is not None
        expected = await brute_weights(world, day.from_us, day.to_us)
        assert {part.order: part.weight for part in stored.allocation.parts} == expected
        assert len(expected) == 3
        # Invariant 3 of rewards, in the books themselves.
        assert reward.dust_units == UNITS % STEP == 12_345
        assert reward.fee_units == 5 * 10**18
        assert reward.users_units == reward.credited_units == 95 * 10**18
        assert await world.hmt(UNALLOCATED) == 0
        assert await world.hmt(f"rewards:{CAMPAIGN}:allocated") == 0
        assert await world.hmt("platform:fees") == 5 * 10**18
        assert await world.hmt("platform:dust") == 12_345
        assert await world.hmt(AT_MIXIN) == 100 * 10**18
        assert await world.hmt(LOCATION) == 12_345
        for user in (day.alice, day.bob, day.carol):
            parts = [part for part in stored.allocation.parts if part.user == user]
            assert await world.hmt(f"user:{user}:available") == sum(part.units for part in parts)
        assert world.parked == []
        assert world.books_balance()


async def test_found_42_who_left_before_we_took_part_gets_nothing_of_the_day() -> None:
    """The campaign counts our trades from when it was joined: another's capital did the volume."""
    async with reward_world() as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        from_us = world.clock.now_us()
        alice = await world.user("alice", btc=100_000_000, usdt=50_000_000_000)
        alices = await world.open(alice, 100_000_000, 50_000_000_000)
        await world.until_state(alices, "in_mm")
        world.clock.advance(DAY_US // 4)
        await world.withdraw(alice, alices)
        await world.until_state(alices, "closed")
        bob = await world.user("bob", btc=100_000_000, usdt=50_000_000_000)
        bobs = await world.open(bob, 100_000_000, 50_000_000_000)
        await world.until_state(bobs, "in_mm")
        noon_us = world.clock.now_us()
        async with world.stores.transactions.begin("joined") as tx:
            await world.campaigns.joined(tx, CAMPAIGN, noon_us)
        await pass_day(world)
        name = await world.confirm(payment(100 * 10**18, from_us, from_us + DAY_US))
        await world.until_reward(name, "done")
        stored = await world.rewards.explain(name)
        assert stored is not None
        assert [(part.user, part.units) for part in stored.allocation.parts] == [(bob, 95 * 10**18)]
        assert (stored.allocation.from_us, stored.allocation.to_us) == (noon_us, from_us + DAY_US)


async def test_the_digest_in_the_ledger_is_that_of_the_stored_allocation() -> None:
    """Invariant 5 of rewards."""
    async with reward_world() as world:
        day = await one_day(world)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "done")
        stored = await world.rewards.explain(name)
        async with world.stores.transactions.begin("look") as tx:
            posted = await world.ledger.transaction(tx, CommandKey(f"{name}:allocate:0"))
        assert stored is not None
        assert posted is not None
        command = decode(posted.body, AllocateReward)
        assert command.digest == stored.digest == digest_of(stored.allocation)
        assert command.users.units == stored.allocation.users_units


async def test_who_closed_his_order_before_the_reward_came_is_paid_to_his_wallet() -> None:
    """Invariant 4 of rewards: CLOSED keeps its claim, and what comes later reaches its user."""
    async with reward_world() as world:
        day = await one_day(world)
        assert (await world.order(day.bobs)).state.value == "closed"
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "done")
        available = await world.hmt(f"user:{day.bob}:available")
        assert available > 0
        key = f"{name}:payout-{day.bob}:0"
        assert world.payouts.requested == {key: (day.bob, "HMT", available)}


async def test_less_than_the_minimum_or_what_waits_already_is_not_paid_out() -> None:
    settings = DistributionSettings(
        forms={HMT_MIXIN.name: HMT_MIXIN}, payout_min={"HMT": 1_000 * 10**18}
    )
    async with reward_world(settings=settings) as world:
        day = await one_day(world)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "done")
        assert world.payouts.requested == {}
    async with reward_world() as world:
        day = await one_day(world)
        world.payouts.on_the_way[day.bob] = 10**30
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "done")
        assert world.payouts.requested == {}


async def test_a_reward_is_not_shared_before_the_ledger_has_passed_its_period() -> None:
    """Invariant 4 of rewards: a share that is minted late in the period still counts."""
    async with reward_world() as world:
        day = await one_day(world)
        ends_us = world.clock.now_us() + 600 * SECOND_US
        name = await world.confirm(payment(UNITS, day.from_us, ends_us))
        await world.until_reward(name, "transferred")
        dave = await world.user("dave", btc=10_000_000, usdt=5_000_000_000)
        davids = await world.open(dave, 10_000_000, 5_000_000_000)
        await world.until_state(davids, "in_mm")
        assert world.clock.now_us() < ends_us
        assert (await world.reward(name)).state.value == "transferred"
        world.clock.advance(600 * SECOND_US)
        await world.user("eve", usdt=1)  # The ledger's time moves only with its log.
        await world.until_reward(name, "done")
        stored = await world.rewards.explain(name)
        assert stored is not None
        assert davids in {part.order for part in stored.allocation.parts}


async def test_a_reward_without_any_weight_stays_and_is_told_and_tried_again() -> None:
    """Invariant 6 of rewards."""
    async with reward_world() as world:
        await world.open_pool()
        await world.offer(campaign(world.clock))
        start_us = world.clock.now_us()
        await pass_day(world)
        name = await world.confirm(payment(UNITS, start_us, start_us + DAY_US))
        await world.until_reward(name, "transferred")
        await world.rest(600 * SECOND_US)
        assert (await world.reward(name)).state.value == "transferred"
        assert await world.hmt(UNALLOCATED) == 100 * 10**18
        (incident,) = await world.rewards.attention()
        assert (incident.subject, incident.kind) == (name, RewardTrouble.NO_WEIGHT)
        view = await world.rewards.view(name)
        assert view is not None
        assert [line.event for line in view.timeline].count("not_allocated") == 1
        assert world.parked == []


async def test_a_reward_of_a_campaign_without_a_pool_waits_until_there_is_one() -> None:
    async with reward_world() as world:
        day = await one_day(world, offered=False)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "transferred")
        await world.rest(60 * SECOND_US)
        (incident,) = await world.rewards.attention()
        assert incident.kind == RewardTrouble.NO_POOL
        await world.offer(campaign(world.clock))
        await world.until_reward(name, "done")
        assert list(await world.rewards.attention()) == []


async def test_a_second_payment_of_the_same_day_is_a_reward_of_its_own_p36() -> None:
    """P36: a payout that changed after its distribution is an entry of its own."""
    async with reward_world() as world:
        day = await one_day(world)
        first = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(first, "done")
        before = await world.rewards.explain(first)
        second = await world.confirm(payment(7 * STEP, day.from_us, day.to_us, key="p2"))
        await world.until_reward(second, "done")
        assert first != second
        assert await world.rewards.explain(first) == before
        (totals,) = await world.rewards.totals()
        assert totals.received == UNITS + 7 * STEP
        assert totals.received == totals.dust + totals.fee + totals.users
        assert totals.credited == totals.users


async def test_told_again_it_is_the_same_reward_and_told_otherwise_an_incident() -> None:
    """Invariant 1 of rewards."""
    async with reward_world() as world:
        day = await one_day(world)
        seen = payment(UNITS, day.from_us, day.to_us)
        name = await world.confirm(seen)
        await world.confirm(seen)
        await world.until_reward(name, "done")
        await world.confirm(seen)
        assert list(await world.rewards.attention()) == []
        await world.confirm(replace(seen, units=UNITS + 1))
        await world.confirm(replace(seen, units=UNITS + 2))
        (incident,) = await world.rewards.attention()
        assert incident.kind == RewardTrouble.CONTRADICTED
        assert str(UNITS + 1) in incident.evidence["note"]
        assert (await world.reward(name)).seen == seen
        (totals,) = await world.rewards.totals()
        assert totals.received == UNITS


async def test_what_is_not_final_is_shown_and_may_vanish_and_is_never_booked() -> None:
    """Invariant 2 of rewards."""
    async with reward_world() as world:
        day = await one_day(world)
        final = payment(UNITS, day.from_us, day.to_us)
        seen = replace(final, is_final=False, units=5)
        name = await world.observe(seen)
        async with world.stores.transactions.begin("gone") as tx:
            await world.rewards.vanished(tx, seen.key)
            await world.rewards.vanished(tx, "never seen")
        await world.rest(60 * SECOND_US)
        assert (await world.reward(name)).state.value == "vanished"
        assert await world.rewards.totals() == ()
        assert await world.hmt(LOCATION) == 0
        await world.observe(seen)
        assert (await world.reward(name)).state.value == "observed"
        with pytest.raises(PreconditionError):
            await world.confirm(seen)
        await world.confirm(final)
        await world.observe(seen)
        async with world.stores.transactions.begin("gone") as tx:
            await world.rewards.vanished(tx, seen.key)
        reward = await world.until_reward(name, "done")
        assert reward.seen == final


class _Unanswering:
    """A ledger that has not answered credits yet, as far as anybody can read."""

    def __init__(self, ledger: LedgerClient) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        return None if ":credit-" in key else await self._ledger.outcome(tx, key)


async def test_nobody_is_called_credited_or_paid_before_the_ledger_says_so() -> None:
    async with reward_world() as world:
        day = await one_day(world)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        silent: Any = _Unanswering(world.ledger)
        slow = RewardService(replace(world.reward_ports, ledger=silent), world.clock, SETTINGS)
        calm = dict(world.handlers)
        world.handlers.update(slow.handlers())
        await world.until_reward(name, "allocated")
        await world.rest(60 * SECOND_US)
        reward = await world.reward(name)
        assert (reward.state.value, reward.credited, reward.credited_units) == ("allocated", 0, 0)
        assert world.payouts.requested == {}
        world.handlers.update(calm)
        assert (await world.until_reward(name, "done")).credited == 3


async def test_a_transfer_that_is_refused_is_asked_again_under_a_key_of_its_own() -> None:
    async with reward_world() as world:
        day = await one_day(world)
        world.transfer_book.refusals = 2
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "done")
        assert list(world.transfer_book.wishes) == [f"{name}:transfer:{at}" for at in range(3)]
        view = await world.rewards.view(name)
        assert view is not None
        (incident,) = view.incidents
        assert incident.trouble is RewardTrouble.TRANSFER_REFUSED
        assert incident.closed_us > 0
        assert await world.hmt(AT_MIXIN) == 100 * 10**18


async def test_a_reward_that_is_no_payable_amount_is_dust_as_a_whole() -> None:
    async with reward_world() as world:
        day = await one_day(world)
        name = await world.confirm(payment(STEP - 1, day.from_us, day.to_us))
        reward = await world.until_reward(name, "done")
        assert (reward.dust_units, reward.users_units) == (STEP - 1, 0)
        assert await world.hmt("platform:dust") == STEP - 1
        assert await world.rewards.explain(name) is None


async def test_a_reward_that_stands_at_mixin_already_needs_no_transfer() -> None:
    async with reward_world() as world:
        day = await one_day(world)
        seen = payment(10 * STEP, day.from_us, day.to_us, location=AT_MIXIN)
        name = await world.confirm(seen)
        await world.until_reward(name, "done")
        assert world.transfer_book.wishes == {}
        assert await world.hmt(AT_MIXIN) == 10 * STEP


async def test_a_form_that_nobody_configured_parks_the_saga_after_the_reward_is_booked() -> None:
    async with reward_world(settings=DistributionSettings()) as world:
        day = await one_day(world)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.rest(10 * SECOND_US)
        assert await world.hmt(UNALLOCATED) == UNITS
        assert len(world.parked) == 1
        assert "hmt-polygon" in world.parked[0]
        assert (await world.reward(name)).state.value == "confirmed"


async def test_every_part_names_an_order_and_its_user_p37() -> None:
    """P37: no reward is credited to a campaign as if it were an order."""
    async with reward_world() as world:
        day = await one_day(world)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "done")
        parts = await world.rewards.parts_of(day.alice)
        assert {part.order for part in parts} == {day.alices}
        assert all(part.credited for part in parts)
        async with world.stores.transactions.begin("look") as tx:
            log = await world.ledger.read(tx, 0, 1_000)
        legs = [leg for one in log if one.kind == "CREDIT_REWARD" for leg in one.legs]
        credited = {leg.account for leg in legs if leg.units < 0}
        assert credited == {f"user:{user}:available" for user in (day.alice, day.bob, day.carol)}


async def test_the_share_history_says_what_the_judge_needs() -> None:
    async with reward_world() as world:
        day = await one_day(world)
        window = await world.rewards.share_history(POOL, day.from_us, day.to_us)
        assert window.is_complete
        assert {change.order for change in window.changes} == {day.alices, day.bobs, day.carols}
        with pytest.raises(PreconditionError):
            await world.rewards.share_history(POOL, 5, 5)
        later = await world.rewards.share_history(POOL, day.to_us, day.to_us + 1)
        assert set(later.opening) == {day.alices, day.carols}


async def test_rewards_are_listed_newest_period_first_by_campaign_or_all() -> None:
    async with reward_world() as world:
        for at, name in enumerate(("b", "a", "c")):
            await world.observe(payment(5, at, at + 1, key=name))
        await world.observe(payment(5, 9, 10, key="d", campaign="other"))
        every = await world.rewards.listed()
        assert [view.reward.seen.from_us for view in every] == [9, 2, 1, 0]
        mine = await world.rewards.listed(CAMPAIGN, 2)
        assert [view.reward.id for view in mine] == [
            name_of(payment(5, 2, 3, key="c")),
            name_of(payment(5, 1, 2, key="a")),
        ]
        assert await world.rewards.view("rw_none") is None


async def _unowned(world: RewardWorld) -> str:
    """A reward of a day on which nobody held shares, waiting for a person."""
    day = await one_day(world)
    name = await world.confirm(payment(UNITS, day.from_us - DAY_US, day.from_us - DAY_US // 2))
    await world.until_reward(name, "transferred")
    await world.rest(60 * SECOND_US)
    return name


def _decision(name: str, pool: str = "") -> RewardDecision:
    kind = RewardDecisionKind.ASSIGN if pool else RewardDecisionKind.KEEP
    return RewardDecision(
        reward=name, kind=kind, pool=PoolId(pool), by="olga", reason="nobody was there", at_us=1
    )


async def _waits_since_us(world: RewardWorld, name: str) -> int:
    found = await world.rewards.waits_since_us(name)
    assert isinstance(found, int)
    return found


async def test_found_39_a_reward_without_weight_is_kept_by_a_persons_word_exactly_once() -> None:
    async with reward_world() as world:
        name = await _unowned(world)
        equity = await world.balance("platform:equity", "HMT")
        before = await world.hmt(UNALLOCATED)
        unknown = await world.rewards.decide(_decision("rw_none"), 1)
        assert unknown is RewardDecisionRefusal.UNKNOWN
        since_us = await _waits_since_us(world, name)
        for wrong_us in (0, since_us - 1, since_us + 1):
            refused = await world.rewards.decide(_decision(name), wrong_us)
            assert refused is RewardDecisionRefusal.NOT_WAITING, "that was about another wait"
        assert await world.rewards.decide(_decision(name), since_us) is None
        again = await world.rewards.decide(_decision(name), since_us)
        assert again is RewardDecisionRefusal.NOT_WAITING
        await world.until_reward(name, "done")
        row = await world.reward(name)
        kept = UNITS - row.dust_units
        assert (row.fee_units, row.users_units) == (kept, 0)
        assert await world.balance("platform:equity", "HMT") == equity + kept
        assert await world.hmt(UNALLOCATED) == before - kept
        assert list(await world.rewards.attention()) == []
        again = await world.rewards.decide(_decision(name), since_us)
        assert again is RewardDecisionRefusal.NOT_WAITING
        assert await world.rewards.waits_since_us(name) is RewardDecisionRefusal.NOT_WAITING
        assert world.parked == []


async def test_found_39_a_reward_assigned_to_a_pool_is_shared_by_its_weights() -> None:
    async with reward_world() as world:
        day = await one_day(world, offered=False)
        name = await world.confirm(payment(UNITS, day.from_us, day.to_us))
        await world.until_reward(name, "transferred")
        await world.rest(60 * SECOND_US)
        (item,) = await world.rewards.attention()
        assert item.kind == RewardTrouble.NO_POOL
        since_us = await _waits_since_us(world, name)
        assert await world.rewards.decide(_decision(name, POOL), since_us) is None
        await world.until_reward(name, "done")
        stored = await world.rewards.explain(name)
        assert stored is not None
        assert stored.allocation.users_units > 0
        assert list(await world.rewards.attention()) == []
