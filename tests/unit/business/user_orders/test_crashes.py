"""Every commit of a whole life is crashed at, once before it and once after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from poolmaker.kernel.rng import Rng
from tests.support.business import World, model_world
from tests.support.lives import never_in, whole_life

Scenario = Callable[[World], Awaitable[dict[str, object]]]


async def _run(scenario: Scenario, crash_at: int, *, lost: bool) -> tuple[dict[str, object], World]:
    async with model_world() as world:
        world.crashing.crash_at, world.crashing.lost = crash_at, lost
        result = await scenario(world)
        assert world.parked == []
        assert world.books_balance()
        assert all(len(sent) == 1 for sent in world.provider.taken.values()), "paid twice"
    return result, world


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", [whole_life, never_in], ids=["whole_life", "never_in"])
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


async def test_thewhole_life_ends_as_arithmetic_says() -> None:
    result, world = await _run(whole_life, 0, lost=False)
    # The pool had 1.5 BTC and 75,000 USDT; it won 200 USDT; Alice left with two thirds and came
    # back; then it bought 0.05 BTC for 2,600 USDT. Bob has a third of what is there.
    assert result["paid"] == {"BTC": 51_666_666, "USDT": 24_200_000_000}
    assert result["capital"] == (103_333_334, 48_400_000_000)
    assert result["custody"] == (103_333_334, 48_400_000_000 + 65_000_000_000)
    assert world.books_balance()


@pytest.mark.parametrize("seed", range(8))
async def test_a_process_that_crashes_all_the_time_gets_there_all_the_same(
    seed: int,
) -> None:
    expected, _ = await _run(whole_life, 0, lost=False)
    async with model_world() as world:
        world.crashing.chance = Rng(seed)
        assert await whole_life(world) == expected
        assert world.parked == []
        assert all(len(sent) == 1 for sent in world.provider.taken.values()), "paid twice"
