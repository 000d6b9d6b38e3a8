"""The throttle: no window holds more than allowed, cancels have a share, order is kept."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.clock import ManualClock
from poolmaker.market.execution.throttle import Limit, Throttle

SECOND_US = 1_000_000


async def test_cancels_have_a_share_that_creates_cannot_use() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, [Limit("orders", 10, SECOND_US, reserved_ppm=200_000)])
    for _ in range(8):
        await throttle.take({"orders": 1})
    assert throttle.wait_us({"orders": 1}, urgent=False) > 0
    assert throttle.wait_us({"orders": 1}, urgent=True) == 0
    await throttle.take({"orders": 1}, urgent=True)
    await throttle.take({"orders": 1}, urgent=True)
    assert throttle.wait_us({"orders": 1}, urgent=True) > 0


async def test_retry_after_holds_everything_back() -> None:
    """Exchange fault 20."""
    clock = ManualClock()
    throttle = Throttle(clock, [])
    throttle.stop_for(5 * SECOND_US)
    assert throttle.wait_us({}, urgent=True) == 5 * SECOND_US
    before = clock.monotonic_us()
    await throttle.take({"weight": 1}, urgent=True)
    assert clock.monotonic_us() - before == 5 * SECOND_US


async def test_the_venues_own_count_is_believed() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, [Limit("weight", 100, SECOND_US, reserved_ppm=0)])
    throttle.observe("weight", 99)
    assert throttle.wait_us({"weight": 1}, urgent=False) == 0
    assert throttle.wait_us({"weight": 2}, urgent=False) > 0


async def test_first_come_is_first_served() -> None:
    """Hummingbot fact 15: its throttler is not."""
    clock = ManualClock()
    throttle = Throttle(clock, [Limit("weight", 2, SECOND_US, reserved_ppm=0)])
    done: list[int] = []

    async def one(number: int, weight: int) -> None:
        await throttle.take({"weight": weight})
        done.append(number)

    await asyncio.gather(*(one(number, 1 + number % 2) for number in range(8)))
    assert done == list(range(8))


@given(
    st.lists(
        st.tuples(st.integers(0, 400_000), st.integers(1, 5), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    st.integers(5, 12),
)
def test_no_window_ever_holds_more_than_the_limit(
    asks: list[tuple[int, int, bool]], weight_max: int
) -> None:
    async def run() -> None:
        clock = ManualClock()
        throttle = Throttle(clock, [Limit("weight", weight_max, SECOND_US)])
        taken: list[tuple[int, int]] = []
        for pause_us, weight, urgent in asks:
            clock.advance(pause_us)
            await throttle.take({"weight": weight}, urgent=urgent)
            taken.append((clock.monotonic_us(), weight))
        for start_us, _ in taken:
            inside = [w for at, w in taken if start_us <= at < start_us + SECOND_US]
            assert sum(inside) <= weight_max

    asyncio.run(run())
