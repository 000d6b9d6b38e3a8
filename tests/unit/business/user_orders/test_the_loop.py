"""Orders through their whole life over model stores, with the real rooms and the real writer."""

from __future__ import annotations

from poolmaker.kernel.market import Side
from tests.support.business import BTC_OUT, model_world


async def test_two_join_one_pauses_and_resumes_one_leaves_with_his_part_of_the_profit() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", btc=100_000_000, usdt=50_000_000_000)
        bob = await world.user("bob", btc=100_000_000, usdt=50_000_000_000)
        first = await world.open(alice, 100_000_000, 50_000_000_000)
        await world.until_state(first, "in_mm")
        second = await world.open(bob, 100_000_000, 50_000_000_000)
        await world.until_state(second, "in_mm")
        # Bought a tenth for 49,000 and sold it for 51,000: 200 USDT of profit, 100 for each.
        await world.engine.fill(Side.BUY, 10_000_000, 4_900_000_000)
        await world.engine.fill(Side.SELL, 10_000_000, 5_100_000_000)
        await world.pause(alice, first)
        paused = await world.until_state(first, "pause")
        assert await world.locked(first) == (100_000_000, 50_100_000_000)
        assert paused.shares == 0
        await world.resume(alice, first)
        await world.until_state(first, "in_mm")
        await world.withdraw(bob, second)
        await world.until_state(second, "closed")
        payouts = await world.payouts_of(bob)
        assert {(one.asset, one.units, one.state.value) for one in payouts} == {
            ("BTC", 100_000_000, "done"),
            ("USDT", 50_100_000_000, "done"),
        }
        assert world.provider.paid("USDT") == 50_100_000_000
        assert await world.custody() == (100_000_000, 50_100_000_000)
        assert await world.capital() == (100_000_000, 50_100_000_000)
        assert await world.available(bob) == (0, 0)
        assert world.books_balance()
        assert world.parked == []
        assert BTC_OUT.address in {request.address for request in world.provider.requests}
