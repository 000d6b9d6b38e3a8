"""What the rooms record and what waits too long is on the list until it is over (found row 38)."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.app.attention import STEADY
from poolmaker.business.withdrawals.attention import FreezeAttention
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.sagas.attention import PATIENCE_US, SagaAttention
from poolmaker.kernel.clock import MINUTE_US
from tests.support.business import World, mixin_world


async def _late(world: World) -> Sequence[AttentionItem]:
    stores = world.stores
    source = SagaAttention(stores.transactions, stores.sagas, world.clock, STEADY)
    return await source.attention()


async def test_found_38_an_order_that_waits_for_cash_for_long_is_listed_until_it_has_it() -> None:
    async with mixin_world() as world:
        world.places.ways = []
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        world.clock.advance(PATIENCE_US // 100)
        await world.pay(intent)
        await world.rest(MINUTE_US)
        assert await _late(world) == []
        world.clock.advance(PATIENCE_US)
        (item,) = await _late(world)
        assert (item.kind, item.evidence["saga"]) == ("late", "order.fund")
        assert [remedy.action for remedy in item.remedies] == ["retry"]


async def test_a_user_who_has_not_paid_yet_is_nobodys_work() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        await world.order_by_mixin(alice, 0, 1_000)
        await world.rest(MINUTE_US)
        world.clock.advance(PATIENCE_US + MINUTE_US)
        assert await _late(world) == []


async def test_found_38_a_payout_held_by_a_freeze_and_the_freeze_are_listed() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent, USDT=400)
        await world.withdrawals.freeze("a drill", "olga")
        await world.until_state(intent.order, "expired")
        await world.rest(MINUTE_US)
        world.clock.advance(PATIENCE_US)
        (frozen,) = await FreezeAttention(world.withdrawals).attention()
        assert frozen.evidence == {"by": "olga", "reason": "a drill"}
        assert any("frozen" in one.evidence["reason"] for one in await _late(world))
        await world.unfreeze()
        await world.rest(MINUTE_US)
        assert list(await FreezeAttention(world.withdrawals).attention()) == []
        assert await _late(world) == []


async def test_found_38_a_parked_saga_is_listed_and_goes_on_when_a_person_says_so() -> None:
    async with mixin_world() as world:
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        stores, ours = world.stores, (await world.order(intent.order)).child
        async with stores.transactions.begin("park") as tx:
            saga = await stores.sagas.find(tx, ours)
            assert saga is not None
            await stores.sagas.park(tx, saga, "two rows of one")
        (item,) = await _late(world)
        assert (item.kind, item.subject, item.evidence["reason"]) == (
            "parked",
            ours,
            "two rows of one",
        )
        async with stores.transactions.begin("resume") as tx:
            assert await stores.sagas.unpark(tx, ours, world.clock.now_us())
        await world.pay(intent)
        await world.until_state(intent.order, "in_mm")
        assert await _late(world) == []


async def test_found_38_a_refused_refund_and_unidentified_money_are_listed_with_their_ways() -> (
    None
):
    async with mixin_world() as world:
        world.provider.mood("USDT", "refuse")
        await world.arrive("USDT", 5, "stray", sender="somebody")
        await world.rest(5 * MINUTE_US)
        found = {item.kind: item for item in await world.rooms.treasury.attention()}
        assert set(found) == {"refund_refused", "suspense"}
        actions = {remedy.action for remedy in found["suspense"].remedies}
        assert actions == {"refund", "resolve"}
        assert found["suspense"].evidence["sender"] == "somebody"


async def test_found_39_a_refused_refund_is_paid_when_a_person_asks_again() -> None:
    async with mixin_world() as world:
        world.provider.mood("USDT", "refuse")
        await world.arrive("USDT", 5, "stray", sender="somebody")
        await world.rest(5 * MINUTE_US)
        (item,) = [one for one in await world.rooms.treasury.attention() if one.kind == "suspense"]
        async with world.stores.transactions.begin("again") as tx:
            reception = world.rooms.reception
            assert await reception.refund_again(tx, item.subject, "the wallet works", "rq_1")
            assert not await reception.refund_again(tx, item.subject, "twice", "rq_2")
            assert not await reception.refund_again(tx, "nothing", "never", "rq_3")
        await world.rest(5 * MINUTE_US)
        assert list(await world.rooms.treasury.attention()) == []
        assert world.provider.paid("USDT") == 5


async def test_found_38_a_way_that_was_refused_is_listed_until_it_works() -> None:
    async with mixin_world() as world:
        world.provider.mood("USDT", "refuse")
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent)

        async def refused() -> bool:
            return any(row.state == "returned" for row in await world.transfers())

        await world.until(refused)
        (item,) = await world.rooms.treasury.attention()
        assert item.kind == "transfer_refused"
        await world.until_state(intent.order, "in_mm")
        assert list(await world.rooms.treasury.attention()) == []
