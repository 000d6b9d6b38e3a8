"""One suite for the treasury's store: in memory and in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, replace

import asyncpg
import pytest

from poolmaker.business.ledger.ports import CommandStore
from poolmaker.business.ledger.service import open_rows
from poolmaker.business.pools.ports import PoolStore
from poolmaker.business.pools.rules import configured
from poolmaker.business.pools.service import open_store as open_pool_store
from poolmaker.business.treasury.custody import (
    CustodyFinding,
    CustodyIncident,
    CustodyIncidentKind,
)
from poolmaker.business.treasury.model import (
    ArrivalRow,
    Disposition,
    FundingRow,
    FundingState,
    PaymentIncident,
    PaymentIncidentKind,
    Suspense,
    SuspenseState,
    Transfer,
    TransferLine,
    TransferState,
)
from poolmaker.business.treasury.ports import TreasuryStore
from poolmaker.business.treasury.service import open_store as open_treasury_store
from poolmaker.business.user_orders.model import Order, TimelineLine, User
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.user_orders.rules import legs_of
from poolmaker.business.user_orders.service import open_store as open_order_store
from poolmaker.infra.database import Database
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.errors import InvariantBroken
from poolmaker.kernel.ids import CommandKey, CorrelationId, OrderId, SagaId, UserId
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.business import ModelOrderStore, ModelPoolStore
from poolmaker.lab.stores.ledger import ModelCommandStore
from poolmaker.lab.stores.treasury import ModelTreasuryStore
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, CUSTODY, POOL, config

LARGE = 10**37


@dataclass(frozen=True)
class Place:
    transactions: Transactions
    treasury: TreasuryStore
    orders: OrderStore
    pools: PoolStore


@pytest.fixture(params=["model", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "model":
        return Place(ModelDatabase(), ModelTreasuryStore(), ModelOrderStore(), ModelPoolStore())
    database: Database = request.getfixturevalue("database")
    return Place(database, open_treasury_store(), open_order_store(), open_pool_store())


def _transfer(name: str = "sg_1", **changes: object) -> Transfer:
    row = Transfer(
        id=SagaId(name),
        key=CommandKey(f"key {name}"),
        source=CUSTODY,
        target="custody:mixin:usdt",
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


PLANNED = TransferLine(5, TransferState.PLANNED, "planned")


async def test_a_transfer_is_read_as_it_was_saved_and_its_key_is_its_own(place: Place) -> None:
    row = _transfer()
    left = replace(
        row, state=TransferState.LEFT, provider_id="p", transaction_id="t", fee_units=LARGE
    )
    line = TransferLine(6, TransferState.LEFT, "completed", "key", "a note")
    async with place.transactions.begin("save") as tx:
        await place.treasury.lock_place(tx, CUSTODY, "USDT")
        assert await place.treasury.add_transfer(tx, row, PLANNED)
        assert not await place.treasury.add_transfer(tx, _transfer("sg_2", key=row.key), PLANNED)
        await place.treasury.save_transfer(tx, left, line)
    async with place.transactions.begin("look") as tx:
        store = place.treasury
        assert await store.transfer_by_key(tx, row.key) == left
        assert await store.transfer(tx, row.id) == await store.lock_transfer(tx, row.id) == left
        assert list(await store.open_transfers(tx)) == [left]
        assert list(await store.transfers(tx, 5)) == [left]
        assert list(await store.transfer_lines(tx, row.id)) == [PLANNED, line]
        done = replace(left, state=TransferState.DONE, arrived_units=3, arrival="a", reason="r")
        await store.save_transfer(tx, done, line)
        assert await store.transfer(tx, row.id) == done
        assert list(await store.open_transfers(tx)) == []


async def test_two_transfers_are_never_in_flight_on_one_way(place: Place) -> None:
    async with place.transactions.begin("save") as tx:
        await place.treasury.add_transfer(tx, _transfer("sg_1"), PLANNED)
        await place.treasury.add_transfer(tx, _transfer("sg_2"), PLANNED)
        sent = _transfer("sg_1", state=TransferState.SENT)
        await place.treasury.save_transfer(tx, sent, PLANNED)
    with pytest.raises((asyncpg.UniqueViolationError, InvariantBroken)):
        async with place.transactions.begin("clash") as tx:
            out = _transfer("sg_2", state=TransferState.MOVED_OUT)
            await place.treasury.save_transfer(tx, out, PLANNED)


async def test_found_55_whose_turn_it_is_is_one_question(place: Place) -> None:
    first, second = _transfer("sg_1"), _transfer("sg_2")
    elsewhere = _transfer("sg_0", target="custody:mixin:other")
    async with place.transactions.begin("save") as tx:
        for row in (first, second, elsewhere):
            await place.treasury.add_transfer(tx, row, PLANNED)
        assert not await place.treasury.lane_taken(tx, first)
        assert await place.treasury.lane_taken(tx, second)
        assert not await place.treasury.lane_taken(tx, elsewhere)
        sent = replace(second, state=TransferState.SENT)
        await place.treasury.save_transfer(tx, sent, PLANNED)
        assert await place.treasury.lane_taken(tx, first), "who is in flight comes before whoever"
        for row in (sent, first):
            done = replace(row, state=TransferState.DONE)
            await place.treasury.save_transfer(tx, done, PLANNED)
        assert not await place.treasury.lane_taken(tx, first)


async def test_custody_incidents_are_open_until_closed_and_keep_their_owner(place: Place) -> None:
    store, at = place.treasury, 10
    finding = CustodyFinding(
        kind=CustodyIncidentKind.SHORTFALL,
        location=CUSTODY,
        asset="USDT",
        units=LARGE,
        booked_units=LARGE + 1,
        reported_units=1,
    )
    first = CustodyIncident(finding=finding, opened_us=at, seen_us=at, covered_units=7)
    silent = CustodyFinding(kind=CustodyIncidentKind.SILENCE, location=CUSTODY)
    second = CustodyIncident(finding=silent, opened_us=11, seen_us=11)
    async with place.transactions.begin("save") as tx:
        await store.save_custody_incident(tx, first)
        await store.save_custody_incident(tx, second)
        await store.own_custody_incident(tx, replace(first, owner="ann"))
        seen = replace(first, seen_us=12, evidence="e")
        await store.save_custody_incident(tx, seen)
    async with place.transactions.begin("look") as tx:
        owned = replace(seen, owner="ann")
        assert list(await store.custody_incidents(tx)) == [owned, second]
        assert await store.borne_units(tx, CUSTODY, "USDT", 99) == 7, "open, whenever it began"
        closed = replace(owned, closed_us=13)
        await store.save_custody_incident(tx, closed)
        assert await store.borne_units(tx, CUSTODY, "USDT", 13) == 7
        assert await store.borne_units(tx, CUSTODY, "USDT", 14) == 0
        assert list(await store.custody_incidents(tx)) == [second]
        again = replace(first, opened_us=14, seen_us=14, covered_units=0)
        await store.save_custody_incident(tx, again)
        assert list(await store.custody_history(tx, 5)) == [again, second, closed]


async def test_the_ledger_lists_every_custody_account(place: Place) -> None:
    rows: CommandStore = (
        open_rows() if isinstance(place.transactions, Database) else ModelCommandStore()
    )
    async with place.transactions.begin("look") as tx:
        assert await rows.custody(tx) == {}


async def test_an_arrival_is_judged_once(place: Place) -> None:
    row = ArrivalRow(
        location=CUSTODY,
        reference="r",
        money=Money(asset="USDT", units=LARGE),
        sender="s",
        body_hash=b"h" * 32,
        disposition=Disposition.REFUND,
        subject="mixin:r",
        at_us=7,
    )
    async with place.transactions.begin("save") as tx:
        assert await place.treasury.arrival(tx, CUSTODY, "r") is None
        await place.treasury.add_arrival(tx, row)
    with pytest.raises((asyncpg.UniqueViolationError, InvariantBroken)):
        async with place.transactions.begin("again") as tx:
            await place.treasury.add_arrival(tx, row)
    async with place.transactions.begin("look") as tx:
        assert await place.treasury.arrival(tx, CUSTODY, "r") == row
        assert list(await place.treasury.arrivals(tx, 5)) == [row]


async def test_suspense_and_incidents_are_read_as_they_were_saved(place: Place) -> None:
    row = Suspense(
        source="mixin:r",
        location="custody:mixin:usdt",
        reference="r",
        money=Money(asset="USDT", units=LARGE),
        sender="s",
        transaction_id="",
        at_us=7,
        state=SuspenseState.REFUNDING,
        reason="nobody's",
    )
    incident = PaymentIncident(PaymentIncidentKind.REFUND_REFUSED, "mixin:r", "no", 8)
    async with place.transactions.begin("save") as tx:
        await place.treasury.save_suspense(tx, row)
        await place.treasury.add_incident(tx, incident)
        await place.treasury.add_incident(tx, replace(incident, at_us=9))
    async with place.transactions.begin("look") as tx:
        store = place.treasury
        assert await store.suspense(tx, "mixin:r") == row
        assert list(await store.open_suspense(tx)) == [row]
        assert list(await store.incidents(tx)) == [incident]
        for kind in PaymentIncidentKind:
            await store.add_incident(tx, replace(incident, kind=kind))
        assert {one.kind for one in await store.incidents(tx)} == set(PaymentIncidentKind)
        await store.save_suspense(tx, replace(row, state=SuspenseState.REFUNDED))
        assert list(await store.open_suspense(tx)) == []


async def test_funding_rows_keep_their_place_in_the_queue(place: Place) -> None:
    rows = [
        FundingRow(
            saga=SagaId(name), order=OrderId("o"), account=ACCOUNT, asset="USDT", units=LARGE
        )
        for name in ("c", "a", "b")
    ]
    async with place.transactions.begin("save") as tx:
        store = place.treasury
        for row in rows:
            await store.add_funding(tx, row)
            await store.add_funding(tx, replace(row, units=1))
        await store.save_funding(tx, replace(rows[0], state=FundingState.FUNDED))
        await store.save_funding(tx, replace(rows[1], state=FundingState.GONE))
    async with place.transactions.begin("look") as tx:
        funded = replace(rows[0], state=FundingState.FUNDED)
        assert list(await place.treasury.open_fundings(tx)) == [funded, rows[2]]
        assert list(await place.treasury.fundings_of(tx, SagaId("c"))) == [funded]


async def test_what_was_closed_meanwhile_is_not_funded_after_all(place: Place) -> None:
    """Netting read the row WANTED before its saga closed it: a claim on it would stay for ever."""
    row = FundingRow(
        saga=SagaId("c"), order=OrderId("o"), account=ACCOUNT, asset="USDT", units=LARGE
    )
    for over in (FundingState.GONE, FundingState.USED):
        async with place.transactions.begin("close") as tx:
            await place.treasury.add_funding(tx, replace(row, saga=SagaId(over)))
            await place.treasury.save_funding(tx, replace(row, saga=SagaId(over), state=over))
        async with place.transactions.begin("late") as tx:
            late = replace(row, saga=SagaId(over), state=FundingState.FUNDED)
            await place.treasury.save_funding(tx, late)
            (found,) = await place.treasury.fundings_of(tx, SagaId(over))
            assert found.state is over
            assert list(await place.treasury.open_fundings(tx)) == []


async def test_wallets_and_legs_are_read_as_they_were_saved(place: Place) -> None:
    alice = User(UserId("us_1"), "Alice", 1, "alice-at-mixin")
    bob = User(UserId("us_2"), "Bob", 2)
    order = Order(
        id=OrderId("uo_1"),
        user=alice.id,
        pool=POOL,
        account=ACCOUNT,
        base=Money(asset="BTC", units=5),
        quote=Money(asset="USDT", units=LARGE),
        created_us=5,
        by_mixin=True,
    )
    legs = legs_of(order)
    paid = replace(legs[0], paid_units=LARGE, key="k")
    async with place.transactions.begin("save") as tx:
        store = place.orders
        await place.pools.save_pool(tx, configured(config(), None))
        await store.add_user(tx, alice)
        await store.add_user(tx, bob)
        await store.set_mixin_id(tx, bob.id, "bob-at-mixin")
        await store.add_order(tx, order, TimelineLine(5, order.state, "opened"))
        for leg in reversed(legs):
            await store.add_leg(tx, leg)
        await store.save_leg(tx, paid)
    async with place.transactions.begin("look") as tx:
        store = place.orders
        assert await store.user_at_mixin(tx, "alice-at-mixin") == alice
        assert await store.user(tx, bob.id) == replace(bob, mixin_id="bob-at-mixin")
        assert await store.user_at_mixin(tx, "nobody") is None
        assert await store.order(tx, order.id) == order
        assert await store.leg(tx, paid.trace) == paid
        assert await store.leg_of(tx, paid.intent, "USDT") == legs[1]
        assert list(await store.legs(tx, order.id)) == [paid, legs[1]]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE business.transfer_line SET note = ''",
        "DELETE FROM business.arrival",
        "UPDATE business.treasury_incident SET note = ''",
    ],
)
async def test_what_is_only_added_to_cannot_be_changed_by_the_application(
    database: Database, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.acquire() as connection:
            await connection.execute(statement)
