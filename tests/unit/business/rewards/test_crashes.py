"""Every commit of a rewarded day is crashed at, once before it and once after it."""

from __future__ import annotations

import pytest

from poolmaker.kernel.rng import Rng
from tests.support.rewards import RewardWorld, reward_world
from tests.support.rewards_lives import rewarded_day


async def _run(crash_at: int, *, lost: bool) -> tuple[dict[str, object], RewardWorld]:
    async with reward_world() as world:
        world.crashing.crash_at, world.crashing.lost = crash_at, lost
        result = await rewarded_day(world)
        assert world.parked == []
        assert world.books_balance()
    return result, world


async def test_a_rewarded_day_ends_as_arithmetic_says() -> None:
    result, world = await _run(0, lost=False)
    assert result == {
        "received": 100 * 10**18 + 12_345,
        "dust": 12_345,
        "fee": 5 * 10**18,
        "users": 95 * 10**18,
        "unallocated": 0,
        "allocated": 0,
        "fees": 5 * 10**18,
        "at mixin": 100 * 10**18,
    }
    assert world.crashes == []


def _of_rewards(world: RewardWorld) -> list[int]:
    """Numbers of the commits that rewards have made."""
    mine = ("reward", "shares", "campaign")
    return [at for at, label in enumerate(world.crashing.labels, 1) if label.startswith(mine)]


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_commit_moves_nothing_twice_and_loses_nothing(lost: bool) -> None:
    """Invariant 7 of rewards."""
    expected, calm = await _run(0, lost=lost)
    numbers = _of_rewards(calm)
    assert len(numbers) > 20
    crashes = []
    for crash_at in numbers:
        result, world = await _run(crash_at, lost=lost)
        crashes += world.crashes
        assert result == expected, (crash_at, world.crashes)
    assert len(crashes) > len(numbers) * 3 // 4


@pytest.mark.parametrize("seed", range(6))
async def test_a_process_that_crashes_all_the_time_gets_there_all_the_same(seed: int) -> None:
    expected, _ = await _run(0, lost=False)
    async with reward_world() as world:
        assert await rewarded_day(world, Rng(seed)) == expected
        assert world.parked == []
        assert len(world.crashes) > 5
