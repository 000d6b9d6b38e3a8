"""Custody: a difference that is only the moment is not shown, one that lasts is."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolmaker.app.custody import LASTING_US, CustodyWatch
from poolmaker.app.figures import Scales
from poolmaker.app.places import VenuePlace
from poolmaker.business.treasury.model import CustodyRow, InFlight
from poolmaker.infra.health import HealthBoard
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.views.model import CustodyLine

A1 = VenueAccountId("a1")
PLACE = "custody:venue:a1"


@dataclass
class FakeTreasury:
    units: int = 1_000
    in_flight: tuple[InFlight, ...] = ()
    not_booked: tuple[InFlight, ...] = ()

    async def custody_at(self, *_: object) -> tuple[CustodyRow, ...]:
        return (CustodyRow(PLACE, "USDT", self.units, self.in_flight, self.not_booked),)


@dataclass
class FakeWallet:
    free: str = "6.00"
    locked: str = "4.00"

    async def balances(self) -> dict[str, tuple[str, str]]:
        return {"USDT": (self.free, self.locked), "XYZ": ("1", "0")}


@dataclass
class World:
    clock: ManualClock = field(default_factory=ManualClock)
    treasury: FakeTreasury = field(default_factory=FakeTreasury)
    wallet: FakeWallet = field(default_factory=FakeWallet)

    def __post_init__(self) -> None:
        self.health = HealthBoard(self.clock)
        scales = Scales({"USDT": Asset("USDT", 2)})
        self.watch = CustodyWatch(
            [VenuePlace(A1, self.wallet, scales)],  # type: ignore[arg-type]
            self.treasury,  # type: ignore[arg-type]
            scales,
            self.health,
            self.clock,
        )

    async def look(self, seconds: int = 0) -> CustodyLine:
        self.clock.advance(seconds * SECOND_US)
        await self.watch.look()
        (line,) = await self.watch.lines()
        return line


async def test_free_and_locked_together_are_held_against_the_ledger() -> None:
    line = await World().look()
    assert (line.ledger, line.reported, line.in_flight) == ("10.00", "10.00", "0.00")


async def test_a_difference_of_the_moment_is_not_known_yet() -> None:
    world = World(wallet=FakeWallet(free="5.00"))
    assert (await world.look()).reported is None
    assert world.health.ok()


async def test_a_difference_that_lasts_is_shown_and_health_is_red() -> None:
    world = World(wallet=FakeWallet(free="5.00"))
    await world.look()
    line = await world.look(LASTING_US // SECOND_US + 1)
    assert (line.ledger, line.reported) == ("10.00", "9.00")
    assert not world.health.ok()


async def test_a_difference_that_heals_is_forgotten() -> None:
    world = World(wallet=FakeWallet(free="5.00"))
    await world.look()
    world.wallet.free = "6.00"
    await world.look(LASTING_US // SECOND_US + 1)
    world.wallet.free = "5.00"
    assert (await world.look()).reported is None


async def test_money_in_flight_explains_what_the_place_no_longer_has() -> None:
    world = World(wallet=FakeWallet(free="3.00"))
    world.treasury.in_flight = (InFlight(PLACE, "USDT", 300, "withdrawal wd_1"),)
    line = await world.look()
    assert (line.reported, line.in_flight) == ("7.00", "3.00")


async def test_money_in_flight_explains_no_more_than_itself() -> None:
    world = World(wallet=FakeWallet(free="2.99"))
    world.treasury.in_flight = (InFlight(PLACE, "USDT", 300, "withdrawal wd_1"),)
    await world.look()
    line = await world.look(LASTING_US // SECOND_US + 1)
    assert line.reported == "6.99"
    assert not world.health.ok()


async def test_a_transfer_that_is_booked_and_not_sent_yet_explains_what_is_still_there() -> None:
    world = World(wallet=FakeWallet(free="9.00"))
    world.treasury.not_booked = (InFlight(PLACE, "USDT", 300, "transfer tr_1"),)
    line = await world.look()
    assert (line.reported, line.in_flight) == ("13.00", "-3.00")
    world.wallet.free = "9.01"
    assert (await world.look()).reported is None
