"""Bus invariant 5: what cannot be applied stops its own stream, and a person lets it go on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.bus.guard import LOOK_AGAIN_US, StreamGuard
from poolmaker.bus.model import DeadLetter
from poolmaker.bus.ports import CursorMoved, NewEvent
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import InvariantBroken, Unavailable
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.bus import ModelBus
from poolmaker.messages.base import Money

ME = "me"
STREAMS = ("a", "b", "c")
ERRORS = (ValueError, KeyError, InvariantBroken, ZeroDivisionError, RecursionError)


@dataclass
class Loops:
    """Three loops of one consumer; what is poison raises, what is away does so for a time."""

    poison: dict[tuple[str, int], int]
    away: dict[tuple[str, int], int] = field(default_factory=dict)
    bus: ModelBus = field(default_factory=ModelBus)
    database: ModelDatabase = field(default_factory=ModelDatabase)
    clock: ManualClock = field(default_factory=lambda: ManualClock(1))
    applied: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in STREAMS})

    def __post_init__(self) -> None:
        self.guard = StreamGuard(ME, self.database, self.bus, self.clock)

    async def fill(self, lengths: list[int]) -> None:
        async with self.database.begin("fill") as tx:
            for stream, length in zip(STREAMS, lengths, strict=True):
                events = [
                    NewEvent(key=str(n), message=Money(asset="X", units=n), occurred_at_us=n)
                    for n in range(length)
                ]
                await self.bus.append(tx, stream, events, 1)

    async def turn(self, stream: str, batch: int) -> int:
        async def once(limit: int) -> int:
            async with self.database.begin("apply") as tx:
                at = await self.bus.cursor(tx, ME, stream)
                events = await self.bus.read(tx, stream, at, limit)
                for event in events:
                    self._meet(stream, event.seq)
                if events:
                    await self.bus.move_cursor(tx, ME, stream, at, events[-1].seq)
            self.applied[stream] += [event.seq for event in events]
            return len(events)

        try:
            return await self.guard.apply(stream, batch, once)
        except Unavailable:
            return 1

    def _meet(self, stream: str, seq: int) -> None:
        place = stream, seq
        if self.away.get(place, 0):
            self.away[place] -= 1
            raise Unavailable("away")
        if place in self.poison:
            raise ERRORS[self.poison[place]](f"cannot apply {place}")

    async def settle(self, batch: int) -> None:
        """Until nothing more is done; stopped streams are looked at again."""
        self.clock.advance(LOOK_AGAIN_US)
        while sum([await self.turn(stream, batch) for stream in STREAMS]):
            self.clock.advance(LOOK_AGAIN_US)

    async def letters(self) -> list[DeadLetter]:
        async with self.database.begin("letters") as tx:
            return await self.bus.letters(tx, 10)


PLACES = st.tuples(st.sampled_from(STREAMS), st.integers(1, 9))


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    poison=st.dictionaries(PLACES, st.integers(0, len(ERRORS) - 1), max_size=4),
    away=st.dictionaries(PLACES, st.integers(1, 3), max_size=3),
    batch=st.integers(1, 5),
)
def test_found_12_a_stream_stops_at_its_own_poison_and_every_other_goes_to_its_end(
    lengths: list[int],
    poison: dict[tuple[str, int], int],
    away: dict[tuple[str, int], int],
    batch: int,
) -> None:
    async def run() -> None:
        loops = Loops(poison, away)
        await loops.fill(lengths)
        await loops.settle(batch)
        for stream, length in zip(STREAMS, lengths, strict=True):
            bad = [seq for name, seq in poison if name == stream and seq <= length]
            end = min(bad, default=length + 1) - 1
            assert loops.applied[stream] == [*range(1, end + 1)]
        stopped = {(one.stream, one.seq) for one in await loops.letters()}
        assert stopped == {
            (stream, min(seq for name, seq in poison if name == stream and seq <= length))
            for stream, length in zip(STREAMS, lengths, strict=True)
            if any(name == stream and seq <= length for name, seq in poison)
        }

    asyncio.run(run())


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    poison=st.dictionaries(PLACES, st.integers(0, len(ERRORS) - 1), max_size=6),
    mend=st.booleans(),
    batch=st.integers(1, 5),
)
def test_found_12_a_person_replays_what_was_mended_or_skips_and_the_rest_is_applied_once(
    lengths: list[int], poison: dict[tuple[str, int], int], mend: bool, batch: int
) -> None:
    async def run() -> None:
        loops = Loops(dict(poison))
        await loops.fill(lengths)
        await loops.settle(batch)
        skipped: set[tuple[str, int]] = set()
        while letters := await loops.letters():
            for letter in letters:
                await _press(loops, letter, mend=mend)
                if not mend:
                    skipped.add((letter.stream, letter.seq))
            await loops.settle(batch)
        for stream, length in zip(STREAMS, lengths, strict=True):
            expected = [n for n in range(1, length + 1) if (stream, n) not in skipped]
            assert loops.applied[stream] == expected

    asyncio.run(run())


async def _press(loops: Loops, letter: DeadLetter, *, mend: bool) -> None:
    async with loops.database.begin("press") as tx:
        if mend:
            loops.poison.pop((letter.stream, letter.seq))
            assert await loops.bus.ask_replay(tx, ME, letter.stream)
        else:
            behind = letter.seq + 1
            assert not await loops.bus.ask_skip(tx, ME, letter.stream, behind, "olga", "no")
            assert await loops.bus.ask_skip(tx, ME, letter.stream, letter.seq, "olga", "junk")


async def test_a_replay_of_what_is_still_bad_counts_a_failure_and_stops_again() -> None:
    loops = Loops({("a", 2): 0})
    await loops.fill([3, 0, 0])
    await loops.settle(5)
    for failures in (2, 3):
        async with loops.database.begin("press") as tx:
            await loops.bus.ask_replay(tx, ME, "a")
        await loops.settle(5)
        (letter,) = await loops.letters()
        assert (letter.seq, letter.failures, letter.replay_asked) == (2, failures, False)


async def test_another_instance_that_was_faster_buries_nothing() -> None:
    loops = Loops({})

    async def once(_: int) -> int:
        raise CursorMoved("somebody was faster")

    assert await loops.guard.apply("a", 5, once) == 1
    assert await loops.letters() == []


async def test_a_cursor_that_the_bus_does_not_keep_is_skipped_by_its_own_loop() -> None:
    loops, at = Loops({}), [4]

    async def once(_: int) -> int:
        raise ValueError("bad")

    async def cursor(_: Tx) -> int:
        return at[0]

    async def skip(_: Tx, seq: int) -> None:
        at[0] = seq + 1

    assert await loops.guard.apply("own", 1, once, cursor, skip) == 0
    (letter,) = await loops.letters()
    assert letter.seq == 5
    async with loops.database.begin("press") as tx:
        await loops.bus.ask_skip(tx, ME, "own", 5, "olga", "junk")
    loops.clock.advance(LOOK_AGAIN_US)
    assert await loops.guard.apply("own", 1, once, cursor, skip) == 1
    assert at == [5]
    assert await loops.letters() == []
