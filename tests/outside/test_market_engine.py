"""The account engine on the real wire: the sandbox venue in another process, PostgreSQL beneath."""

from __future__ import annotations

from poolmaker.infra.database import Database
from poolmaker.kernel.market import Side
from tests.outside.market_support import World, until, venue_process


def _resting(world_engine: object, side: Side) -> int:
    view = world_engine.live()  # type: ignore[attr-defined]
    if view is None or not view.pools:
        return 0
    return len({o.level for o in view.pools[0].orders if o.side is side and o.state == "OPEN"})


async def test_an_engine_quotes_three_levels_a_side_and_its_fills_reach_the_stream(
    database: Database,
) -> None:
    async with venue_process("--seed", "1", "--flow", "seeded") as venue:
        world = World(database, venue)
        await world.quote()
        async with world.running() as engine:
            await until(lambda: _resting(engine, Side.BUY) == 3, what="three bids")
            await until(lambda: _resting(engine, Side.SELL) == 3, what="three asks")
            await until(lambda: engine.live().fills_booked >= 3, 30, "three fills")
        facts = await world.facts()
        assert [seq for seq, _ in facts] == list(range(1, len(facts) + 1))
