"""A campaign day as users live it, and what everybody's weight in it is by counting."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.rng import Rng
from tests.support.rewards import CAMPAIGN, DAY_US, RewardWorld, campaign, payment

UNALLOCATED = f"rewards:{CAMPAIGN}:unallocated"


@dataclass(frozen=True)
class Day:
    from_us: int
    to_us: int
    alice: UserId
    bob: UserId
    carol: UserId
    alices: OrderId
    bobs: OrderId
    carols: OrderId


async def pass_day(world: RewardWorld) -> None:
    """Let a campaign's day pass in the ledger's own time, which moves only with its log."""
    world.clock.advance(DAY_US)
    await world.user("clock", usdt=1)
    await world.turn()


async def one_day(world: RewardWorld, *, offered: bool = True) -> Day:
    """Alice stays, Bob leaves, Carol comes late; then the day is over."""
    await world.open_pool()
    if offered:
        await world.offer(campaign(world.clock))
    from_us = world.clock.now_us()
    alice = await world.user("alice", btc=100_000_000, usdt=50_000_000_000)
    bob = await world.user("bob", btc=50_000_000, usdt=25_000_000_000)
    carol = await world.user("carol", btc=30_000_000, usdt=15_000_000_000)
    alices = await world.open(alice, 100_000_000, 50_000_000_000)
    await world.until_state(alices, "in_mm")
    bobs = await world.open(bob, 50_000_000, 25_000_000_000)
    await world.until_state(bobs, "in_mm")
    world.clock.advance(DAY_US // 10)
    await world.withdraw(bob, bobs)
    await world.until_state(bobs, "closed")
    carols = await world.open(carol, 30_000_000, 15_000_000_000)
    await world.until_state(carols, "in_mm")
    assert world.clock.now_us() < from_us + DAY_US
    await pass_day(world)
    return Day(from_us, from_us + DAY_US, alice, bob, carol, alices, bobs, carols)


async def brute_weights(world: RewardWorld, from_us: int, to_us: int) -> dict[OrderId, int]:
    """Weights as somebody computes them who has only the ledger's log."""
    async with world.stores.transactions.begin("look") as tx:
        log = await world.ledger.read(tx, 0, 10_000)
    found: dict[OrderId, int] = defaultdict(int)
    for one in log:
        for leg in one.legs:
            if leg.account.startswith("order:") and leg.account.endswith(":shares"):
                order = OrderId(leg.account.split(":")[1])
                found[order] -= leg.units * max(0, to_us - max(from_us, one.at_us))
    return {order: weight for order, weight in found.items() if weight}


async def rewarded_day(world: RewardWorld, chance: Rng | None = None) -> dict[str, object]:
    """A day and its reward, whose way is refused once; where everything ended.

    With ``chance`` the process crashes all the time from the day's end on.
    """
    day = await one_day(world)
    world.crashing.chance = chance
    world.transfer_book.refusals = 1
    name = await world.confirm(payment(100 * 10**18 + 12_345, day.from_us, day.to_us))
    await world.until_reward(name, "done")
    world.crashing.chance = None
    stored = await world.rewards.explain(name)
    assert stored is not None
    expected = await brute_weights(world, day.from_us, day.to_us)
    assert {part.order: part.weight for part in stored.allocation.parts} == expected
    reward = await world.reward(name)
    users = {"alice": day.alice, "bob": day.bob, "carol": day.carol}
    balances = {user: await world.hmt(f"user:{user}:available") for user in users.values()}
    assert sum(balances.values()) == reward.users_units == reward.credited_units
    paid = list(world.payouts.requested.values())
    assert paid == [(day.bob, "HMT", balances[day.bob])]
    return {
        "received": reward.seen.units,
        "dust": reward.dust_units,
        "fee": reward.fee_units,
        "users": reward.users_units,
        "unallocated": await world.hmt(UNALLOCATED),
        "allocated": await world.hmt(f"rewards:{CAMPAIGN}:allocated"),
        "fees": await world.hmt("platform:fees"),
        "at mixin": await world.hmt("custody:mixin:hmt-polygon"),
    }
