"""Every commit of a whole life is crashed at, once before it and once after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from poolmaker.kernel.market import Side
from tests.support.business import World, model_world

Scenario = Callable[[World], Awaitable[dict[str, object]]]


async def _whole_life(world: World) -> dict[str, object]:
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
    return await _summary(world, {"alice": (alice, first), "bob": (bob, second)})


async def _never_in(world: World) -> dict[str, object]:
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
    return await _summary(world, {"poor": (alice, poor), "early": (alice, early)})


async def _summary(world: World, who: dict[str, tuple[object, object]]) -> dict[str, object]:
    """Where everything ended, without the ids that chance has made."""
    found: dict[str, object] = {
        "custody": await world.custody(),
        "capital": await world.capital(),
        "paid": {asset: world.provider.paid(asset) for asset in ("BTC", "USDT")},
    }
    for name, (user, order) in who.items():
        found[name] = (
            (await world.order(order)).state.value,  # type: ignore[arg-type]
            await world.available(user),  # type: ignore[arg-type]
            await world.locked(order),  # type: ignore[arg-type]
            sorted((one.asset, one.units, one.state.value) for one in await world.payouts_of(user)),  # type: ignore[arg-type]
        )
    return found


async def _run(scenario: Scenario, crash_at: int, *, lost: bool) -> tuple[dict[str, object], World]:
    async with model_world() as world:
        world.crashing.crash_at, world.crashing.lost = crash_at, lost
        result = await scenario(world)
        assert world.parked == []
        assert world.books_balance()
        assert all(len(sent) == 1 for sent in world.provider.taken.values()), "paid twice"
    return result, world


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", [_whole_life, _never_in], ids=["whole_life", "never_in"])
async def test_a_crash_at_any_commit_ends_in_the_same_state(scenario: Scenario, lost: bool) -> None:
    expected, calm = await _run(scenario, 0, lost=lost)
    assert calm.crashes == []
    crashes = []
    for crash_at in range(1, calm.crashing.commits + 1):
        result, world = await _run(scenario, crash_at, lost=lost)
        crashes += world.crashes
        assert result == expected, (crash_at, world.crashes)
    # How many commits there are depends a little on how events fall together.
    assert len(crashes) > calm.crashing.commits * 3 // 4


async def test_the_whole_life_ends_as_arithmetic_says() -> None:
    result, world = await _run(_whole_life, 0, lost=False)
    # The pool had 1.5 BTC and 75,000 USDT; it won 200 USDT; Alice left with two thirds and came
    # back; then it bought 0.05 BTC for 2,600 USDT. Bob has a third of what is there.
    assert result["paid"] == {"BTC": 51_666_666, "USDT": 24_200_000_000}
    assert result["capital"] == (103_333_334, 48_400_000_000)
    assert result["custody"] == (103_333_334, 48_400_000_000 + 65_000_000_000)
    assert world.books_balance()
