"""Transfers between our own places: recorded before sent, arrived only on evidence."""

from __future__ import annotations

import pytest

from poolmaker.business.treasury.model import (
    Disposition,
    PaymentIncidentKind,
    Transfer,
    TransferArrived,
    TransferRefused,
    TransferRequest,
)
from poolmaker.business.treasury.rules import planned_units
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import CommandKey, CorrelationId, SagaId
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, CUSTODY, USDT, World, mixin_world, model_world, ways

MIXIN_USDT = "custody:mixin:usdt"


def _wish(units: int, key: str = "k", *, back: bool = False) -> TransferRequest:
    source, target = (MIXIN_USDT, CUSTODY) if back else (CUSTODY, MIXIN_USDT)
    return TransferRequest(
        key=CommandKey(key),
        source=source,
        target=target,
        money=Money(asset="USDT", units=units),
        saga=SagaId("sg_reward"),
        correlation=CorrelationId("c"),
    )


async def _request(world: World, wish: TransferRequest) -> str:
    async def once() -> str:
        async with world.crashing.begin("wish") as tx:
            return await world.rooms.carrier.request_transfer(tx, wish)

    transfer: str = await world.insist(once)
    return transfer


async def _row(world: World, transfer: str) -> Transfer:
    return next(row for row in await world.transfers() if row.id == transfer)


async def _until(world: World, transfer: str, state: str) -> Transfer:
    async def there() -> bool:
        return (await _row(world, transfer)).state == state

    await world.until(there)
    return await _row(world, transfer)


async def _end(world: World, transfer: str) -> object:
    async with world.stores.transactions.begin("look") as tx:
        return await world.rooms.carrier.transfer_end(tx, transfer)


async def _ready(world: World) -> None:
    await world.insist(lambda: world.treasury.operator_in(ACCOUNT, Amount(USDT, 1_000), "cash"))


async def test_a_transfer_leaves_in_the_ledger_before_it_is_sent_and_arrives_on_evidence() -> None:
    async with mixin_world() as world:
        world.relays = False
        await _ready(world)
        world.provider.fee_units = 30
        transfer = await _request(world, _wish(600))
        assert await _request(world, _wish(600)) == transfer
        row = await _until(world, transfer, "left")
        assert await world.custody() == (0, 400)
        assert await world.balance(f"transit:{transfer}", "USDT") == 570
        assert await _end(world, transfer) is None
        came = {"transaction_id": row.transaction_id}
        assert await world.arrive("USDT", 570, "o1", **came) is Disposition.TRANSFER
        await _until(world, transfer, "done")
        assert await world.custody_at(MIXIN_USDT, "USDT") == 570
        assert await world.balance(f"transit:{transfer}", "USDT") == 0
        assert await world.balance("platform:equity", "USDT") == 970
        assert await _end(world, transfer) == TransferArrived(570, row.transaction_id)
        assert await world.treasury.incidents() == []


async def test_what_the_provider_refuses_stands_at_its_source_again() -> None:
    async with mixin_world() as world:
        await _ready(world)
        world.provider.mood("USDT", "refuse")
        transfer = await _request(world, _wish(600))
        await _until(world, transfer, "returned")
        assert await world.custody() == (0, 1_000)
        assert await _end(world, transfer) == TransferRefused("withdrawals are closed")


async def test_found_16_what_a_failed_transfer_has_cost_is_booked_where_it_was_taken() -> None:
    """A cancelled payment on the chain moves nothing and costs gas: custody must not differ."""
    async with mixin_world() as world:
        await _ready(world)
        world.provider.failure_fee = Money(asset="USDT", units=7)
        world.provider.failure_location = CUSTODY
        world.provider.looks = 10_000
        transfer = await _request(world, _wish(600))
        row = await _until(world, transfer, "sent")
        world.provider.failed.add(row.reference)
        await _until(world, transfer, "returned")
        assert await world.custody() == (0, 993)
        assert await world.balance("platform:equity", "USDT") == 993
        assert await world.balance(f"transit:{transfer}", "USDT") == 0


async def test_a_lost_answer_is_looked_up_and_never_sent_twice_from_a_venue() -> None:
    async with mixin_world() as world:
        await _ready(world)
        world.provider.mood("USDT", "lost_after")
        transfer = await _request(world, _wish(600))
        await _until(world, transfer, "done")
        assert len(world.provider.requests) == 1


async def test_a_lost_answer_of_mixin_is_asked_again_at_once_under_the_same_reference() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        world.provider.mood("USDT", "lost_before")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        begun_us = world.clock.now_us()
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
        assert world.clock.now_us() < begun_us + MINUTE_US
        assert len(world.provider.requests) == 2
        assert len({one.reference for one in world.provider.requests}) == 1


async def test_a_transfer_that_takes_long_is_still_followed_l11() -> None:
    """L11: any time without completion leave it in flight, never failed."""
    async with mixin_world() as world:
        await _ready(world)
        world.provider.looks = 100_000
        transfer = await _request(world, _wish(600))
        await _until(world, transfer, "sent")
        await world.rest(12 * MINUTE_US)
        assert (await _row(world, transfer)).state == "sent"
        world.provider.looks = 0
        await _until(world, transfer, "done")


async def test_more_than_a_place_can_spare_waits_for_whoever_wants_it() -> None:
    async with mixin_world() as world:
        world.places.ways = ways("USDT")[1:]
        await _ready(world)
        first = await _request(world, _wish(800, "a"))
        world.clock.advance(2_000)  # ids tell two times apart by milliseconds
        second = await _request(world, _wish(300, "b"))
        await _until(world, first, "done")
        await world.rest(MINUTE_US)
        assert (await _row(world, second)).state == "planned"
        more = Amount(USDT, 100)
        await world.treasury.operator_in(ACCOUNT, more, "more")
        await _until(world, second, "done")


async def test_a_freeze_stops_transfers_as_well() -> None:
    async with mixin_world() as world:
        await _ready(world)
        await world.withdrawals.freeze("the keys are being changed", "Olga")
        transfer = await _request(world, _wish(600))
        await world.rest(5 * MINUTE_US)
        assert world.provider.requests == []
        await world.unfreeze()
        await _until(world, transfer, "done")


async def test_another_amount_than_left_is_booked_as_it_came_and_told() -> None:
    async with mixin_world() as world:
        world.relays = False
        await _ready(world)
        transfer = await _request(world, _wish(600))
        row = await _until(world, transfer, "left")
        await world.arrive("USDT", 590, "o1", transaction_id=row.transaction_id)
        await _until(world, transfer, "done")
        assert await world.custody_at(MIXIN_USDT, "USDT") == 590
        assert await world.balance(f"transit:{transfer}", "USDT") == 10
        (incident,) = await world.treasury.incidents()
        assert (incident.kind, incident.subject) == (PaymentIncidentKind.TRANSFER_DIFFERS, transfer)


async def test_what_may_be_ours_waits_however_long_until_its_transaction_is_known() -> None:
    async with mixin_world() as world:
        world.relays = False
        await _ready(world)
        world.provider.looks = 100_000
        transfer = await _request(world, _wish(600))
        row = await _until(world, transfer, "sent")
        came = {"transaction_id": f"tx-{row.reference[:8]}", "at_us": world.clock.now_us()}
        await world.rest(11 * MINUTE_US)
        assert await world.arrive("USDT", 600, "o1", **came) is Disposition.WAITING
        world.provider.looks = 0
        await _until(world, transfer, "left")
        assert await world.arrive("USDT", 600, "o1", **came) is Disposition.TRANSFER
        await _until(world, transfer, "done")


async def test_without_a_way_nothing_is_promised() -> None:
    async with model_world() as world:
        await world.open_pool()
        with pytest.raises(Unavailable, match="no way is known"):
            await _request(world, _wish(600))


async def test_what_the_ledger_has_in_transit_is_named_at_both_places() -> None:
    async with mixin_world() as world:
        await _ready(world)
        world.provider.looks = 100_000
        transfer = await _request(world, _wish(600))
        await _until(world, transfer, "sent")
        found = {(row.location, row.asset): row for row in await world.treasury.custody()}
        rows = [found[CUSTODY, "USDT"], found[MIXIN_USDT, "USDT"]]
        assert [[(one.units, one.what) for one in row.not_booked] for row in rows] == [
            [(600, f"transfer {transfer}")],
            [(600, f"transfer {transfer}")],
        ]
        assert {row.location: row.units for row in rows} == {CUSTODY: 400, MIXIN_USDT: 0}


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_commit_of_a_transfer_sends_it_once(*, lost: bool) -> None:
    for crash_at in range(2, 14):
        async with mixin_world() as world:
            world.crashing.crash_at, world.crashing.lost = crash_at, lost
            await _ready(world)
            transfer = await _request(world, _wish(600))
            await _until(world, transfer, "done")
            assert world.parked == []
            assert [len(sent) for sent in world.provider.taken.values()] == [1]
            assert await world.custody_at(MIXIN_USDT, "USDT") == 600
            assert world.books_balance()


@pytest.mark.parametrize(
    ("need", "free", "fee", "minimum", "step", "expected"),
    [
        (0, 1_000, 0, 1, 1, 0),
        (-5, 1_000, 0, 1, 1, 0),
        (100, 1_000, 0, 1, 1, 100),
        (100, 1_000, 7, 1, 1, 107),
        (100, 60, 0, 1, 1, 60),
        (3, 1_000, 7, 50, 1, 50),
        (3, 49, 7, 50, 1, 0),
        (101, 1_000, 0, 1, 10, 110),
        (101, 105, 0, 1, 10, 100),
        (5, 7, 7, 1, 1, 0),
        (100, -50, 0, 1, 1, 0),
    ],
)
def test_what_is_sent_covers_the_need_and_the_way_and_never_more_than_is_free(
    need: int, free: int, fee: int, minimum: int, step: int, expected: int
) -> None:
    way = ways("USDT", fee_units=fee, minimum_units=minimum, step_units=step)[0]
    assert planned_units(need, free, way) == expected
