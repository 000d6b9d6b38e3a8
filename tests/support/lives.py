"""Lives of users from beginning to end, told to any world; each answers where everything ended."""

from __future__ import annotations

from poolmaker.kernel.ids import OrderId, UserId
from poolmaker.kernel.market import Side
from tests.support.business import World


async def whole_life(world: World) -> dict[str, object]:
    """Join, profit, pause, resume, leave with a loss at risk, payouts whose answers are lost."""
    await world.open_pool()
    alice = await world.user("alice", btc=100_000_000, usdt=50_000_000_000)
    bob = await world.user("bob", btc=50_000_000, usdt=90_000_000_000)
    first = await world.open(alice, 100_000_000, 50_000_000_000)
    await world.until_state(first, "in_mm")
    second = await world.open(bob, 50_000_000, 25_000_000_000)
    await world.until_state(second, "in_mm")
    await world.engine.fill(Side.BUY, 10_000_000, 4_900_000_000)
    await world.engine.fill(Side.SELL, 10_000_000, 5_100_000_000)
    await world.pause(alice, first)
    await world.until_state(first, "pause")
    await world.resume(alice, first)
    await world.until_state(first, "in_mm")
    await world.engine.fill(Side.BUY, 5_000_000, 2_600_000_000)
    world.engine.at_risk.append((1_000_000, 500_000_000))
    world.provider.mood("USDT", "lost_after")
    await world.withdraw(bob, second)
    await world.until_state(second, "closed")
    return await summary(world, {"alice": (alice, first), "bob": (bob, second)})


async def never_in(world: World) -> dict[str, object]:
    """Refused, refunded, and out again before the pool took it."""
    world.provider.mood("USDT", "refuse")
    await world.open_pool()
    alice = await world.user("alice", btc=100_000_000, usdt=50_000_000_000)
    poor = await world.open(alice, 100_000_001, 0, key="too much")
    await world.until_state(poor, "closed")
    world.engine.price = None
    early = await world.open(alice, 1_000_000, 500_000_000, key="early")
    await world.rest(5_000_000)
    await world.withdraw(alice, early, key="back")
    await world.until_state(early, "closed")
    return await summary(world, {"poor": (alice, poor), "early": (alice, early)})


async def summary(world: World, who: dict[str, tuple[UserId, OrderId]]) -> dict[str, object]:
    """Where everything ended, without the ids that chance has made."""
    found: dict[str, object] = {
        "custody": await world.custody(),
        "capital": await world.capital(),
        "paid": {asset: world.provider.paid(asset) for asset in ("BTC", "USDT")},
    }
    for name, (user, order) in who.items():
        found[name] = (
            (await world.order(order)).state.value,
            await world.available(user),
            await world.locked(order),
            sorted((one.asset, one.units, one.state.value) for one in await world.payouts_of(user)),
        )
    return found
