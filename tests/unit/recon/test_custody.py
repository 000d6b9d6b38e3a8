"""Custody: a difference of the moment is nothing, one that lasts is an incident."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.business.ledger.commands import BearShortfall
from poolmaker.business.ledger.model import Outcome
from poolmaker.business.treasury.attention import CustodyAttention
from poolmaker.business.treasury.custody import STOPS, CustodyIncidentKind, Stopped
from poolmaker.business.treasury.model import CustodyRow, InFlight, PaymentSettings
from poolmaker.business.treasury.rules import custody_rows
from poolmaker.business.treasury.service import CustodyPorts, CustodyRecords
from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import CommandKey
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.treasury import ModelTreasuryStore
from poolmaker.recon.custody import (
    LASTING_US,
    SILENCE_US,
    CustodyReading,
    CustodyWatch,
    CustodyWatchPorts,
)
from poolmaker.recon.ports import Holdings

PLACE, OTHER = "custody:venue:a1", "custody:venue:a2"
LASTS = LASTING_US // SECOND_US + 1
K = CustodyIncidentKind


@dataclass
class FakeBooks:
    units: dict[tuple[str, str], int] = field(default_factory=lambda: {(PLACE, "USDT"): 1_000})
    in_flight: tuple[InFlight, ...] = ()
    not_booked: tuple[InFlight, ...] = ()
    moves: int = 0
    """By how much the books move between two readings."""

    async def custody(self) -> tuple[CustodyRow, ...]:
        if self.moves:
            self.units[PLACE, "USDT"] += self.moves
        return custody_rows(self.units, self.in_flight, self.not_booked)


@dataclass
class FakePlace:
    name: str = PLACE
    has: dict[tuple[str, str], int] = field(default_factory=lambda: {(PLACE, "USDT"): 1_000})
    silent: bool = False
    caught_up: bool = True

    async def is_caught_up(self) -> bool:
        return self.caught_up

    def covers(self, location: str) -> bool:
        return location == self.name

    async def holdings(self) -> Holdings:
        if self.silent:
            raise Unavailable("no answer")
        return dict(self.has)


class FakeLedger:
    def __init__(self) -> None:
        self.asked: list[BearShortfall] = []

    async def ask(self, _: object, command: BearShortfall) -> None:
        self.asked.append(command)

    async def outcome(self, _: object, key: CommandKey) -> Outcome | None:
        return None


class World:
    def __init__(self, **shortfall_max: int) -> None:
        self.clock = ManualClock()
        self.clock.advance(SECOND_US)
        self.books, self.place, self.other = FakeBooks(), FakePlace(), FakePlace(OTHER, {})
        self.health, self.ledger = HealthBoard(self.clock), FakeLedger()
        self.transactions = ModelDatabase()
        self._ports = CustodyPorts(
            transactions=self.transactions,
            store=ModelTreasuryStore(),
            ledger=self.ledger,  # type: ignore[arg-type]
        )
        self._settings = PaymentSettings(shortfall_max=shortfall_max)
        self.restart()

    def restart(self) -> None:
        self.records = CustodyRecords(self._ports, self.clock, self._settings)
        self.watch = CustodyWatch(
            CustodyWatchPorts(
                places=[self.place, self.other],
                treasury=self.books,  # type: ignore[arg-type]
                records=self.records,
                health=self.health,
                clock=self.clock,
            )
        )

    async def look(self, seconds: int = 0) -> None:
        self.clock.advance(seconds * SECOND_US)
        await self.watch.look()

    async def reading(self) -> CustodyReading:
        (one,) = await self.watch.readings()
        return one

    async def lasts(self) -> None:
        await self.look()
        await self.look(LASTS)

    async def open_kinds(self) -> list[tuple[str, str, str]]:
        return [
            (one.finding.kind.value, one.finding.location, one.finding.asset)
            for one in await self.records.incidents()
        ]

    async def stopped(self, what: Stopped, location: str = PLACE, asset: str = "USDT") -> bool:
        async with self.transactions.begin("ask") as tx:
            return bool(await self.records.stopped(tx, what, location, (asset,)))

    async def everything_stopped(self, location: str = PLACE) -> set[Stopped]:
        return {what for what in Stopped if await self.stopped(what, location)}


async def test_a_place_that_says_what_is_booked_agrees() -> None:
    world = World()
    await world.look()
    one = await world.reading()
    assert (one.row.units, one.reported_units, one.explained_units) == (1_000, 1_000, 0)
    assert world.health.ok()


async def test_a_difference_of_the_moment_is_not_known_yet() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 900
    await world.look()
    assert (await world.reading()).reported_units is None
    assert await world.open_kinds() == []
    world.place.has[PLACE, "USDT"] = 1_000
    await world.look(LASTS)
    world.place.has[PLACE, "USDT"] = 900
    await world.look()
    assert (await world.reading()).reported_units is None
    assert world.health.ok()


async def test_found_28_a_shortfall_that_lasts_is_an_incident_until_the_place_has_it_again() -> (
    None
):
    world = World()
    world.place.has[PLACE, "USDT"] = 900
    await world.lasts()
    assert (await world.reading()).reported_units == 900
    (one,) = await world.records.incidents()
    assert (one.finding.kind, one.finding.units) == (K.SHORTFALL, 100)
    assert not world.health.ok()
    assert await world.everything_stopped() == {Stopped.OUTGOING, Stopped.JOINS}
    assert not await world.stopped(Stopped.OUTGOING, PLACE, "BTC")
    assert not await world.stopped(Stopped.OUTGOING, f"{PLACE}2")
    assert not await world.stopped(Stopped.OUTGOING, OTHER)
    world.restart()
    assert await world.stopped(Stopped.OUTGOING), "it outlives a restart"
    world.place.has[PLACE, "USDT"] = 1_000
    await world.look()
    assert await world.everything_stopped() == set()
    (closed,) = await world.records.incidents(closed=True)
    assert closed.evidence == "reported 1000, booked 1000"
    assert closed.closed_us


async def test_found_28_silence_stops_joins_and_new_transfers_and_proves_nothing() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 900
    await world.lasts()
    world.place.silent = True
    await world.look(SILENCE_US // SECOND_US)
    assert {kind for kind, *_ in await world.open_kinds()} == {"shortfall", "silence"}
    assert not world.health.ok()
    assert await world.everything_stopped() == set(Stopped)
    assert await world.everything_stopped(OTHER) == set(), "users' money elsewhere pays"
    world.place.silent = False
    await world.look()
    assert await world.everything_stopped() == {Stopped.OUTGOING, Stopped.JOINS}


async def test_found_28_health_says_at_once_that_a_place_is_silent() -> None:
    world = World()
    world.place.silent = True
    await world.look(LASTS)
    assert not world.health.ok()
    assert await world.everything_stopped() == set()


async def test_found_28_what_is_booked_at_a_place_that_nobody_configured_needs_a_person() -> None:
    world = World()
    world.books.units["custody:venue:nosuch", "USDT"] = 50
    await world.look()
    assert await world.open_kinds() == [("unconfigured", "custody:venue:nosuch", "USDT")]
    assert not world.health.ok()
    assert await world.everything_stopped("custody:venue:nosuch") == set(Stopped)
    assert [one.row.location for one in await world.watch.readings()] == [
        PLACE,
        "custody:venue:nosuch",
    ]
    del world.books.units["custody:venue:nosuch", "USDT"]
    await world.look()
    assert await world.open_kinds() == []


async def test_what_a_place_leaves_out_is_nothing_there() -> None:
    world = World()
    world.place.has.clear()
    await world.lasts()
    assert await world.open_kinds() == [("shortfall", PLACE, "USDT")]


async def test_a_surplus_is_on_record_and_stops_nothing() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 1_001
    await world.lasts()
    assert await world.open_kinds() == [("surplus", PLACE, "USDT")]
    assert await world.everything_stopped() == set()
    assert world.health.ok(), "strangers can make one"
    world.place.has[PLACE, "USDT"] = 1_000
    await world.look()
    assert await world.open_kinds() == []


async def test_a_look_while_the_books_move_starts_no_difference_and_turns_none_around() -> None:
    world = World()
    world.books.moves = 1
    world.place.has[PLACE, "USDT"] = 900
    await world.look()
    assert (await world.reading()).reported_units is None
    world.books.moves = 0
    await world.lasts()
    world.books.moves = 1
    world.place.has[PLACE, "USDT"] = 2_000
    await world.look()
    assert await world.open_kinds() == [("shortfall", PLACE, "USDT")]


async def test_before_the_first_look_nothing_is_known() -> None:
    world = World()
    world.books.in_flight = (InFlight(PLACE, "USDT", 300, "withdrawal wd_1"),)
    one = await world.reading()
    assert one == CustodyReading(one.row, None, 300, 0, 0)


async def test_what_a_place_has_and_nobody_booked_is_shown() -> None:
    world = World()
    world.place.has[PLACE, "BTC"] = 5
    await world.lasts()
    shown = {one.row.asset: one.reported_units for one in await world.watch.readings()}
    assert shown == {"BTC": 5, "USDT": 1_000}


async def test_a_surplus_that_grew_is_not_over() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 1_001
    await world.lasts()
    world.restart()
    world.place.has[PLACE, "USDT"] = 1_002
    await world.look()
    assert await world.open_kinds() == [("surplus", PLACE, "USDT")]


async def test_silence_is_over_when_the_place_answers_and_not_by_a_restart() -> None:
    world = World()
    world.place.silent = True
    await world.look(SILENCE_US // SECOND_US)
    assert await world.open_kinds() == [("silence", PLACE, "")]
    world.restart()
    await world.look()
    assert await world.open_kinds() == [("silence", PLACE, "")]
    world.place.silent = False
    await world.look()
    assert await world.open_kinds() == []


async def test_money_in_flight_explains_what_the_place_no_longer_has_and_no_more() -> None:
    world = World()
    world.books.in_flight = (InFlight(PLACE, "USDT", 300, "withdrawal wd_1"),)
    world.place.has[PLACE, "USDT"] = 700
    await world.look()
    one = await world.reading()
    assert (one.reported_units, one.explained_units) == (700, 300)
    world.place.has[PLACE, "USDT"] = 699
    await world.lasts()
    (incident,) = await world.records.incidents()
    assert incident.finding.units == 1


async def test_a_transfer_that_surely_has_not_left_hides_no_shortfall() -> None:
    world = World()
    row = InFlight(PLACE, "USDT", 300, "transfer tr_1", certain=True)
    world.books.not_booked = (row,)
    world.place.has[PLACE, "USDT"] = 1_300
    await world.look()
    one = await world.reading()
    assert (one.reported_units, one.explained_units) == (1_300, -300)
    world.place.has[PLACE, "USDT"] = 1_200
    await world.lasts()
    assert await world.open_kinds() == [("shortfall", PLACE, "USDT")]


async def test_a_payment_under_way_does_not_close_a_shortfall_that_it_did_not_make() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 900
    await world.lasts()
    world.books.in_flight = (InFlight(PLACE, "USDT", 300, "withdrawal wd_1"),)
    await world.look()
    assert await world.stopped(Stopped.OUTGOING)
    world.place.has[PLACE, "USDT"] = 700
    await world.look()
    assert not await world.stopped(Stopped.OUTGOING)


async def test_while_the_books_move_a_look_proves_nothing() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 900
    world.books.moves = 1
    await world.lasts()
    assert await world.open_kinds() == []


async def test_found_28_equity_bears_a_small_shortfall_once_and_under_the_cap_of_a_day() -> None:
    world = World(USDT=15)
    for missing, asked in ((10, 1), (10, 1), (5, 2), (1, 2)):
        world.place.has[PLACE, "USDT"] = 1_000 - missing
        await world.lasts()
        await world.look(LASTS)
        assert len(world.ledger.asked) == asked
        assert await world.stopped(Stopped.OUTGOING), "open until the books and the place agree"
        world.place.has[PLACE, "USDT"] = 1_000
        await world.look()
    world.clock.advance(24 * 3_600 * SECOND_US)
    world.place.has[PLACE, "USDT"] = 990
    await world.lasts()
    assert len(world.ledger.asked) == 3


async def test_equity_bears_nothing_by_itself_while_facts_are_behind() -> None:
    world = World(USDT=15)
    world.place.caught_up = False
    world.place.has[PLACE, "USDT"] = 990
    await world.lasts()
    await world.look(LASTS)
    assert world.ledger.asked == []
    assert await world.stopped(Stopped.OUTGOING)
    world.place.caught_up = True
    await world.look(2)
    assert [one.money.units for one in world.ledger.asked] == [10]
    await world.look(2)
    assert len(world.ledger.asked) == 1


async def test_equity_bears_nothing_by_itself_of_a_trade_of_which_one_half_is_known() -> None:
    """Short of one asset and in surplus of another, at one account."""
    world = World(USDT=15)
    world.place.has[PLACE, "USDT"] = 990
    world.place.has[PLACE, "BTC"] = 1
    await world.lasts()
    await world.look(LASTS)
    assert world.ledger.asked == []
    del world.place.has[PLACE, "BTC"]
    world.other.has[OTHER, "BTC"] = 1
    await world.look(2)
    assert [one.money.units for one in world.ledger.asked] == [10], "that is another account"


async def test_equity_bears_nothing_by_itself_while_the_books_move() -> None:
    world = World(USDT=15)
    world.place.caught_up = False
    world.place.has[PLACE, "USDT"] = 990
    await world.lasts()
    world.place.caught_up, world.books.moves = True, 1
    await world.look(2)
    assert world.ledger.asked == []


async def test_every_incident_says_what_it_stops_and_has_a_way_forward() -> None:
    world = World()
    world.books.units["custody:venue:nosuch", "USDT"] = 5
    world.place.has[PLACE, "USDT"] = 900
    world.other.has[OTHER, "USDT"] = 1
    await world.lasts()
    world.place.silent = True
    await world.look(SILENCE_US // SECOND_US)
    items = await CustodyAttention(world.records, lambda _, units: str(units)).attention()
    assert {item.kind for item in items} == {kind.value for kind in K}
    for item in items:
        assert item.remedies
        assert set(item.blocks) == {what.value for what in STOPS[K(item.kind)]}
    short = next(item for item in items if item.kind == "shortfall")
    assert (short.evidence["booked"], short.evidence["reported"]) == ("1000 USDT", "900 USDT")


async def test_a_person_takes_an_incident_and_keeps_it_while_it_changes() -> None:
    world = World()
    world.place.has[PLACE, "USDT"] = 900
    await world.lasts()
    (one,) = await world.records.incidents()
    taken = await world.records.take(one.name, "operator:ann")
    assert taken is not None
    world.place.has[PLACE, "USDT"] = 890
    await world.look(2)
    (one,) = await world.records.incidents()
    assert (one.owner, one.finding.units) == ("operator:ann", 110)
    assert await world.records.take("nothing", "operator:ann") is None


Step = tuple[str, int]
STEPS = st.tuples(
    st.sampled_from(["report", "silence", "answer", "book", "flight", "restart", "wait"]),
    st.integers(-200, 200),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(STEPS, max_size=14))
async def test_found_28_a_lasting_shortfall_always_stops_and_a_surplus_alone_never_does(
    steps: list[Step],
) -> None:
    """Whatever came before: what holds for long enough is what is enforced, and nothing else."""
    world = World()
    for what, units in steps:
        await _take(world, what, units)
        await world.look(2)
    booked = world.books.units[PLACE, "USDT"]
    gone = sum(one.units for one in world.books.in_flight)
    was_open = await world.stopped(Stopped.OUTGOING)
    await world.look()
    await world.look(LASTS)
    there = world.place.has[PLACE, "USDT"]
    stopped = await world.everything_stopped()
    if world.place.silent:
        assert Stopped.OUTGOING in stopped or not was_open, "silence closes no shortfall"
        return
    if there < booked - gone:
        assert {Stopped.OUTGOING, Stopped.JOINS} <= stopped
    if there >= booked:
        assert Stopped.OUTGOING not in stopped
        assert Stopped.JOINS not in stopped
    assert await world.everything_stopped(OTHER) == set()


async def _take(world: World, what: str, units: int) -> None:
    place = (PLACE, "USDT")
    match what:
        case "report":
            world.place.has[place] = max(0, world.books.units[place] + units)
        case "book":
            world.books.units[place] = max(0, world.books.units[place] + units)
        case "flight":
            rows = (InFlight(*place, abs(units), "withdrawal"),) if units else ()
            world.books.in_flight = rows
        case "silence" | "answer":
            world.place.silent = what == "silence"
        case "restart":
            world.restart()
        case _:
            await world.look(LASTS)
