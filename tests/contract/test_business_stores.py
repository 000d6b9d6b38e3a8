"""One suite for the stores of business: in memory and in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, replace

import asyncpg
import pytest

from poolmaker.business.pools.model import (
    BarrierMet,
    DealingRequest,
    DealingRequestKind,
    DealingRequestState,
    PooledAccountRow,
    Risk,
)
from poolmaker.business.pools.ports import PoolStore
from poolmaker.business.pools.rules import configured
from poolmaker.business.pools.service import open_store as open_pool_store
from poolmaker.business.user_orders.model import (
    Order,
    RequestedAction,
    RequestRow,
    TimelineLine,
    User,
    UserOrderState,
    WalletClaim,
)
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.user_orders.service import open_store as open_order_store
from poolmaker.business.withdrawals.model import (
    Freeze,
    Withdrawal,
    WithdrawalLine,
    WithdrawalState,
)
from poolmaker.business.withdrawals.ports import WithdrawalStore
from poolmaker.business.withdrawals.service import open_store as open_withdrawal_store
from poolmaker.infra.database import Database
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CorrelationId, OrderId, PoolId, SagaId, UserId, WithdrawalId
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.business import ModelOrderStore, ModelPoolStore, ModelWithdrawalStore
from poolmaker.messages.base import Money
from poolmaker.messages.market import AtRiskV1, BarrierPriceV1, BarrierV1, barrier_of
from tests.support.business import ACCOUNT, CUSTODY, OUT, POOL, PRICE, config

LARGE = 10**37


@dataclass(frozen=True)
class Place:
    transactions: Transactions
    pools: PoolStore
    orders: OrderStore
    withdrawals: WithdrawalStore


@pytest.fixture(params=["model", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "model":
        return Place(ModelDatabase(), ModelPoolStore(), ModelOrderStore(), ModelWithdrawalStore())
    database: Database = request.getfixturevalue("database")
    return Place(database, open_pool_store(), open_order_store(), open_withdrawal_store())


def _ticket(name: str) -> DealingRequest:
    return DealingRequest(
        id=name,
        saga=SagaId("uo_1-1"),
        pool=POOL,
        account=ACCOUNT,
        kind=DealingRequestKind.LEAVE,
        shares=LARGE,
        base_units=LARGE,
        quote_units=7,
        due_us=9,
    )


def _order() -> Order:
    return Order(
        id=OrderId("uo_1"),
        user=UserId("us_1"),
        pool=POOL,
        account=ACCOUNT,
        base=Money(asset="BTC", units=0),
        quote=Money(asset="USDT", units=LARGE),
        created_us=5,
        shares_min=LARGE,
    )


def _withdrawal(name: str = "wd_1", **changes: object) -> Withdrawal:
    row = Withdrawal(
        id=WithdrawalId(name),
        key=f"key {name}",
        user=UserId("us_1"),
        source=CUSTODY,
        asset="USDT",
        units=LARGE,
        network="TRON",
        address="T-1",
        tag="",
        reference=f"ref {name}",
        requested_us=5,
        correlation=CorrelationId("c"),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


async def test_a_pool_is_read_as_it_was_saved(place: Place) -> None:
    pool = configured(config(stay_min_us=7), None)
    moved = replace(pool, base_units=LARGE, issued=LARGE, paused="why", quoting=True)
    async with place.transactions.begin("save") as tx:
        assert await place.pools.pool(tx, POOL) is None
        await place.pools.lock_account(tx, ACCOUNT)
        await place.pools.save_pool(tx, pool)
        await place.pools.save_pool(tx, moved)
    async with place.transactions.begin("look") as tx:
        assert await place.pools.pool(tx, POOL) == moved
        assert list(await place.pools.pools(tx)) == [moved]


async def test_two_pools_of_one_account_and_market_are_refused(place: Place) -> None:
    with pytest.raises((asyncpg.UniqueViolationError, InvariantBroken)):
        async with place.transactions.begin("save") as tx:
            await place.pools.save_pool(tx, configured(config(), None))
            await place.pools.save_pool(tx, configured(config("other"), None))
    async with place.transactions.begin("look") as tx:
        assert list(await place.pools.pools(tx)) == []
        assert await place.pools.pool(tx, PoolId("other")) is None


async def test_an_account_begins_empty_and_is_read_as_it_was_saved(place: Place) -> None:
    async with place.transactions.begin("save") as tx:
        row = await place.pools.lock_account(tx, ACCOUNT)
        assert row == PooledAccountRow(account=ACCOUNT)
        row = replace(row, booked_seq=3, rounds=1, barriers=2, open_barrier="b", asked_at_us=9)
        await place.pools.save_account(tx, row)
    async with place.transactions.begin("look") as tx:
        assert await place.pools.lock_account(tx, ACCOUNT) == row


async def test_a_ticket_is_taken_once_and_moves_only_from_where_it_is(place: Place) -> None:
    async with place.transactions.begin("save") as tx:
        await place.pools.save_pool(tx, configured(config(), None))
        for name in ("2", "1", "3"):
            assert await place.pools.add_ticket(tx, _ticket(name))
        assert not await place.pools.add_ticket(tx, replace(_ticket("1"), shares=1))
        ready = replace(
            _ticket("1"), state=DealingRequestState.READY, barrier_id="b", drain_version=4
        )
        assert await place.pools.move_ticket(tx, DealingRequestState.WAITING, ready)
        assert not await place.pools.move_ticket(tx, DealingRequestState.WAITING, ready)
        gone = replace(_ticket("3"), state=DealingRequestState.GONE)
        assert await place.pools.move_ticket(tx, DealingRequestState.WAITING, gone)
        assert not await place.pools.move_ticket(tx, DealingRequestState.WAITING, _ticket("4"))
    async with place.transactions.begin("look") as tx:
        assert await place.pools.ticket(tx, "1") == ready
        assert await place.pools.ticket(tx, "4") is None
        assert list(await place.pools.tickets(tx, ACCOUNT)) == [_ticket("2"), ready]


async def test_a_barrier_is_kept_as_it_was_seen_first(place: Place) -> None:
    price = BarrierPriceV1(pool=POOL, mid=PRICE, twap_60s=None, book_version=1, price_time_us=2)
    old = BarrierV1(
        account=ACCOUNT,
        barrier_id="b",
        facts_seq=4,
        venue_time_us=5,
        prices=(price,),
        at_risk=(AtRiskV1(pool=POOL, base_units=LARGE, quote_units=0),),
    )
    barrier = barrier_of(old)
    async with place.transactions.begin("save") as tx:
        await place.pools.add_barrier(tx, ACCOUNT, "b", BarrierMet(5, barrier))
        await place.pools.add_barrier(tx, ACCOUNT, "b", BarrierMet(6, barrier))
    async with place.transactions.begin("look") as tx:
        met = await place.pools.barrier(tx, ACCOUNT, "b")
        assert met == BarrierMet(5, barrier)
        assert await place.pools.barrier(tx, ACCOUNT, "c") is None
    assert met is not None
    assert met.price_of(POOL) == barrier.prices[0]
    assert met.price_of(PoolId("other")) is None
    assert met.at_risk_of(POOL) == Risk(1, 0, LARGE, 0)
    assert met.at_risk_of(PoolId("other")).is_settled


async def test_users_and_requests_are_read_as_they_were_saved(place: Place) -> None:
    users = [User(UserId(f"us_{at}"), f"name {at}", at) for at in range(3)]
    request = RequestRow("k", b"h" * 32, "us_1", 7)
    async with place.transactions.begin("save") as tx:
        for user in reversed(users):
            await place.orders.add_user(tx, user)
        assert await place.orders.recall(tx, "k") is None
        assert await place.orders.remember(tx, request)
        assert not await place.orders.remember(tx, replace(request, subject="other"))
    async with place.transactions.begin("look") as tx:
        assert list(await place.orders.users(tx, UserId(""), 2)) == users[:2]
        assert list(await place.orders.users(tx, UserId("us_1"), 2)) == users[2:]
        assert await place.orders.user(tx, UserId("us_9")) is None
        assert await place.orders.recall(tx, "k") == request


async def test_found_35_users_and_orders_are_found_whatever_their_number(place: Place) -> None:
    users = [User(UserId(f"us_{number}"), f"user {number % 2}", number) for number in range(3)]
    orders = [replace(_order(), id=OrderId(f"uo_{number}")) for number in range(5)]
    async with place.transactions.begin("make") as tx:
        await place.pools.save_pool(tx, configured(config(), None))
        for user in users:
            await place.orders.add_user(tx, user)
        for order in orders:
            await place.orders.add_order(
                tx, order, TimelineLine(5, UserOrderState.CREATED, "opened")
            )
    async with place.transactions.begin("look") as tx:
        store = place.orders
        assert await store.user_named(tx, "user 0") == users[0]
        assert await store.user_named(tx, "nobody") is None
        first = await store.orders_before(tx, None, OrderId(""), 2)
        assert [order.id for order in first] == ["uo_4", "uo_3"]
        rest = await store.orders_before(tx, orders[0].user, OrderId("uo_3"), 9)
        assert [order.id for order in rest] == ["uo_2", "uo_1", "uo_0"]
        assert not await store.orders_before(tx, UserId("us_other"), OrderId(""), 9)


async def test_found_35_payouts_of_one_user_are_chosen_before_they_are_counted(
    place: Place,
) -> None:
    rows = [_withdrawal(f"wd_{n}", user=UserId(f"us_{n % 2}")) for n in range(6)]
    async with place.transactions.begin("make") as tx:
        for row in rows:
            await place.withdrawals.add(tx, row, WithdrawalLine(5, row.state, "requested"))
    async with place.transactions.begin("look") as tx:
        newest = place.withdrawals.newest
        whole = await newest(tx, None, WithdrawalId(""), 9)
        assert [row.id for row in whole] == [f"wd_{n}" for n in range(5, -1, -1)]
        mine = await newest(tx, UserId("us_0"), WithdrawalId(""), 2)
        assert [row.id for row in mine] == ["wd_4", "wd_2"]
        rest = await newest(tx, UserId("us_0"), WithdrawalId("wd_2"), 2)
        assert [row.id for row in rest] == ["wd_0"]


async def test_a_user_is_disabled_and_a_wallet_claimed(place: Place) -> None:
    claim = WalletClaim(
        trace="t-1", user=UserId("us_1"), mixin_id="at-mixin", claimed_us=5, until_us=9
    )
    async with place.transactions.begin("make") as tx:
        await place.orders.add_user(tx, User(UserId("us_1"), "ada", 1))
        await place.orders.save_claim(tx, claim)
        await place.orders.save_claim(tx, replace(claim, claimed_us=6, until_us=10))
        await place.orders.set_disabled(tx, UserId("us_1"), 7)
    async with place.transactions.begin("look") as tx:
        found = await place.orders.claim(tx, "t-1")
        assert found == replace(claim, claimed_us=6, until_us=10)
        assert await place.orders.claim(tx, "t-2") is None
        user = await place.orders.user(tx, UserId("us_1"))
        assert user is not None
        assert user.disabled_us == 7


async def test_an_order_is_read_as_it_was_saved_and_its_story_grows(place: Place) -> None:
    order = _order()
    opened = TimelineLine(5, UserOrderState.CREATED, "opened", "key")
    later = replace(
        order,
        state=UserOrderState.IN_MM,
        wish=RequestedAction.TAKE_BACK,
        child=SagaId("uo_1-1"),
        children=1,
        share_asset="share:btc:1",
        shares=LARGE,
        joined_at_us=8,
        destinations=OUT,
        reason="a reason",
    )
    joined = TimelineLine(8, UserOrderState.IN_MM, "joined", "key 2", "a note")
    async with place.transactions.begin("save") as tx:
        await place.pools.save_pool(tx, configured(config(), None))
        await place.orders.add_user(tx, User(order.user, "Alice", 1))
        await place.orders.add_order(tx, order, opened)
        assert await place.orders.order(tx, order.id) == order
        await place.orders.save_order(tx, later, joined)
    async with place.transactions.begin("look") as tx:
        assert await place.orders.lock_order(tx, order.id) == later
        assert list(await place.orders.orders_of(tx, order.user, OrderId(""), 5)) == [later]
        assert list(await place.orders.orders_of(tx, order.user, order.id, 5)) == []
        assert list(await place.orders.timeline(tx, order.id)) == [opened, joined]
        assert await place.orders.order(tx, OrderId("uo_2")) is None


async def test_a_withdrawal_is_read_as_it_was_saved_and_its_key_is_its_own(place: Place) -> None:
    row = _withdrawal()
    line = WithdrawalLine(5, WithdrawalState.REQUESTED, "requested")
    sent = replace(row, state=WithdrawalState.SENT, held_seq=3, provider_id="p", fee_units=LARGE)
    moved = WithdrawalLine(6, WithdrawalState.SENT, "sending", "key", "a note")
    async with place.transactions.begin("save") as tx:
        assert await place.withdrawals.add(tx, row, line)
        assert not await place.withdrawals.add(tx, _withdrawal("wd_2", key=row.key), line)
        await place.withdrawals.save(tx, sent, moved)
    async with place.transactions.begin("look") as tx:
        store = place.withdrawals
        assert await store.by_key(tx, row.key) == await store.lock(tx, row.id) == sent
        assert await store.row(tx, WithdrawalId("wd_2")) is None
        assert list(await store.in_flight(tx)) == [sent]
        assert list(await store.of_user(tx, row.user, WithdrawalId(""), 9)) == [sent]
        assert list(await store.timeline(tx, row.id)) == [line, moved]


async def test_claims_are_those_whose_money_is_promised_first_held_first(place: Place) -> None:
    line = WithdrawalLine(5, WithdrawalState.HELD, "held")
    states = ("held", "sent", "confirmed", "awaiting_cash", "debited", "refused")
    async with place.transactions.begin("save") as tx:
        for at, state in enumerate(states):
            row = _withdrawal(f"wd_{at}", state=WithdrawalState(state), held_seq=10 - at)
            await place.withdrawals.add(tx, row, line)
    async with place.transactions.begin("look") as tx:
        claims = await place.withdrawals.claims(tx, CUSTODY, "USDT")
        none = await place.withdrawals.claims(tx, CUSTODY, "BTC")
        under_way = await place.withdrawals.under_way(tx, 5)
        await place.withdrawals.save(
            tx, replace(under_way[0], state=WithdrawalState.DECLINED), line
        )
        after = await place.withdrawals.under_way(tx, 10)
    assert [row.id for row in claims] == ["wd_2", "wd_1", "wd_0"]
    assert list(none) == []
    assert [row.id for row in under_way] == ["wd_0", "wd_1", "wd_2", "wd_3", "wd_4"]
    assert [row.id for row in after] == ["wd_1", "wd_2", "wd_3", "wd_4", "wd_5"]


async def test_a_lane_has_one_holder_per_source_asset_and_address(place: Place) -> None:
    line = WithdrawalLine(5, WithdrawalState.HELD, "held")
    first, second = _withdrawal("wd_1"), _withdrawal("wd_2", tag="7")
    other = _withdrawal("wd_3", address="T-2")
    async with place.transactions.begin("save") as tx:
        store = place.withdrawals
        for row in (first, second, other):
            await store.add(tx, row, line)
        assert await store.claim_lane(tx, first)
        assert await store.claim_lane(tx, first)
        assert not await store.claim_lane(tx, second)
        assert await store.claim_lane(tx, other)
        await store.free_lane(tx, second)
        assert not await store.claim_lane(tx, second)
        await store.free_lane(tx, first)
        assert await store.claim_lane(tx, second)


async def test_the_freeze_is_one_row(place: Place) -> None:
    async with place.transactions.begin("save") as tx:
        assert await place.withdrawals.freeze(tx) is None
        await place.withdrawals.set_freeze(tx, Freeze("a", "Olga", 1))
        await place.withdrawals.set_freeze(tx, Freeze("b", "Ivan", 2))
        assert await place.withdrawals.freeze(tx) == Freeze("b", "Ivan", 2)
        await place.withdrawals.set_freeze(tx, Freeze("c", "Ida", 2))
        again = Freeze("c", "Ida", 3)
        assert await place.withdrawals.freeze(tx) == again, "its time names it"
        for earlier_us in (1, 2):
            await place.withdrawals.lift_freeze(tx, earlier_us)
            assert await place.withdrawals.freeze(tx) == again
        await place.withdrawals.lift_freeze(tx, 3)
        assert await place.withdrawals.freeze(tx) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE business.user_order_line SET note = ''",
        "DELETE FROM business.user_order_line",
        "UPDATE business.withdrawal_line SET note = ''",
        "DELETE FROM business.withdrawal_line",
        "UPDATE business.barrier SET seq = 9",
        "DELETE FROM business.request",
    ],
)
async def test_what_is_only_added_to_cannot_be_changed_by_the_application(
    database: Database, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.acquire() as connection:
            await connection.execute(statement)
