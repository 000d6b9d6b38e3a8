"""What arrives: a deposit, a transfer of ours, or nobody's; each judged once."""

from __future__ import annotations

import pytest

from poolmaker.business.treasury.model import (
    Disposition,
    PaymentIncident,
    PaymentIncidentKind,
    SuspenseState,
)
from poolmaker.business.withdrawals.model import Withdrawal
from poolmaker.business.withdrawals.rules import reference_of
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.ids import SagaId, UserId
from tests.support.business import World, mixin_world

MIXIN_USDT = "custody:mixin:usdt"


async def _refunds(world: World) -> list[Withdrawal]:
    return await world.payouts_of(UserId(""))


async def _until_refunds(world: World, state: str) -> list[Withdrawal]:
    async def there() -> bool:
        rows = await _refunds(world)
        return bool(rows) and all(row.state == state for row in rows)

    await world.until(there)
    return await _refunds(world)


async def _incidents(world: World) -> list[PaymentIncident]:
    return list(await world.treasury.incidents())


async def test_a_malformed_memo_is_refunded_and_never_silence_l2() -> None:
    """L2: what nobody can read is booked to suspense and goes back to its sender."""
    async with mixin_world() as world:
        told = await world.arrive("USDT", 700, "o1", memo=b"gibberish", sender="stranger")
        assert told is Disposition.REFUND
        (refund,) = await _until_refunds(world, "done")
        assert (refund.network, refund.address, refund.source) == ("mixin", "stranger", MIXIN_USDT)
        assert world.provider.paid("USDT") == 700
        assert await world.balance("suspense:mixin:o1", "USDT") == 0
        assert await world.custody_at(MIXIN_USDT, "USDT") == 0
        assert not await world.treasury.open_suspense()
        assert world.books_balance()


async def test_a_refund_is_paid_once_however_often_it_is_tried_l3() -> None:
    """L3: no cash is pending, not "ok"; three lost answers are one payment."""
    async with mixin_world() as world:
        world.provider.mood("USDT", "lost_after", "lost_after", "lost_after")
        await world.arrive("USDT", 700, "o1", sender="stranger")
        (refund,) = await _until_refunds(world, "done")
        assert {one.reference for one in world.provider.requests} == {refund.reference}
        assert len(world.provider.taken[refund.reference]) == 1


async def test_a_refunds_reference_is_a_pure_function_of_its_saga_l9() -> None:
    """L9: what Mixin is asked under is a UUID that a retry repeats."""
    async with mixin_world() as world:
        world.provider.mood("USDT", "unavailable", "unavailable")
        await world.arrive("USDT", 700, "o1", sender="stranger")
        (refund,) = await _until_refunds(world, "done")
        assert {one.reference for one in world.provider.requests} == {
            reference_of(SagaId(refund.id))
        }


async def test_a_wrong_asset_is_credited_and_refunded_in_the_same_account_l4() -> None:
    """L4: the ledger is unchanged in total once it is back with its sender."""
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        trace = intent.legs[0].trace
        told = await world.arrive("BTC", 5, "o1", trace=trace, memo=intent.memo, sender="alice")
        assert told is Disposition.REFUND
        await _until_refunds(world, "done")
        assert await world.available(alice) == (0, 0)
        balances = world.stores.writer.books.balances
        assert not [units for units in balances.values() if units]


async def test_the_same_arrival_told_again_changes_nothing_l5() -> None:
    """L5: one reference, one credit; with another content it is a conflict that is recorded."""
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 10, 1_000)
        await world.pay(intent, USDT=1_000)
        await world.pay(intent, USDT=1_000)
        assert await _incidents(world) == []
        leg = next(leg for leg in intent.legs if leg.asset == "USDT")
        again = await world.arrive("USDT", 1_001, f"out-{leg.trace}", trace=leg.trace, sender="x")
        assert again is Disposition.DEPOSIT
        await world.rest(MINUTE_US)
        assert await world.available(alice) == (0, 1_000)
        (conflict,) = await _incidents(world)
        assert (conflict.kind, conflict.subject) == (
            PaymentIncidentKind.ARRIVAL_CONFLICT,
            MIXIN_USDT,
        )


async def test_a_late_second_leg_is_refunded_and_starts_nothing_l6() -> None:
    """L6: what came in time is paid back at the deadline, what comes after it goes back as well."""
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 10, 1_000)
        await world.pay(intent, BTC=10)
        order = await world.until_state(intent.order, "expired")
        late = next(leg for leg in intent.legs if leg.asset == "USDT")
        told = await world.arrive("USDT", 1_000, "late", trace=late.trace, sender="alice-wallet")
        assert told is Disposition.REFUND
        await _until_refunds(world, "done")
        (back,) = await world.payouts_of(alice)
        await world.until_withdrawal(back.id, "done")
        assert (back.asset, back.units, back.address) == ("BTC", 10, "alice-at-mixin")
        assert (await world.order(order.id)).state == "expired"
        assert (world.provider.paid("BTC"), world.provider.paid("USDT")) == (10, 1_000)
        assert await world.available(alice) == (0, 0)


async def test_a_second_payment_of_one_link_goes_back() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 10, 1_000)
        await world.pay(intent, USDT=1_000)
        leg = next(leg for leg in intent.legs if leg.asset == "USDT")
        told = await world.arrive("USDT", 1_000, "again", trace=leg.trace, sender="alice")
        assert told is Disposition.REFUND


async def test_what_comes_from_a_chain_without_evidence_waits_and_then_is_nobodys() -> None:
    async with mixin_world() as world:
        at_us = world.clock.now_us()
        coming = {"transaction_id": "0xabc", "at_us": at_us}
        assert await world.arrive("USDT", 9, "o1", **coming) is Disposition.WAITING
        assert await world.custody_at(MIXIN_USDT, "USDT") == 0
        await world.rest(11 * MINUTE_US)
        assert await world.arrive("USDT", 9, "o1", **coming) is Disposition.SUSPENSE
        await world.rest(MINUTE_US)
        assert await world.balance("suspense:mixin:o1", "USDT") == 9
        (row,) = await world.treasury.open_suspense()
        assert (row.state, row.transaction_id) == (SuspenseState.OPEN, "0xabc")


async def test_a_refund_that_is_refused_is_in_suspense_again_with_an_incident() -> None:
    async with mixin_world() as world:
        world.provider.mood("USDT", "refuse")
        await world.arrive("USDT", 700, "o1", sender="not-a-user")
        await _until_refunds(world, "released")
        assert await world.balance("suspense:mixin:o1", "USDT") == 700
        assert await world.custody_at(MIXIN_USDT, "USDT") == 700
        (row,) = await world.treasury.open_suspense()
        assert (row.state, row.reason) == (SuspenseState.OPEN, "withdrawals are closed")
        (incident,) = await _incidents(world)
        assert (incident.kind, incident.subject) == (PaymentIncidentKind.REFUND_REFUSED, "mixin:o1")
        assert world.books_balance()


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_commit_of_a_refund_pays_it_once_l3(*, lost: bool) -> None:
    for crash_at in range(1, 12):
        async with mixin_world() as world:
            world.crashing.crash_at, world.crashing.lost = crash_at, lost
            await world.arrive("USDT", 700, "o1", sender="stranger")
            await _until_refunds(world, "done")
            assert world.parked == []
            assert [len(sent) for sent in world.provider.taken.values()] == [1]
            assert await world.custody_at(MIXIN_USDT, "USDT") == 0
