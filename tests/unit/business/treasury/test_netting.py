"""What venues and Mixin need of each other: first come, first served, one transfer per way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.treasury.model import (
    FundingRow,
    FundingState,
    PaymentIncidentKind,
    Transfer,
    TransferState,
)
from poolmaker.business.treasury.rules import fundable, incoming_units
from poolmaker.business.withdrawals.model import Requested
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.ids import CommandKey, CorrelationId, OrderId, SagaId, UserId, VenueAccountId
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, CUSTODY, POOL, USDT, USDT_OUT, World, mixin_world, ways

MIXIN_USDT = "custody:mixin:usdt"


async def _paid(world: World, name: str, usdt: int, btc: int = 0) -> tuple[UserId, OrderId]:
    user = await world.wallet(name)
    intent = await world.order_by_mixin(user, btc, usdt)
    await world.pay(intent)
    return user, intent.order


def _row(units: int, state: FundingState = FundingState.WANTED) -> FundingRow:
    return FundingRow(
        saga=SagaId(f"s{units}"),
        order=OrderId("o"),
        account=ACCOUNT,
        asset="USDT",
        units=units,
        state=state,
    )


def test_whoever_came_later_waits_behind_who_came_first() -> None:
    rows = [_row(60, FundingState.FUNDED), _row(50), _row(40), _row(30)]
    assert [row.units for row in fundable(rows, 95)] == [50, 40]
    assert [row.units for row in fundable(rows, 49)] == []


def _under_way(
    number: int, target: str, asset: str, units: int, fee: int, state: TransferState
) -> Transfer:
    return Transfer(
        id=SagaId(f"sg_{number}"),
        key=CommandKey(f"k{number}"),
        source=MIXIN_USDT,
        target=target,
        asset=asset,
        units=units + fee,
        fee_units=fee,
        network="TRON",
        address="T",
        tag="",
        reference=f"r{number}",
        requested_us=1,
        correlation=CorrelationId("c"),
        state=state,
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([CUSTODY, "custody:venue:other"]),
            st.sampled_from(["USDT", "BTC"]),
            st.integers(1, 10**6),
            st.integers(0, 10**3),
            st.sampled_from(list(TransferState)),
        ),
        max_size=8,
    )
)
def test_what_is_incoming_is_what_will_arrive_without_the_fee_of_the_way(
    drawn: list[tuple[str, str, int, int, TransferState]],
) -> None:
    """A place that counted the fee as incoming would stay short of it, and never ask for it."""
    rows = [_under_way(number, *one) for number, one in enumerate(drawn)]
    arrives = sum(
        units
        for target, asset, units, _, state in drawn
        if (target, asset) == (CUSTODY, "USDT") and state is not TransferState.REFUSED
    )
    assert incoming_units(CUSTODY, "USDT", rows) == arrives


async def test_two_orders_that_fund_the_same_asset_at_once_get_their_own_each_l12() -> None:
    """L12: one deposit at the venue funds one order, whatever the venue's balance shows."""
    async with mixin_world() as world:
        world.places.closed = True
        _, first = await _paid(world, "alice", 1_000)
        _, second = await _paid(world, "bob", 1_000)
        await world.rest(MINUTE_US)
        for order in (first, second):
            assert (await world.order(order)).state == "funding"
        # Somebody else's money comes to the venue: enough for one of the two.
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 1_500), "cash")
        await world.until_state(first, "in_mm")
        await world.rest(MINUTE_US)
        assert (await world.order(second)).state == "funding"
        assert await world.capital() == (0, 1_000)
        world.places.closed = False
        await world.until_state(second, "in_mm")
        assert await world.capital() == (0, 2_000)
        assert world.books_balance()


async def test_a_leg_that_is_refused_waits_with_the_other_and_is_sent_again_l10() -> None:
    """L10: one leg is at the venue and the other refused: nothing is stranded, none joins half."""
    async with mixin_world() as world:
        world.provider.mood("USDT", "refuse", "refuse")
        _, order = await _paid(world, "alice", 1_000, btc=50)
        await world.until_state(order, "in_mm")
        assert await world.capital() == (50, 1_000)
        states = sorted(row.state.value for row in await world.transfers() if row.asset == "USDT")
        assert states == ["done", "returned", "returned"]


async def test_an_order_whose_leg_is_stuck_can_be_withdrawn_and_is_paid_back_l10() -> None:
    async with mixin_world() as world:
        world.provider.mood("USDT", *["refuse"] * 3)
        alice, order = await _paid(world, "alice", 1_000, btc=50)
        await world.rest(3_000_000)
        world.provider.moods.clear()
        await world.orders.withdraw(alice, order, (), "out")
        await world.until_state(order, "closed")
        rows = await world.payouts_of(alice)
        assert {(row.asset, row.units, row.state.value) for row in rows} == {
            ("BTC", 50, "done"),
            ("USDT", 1_000, "done"),
        }


async def test_a_funding_that_takes_hours_goes_on_when_the_money_is_seen_l11() -> None:
    """L11: no time-out fails money in flight, however long past the deposit's own deadline."""
    async with mixin_world() as world:
        world.places.closed = True
        _, order = await _paid(world, "alice", 1_000)
        await world.rest(12 * MINUTE_US)
        assert (await world.order(order)).state == "funding"
        assert [row.state.value for row in await world.transfers()] == ["left"]
        world.places.closed = False
        await world.until_state(order, "in_mm")


async def test_what_the_venue_has_already_is_not_sent_again() -> None:
    async with mixin_world() as world:
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 400), "cash")
        _, order = await _paid(world, "alice", 1_000)
        await world.until_state(order, "in_mm")
        assert [row.units for row in await world.transfers()] == [600]
        assert await world.custody_at(MIXIN_USDT, "USDT") == 400


async def test_a_withdrawal_that_mixin_cannot_pay_is_fetched_from_the_venues_surplus() -> None:
    async with mixin_world() as world:
        alice = await world.user("alice", usdt=1_000)
        to = USDT_OUT
        money = Money(asset="USDT", units=700)
        answer = await world.withdrawals.withdraw(alice, MIXIN_USDT, money, to, "k")
        assert isinstance(answer, Requested)
        await world.until_withdrawal(answer.withdrawal, "done")
        (row,) = await world.transfers()
        assert (row.source, row.target, row.units) == (CUSTODY, MIXIN_USDT, 700)
        assert await world.custody() == (0, 300)


async def test_no_cash_is_fetched_for_a_withdrawal_whose_user_has_not_got_it() -> None:
    async with mixin_world() as world:
        await world.user("alice", usdt=1_000)
        bob = await world.wallet("bob")
        money = Money(asset="USDT", units=700)
        answer = await world.withdrawals.withdraw(bob, MIXIN_USDT, money, USDT_OUT, "k")
        assert isinstance(answer, Requested)
        await world.until_withdrawal(answer.withdrawal, "declined")
        assert await world.transfers() == []


async def test_the_ways_fee_comes_on_top_and_the_operator_bears_it() -> None:
    async with mixin_world() as world:
        world.places.ways = ways("USDT", fee_units=30)
        world.provider.fee_units = 30
        await world.rooms.netting.start()
        _, other = await _paid(world, "bob", 500)
        await world.rest(MINUTE_US)
        # Nobody's money but bob's is at Mixin: what the way costs is missing at the venue.
        assert (await world.order(other)).state == "funding"
        await world.treasury.operator_in(ACCOUNT, Amount(USDT, 100), "float")
        await world.until_state(other, "in_mm")
        assert await world.capital() == (0, 500)
        assert await world.balance("platform:equity", "USDT") == 100 - 30
        assert world.books_balance()


async def test_one_transfer_is_in_flight_per_way_and_asset() -> None:
    async with mixin_world() as world:
        world.places.closed = True
        orders = [(await _paid(world, name, 1_000))[1] for name in ("alice", "bob", "carol")]
        await world.rest(5 * MINUTE_US)
        assert len([row for row in await world.transfers() if row.state == "left"]) == 1
        world.places.closed = False
        for order in orders:
            await world.until_state(order, "in_mm")
        assert await world.capital() == (0, 3_000)
        assert await world.custody_at(MIXIN_USDT, "USDT") == 0


async def test_a_payout_never_takes_what_a_funded_order_is_about_to_join_with() -> None:
    async with mixin_world() as world:
        world.places.ways = []
        world.engine.barriers = False
        alice = await world.user("alice", usdt=1_000)
        order = await world.open(alice, 0, 1_000)
        await world.rest(10_000_000)
        bob = await world.wallet("bob")
        elsewhere = VenueAccountId("other")
        await world.treasury.credit_deposit(bob, elsewhere, Amount(USDT, 500), "r")
        money = Money(asset="USDT", units=500)
        answer = await world.withdrawals.withdraw(bob, CUSTODY, money, USDT_OUT, "k")
        assert isinstance(answer, Requested)
        await world.rest(MINUTE_US)
        assert (await world.withdrawal(answer.withdrawal)).state == "awaiting_cash"
        world.engine.barriers = True
        await world.until_state(order, "in_mm")


async def test_a_way_that_is_refused_is_told_and_left_alone_for_a_while() -> None:
    """Each try was two entries in the ledger and a call outside, every few seconds for ever."""
    async with mixin_world() as world:
        world.provider.mood("USDT", *["refuse"] * 100)
        await _paid(world, "alice", 1_000)
        await world.rest(10 * MINUTE_US)
        assert len(await world.transfers()) <= 12
        (incident,) = await world.treasury.incidents()
        assert incident.kind is PaymentIncidentKind.TRANSFER_REFUSED
        assert (MIXIN_USDT in incident.subject, incident.note) == (True, "withdrawals are closed")
        assert world.books_balance()


async def _posted(world: World, account: str, units: int) -> None:
    """Until the ledger has booked something whose saga has not heard of it yet."""

    async def booked() -> bool:
        return await world.balance(account, "USDT") == units

    await world.until(booked)
    await _pumped(world)


async def _pumped(world: World) -> None:
    """The pump reads the ledger's log; the sagas do not come to their turn."""
    while await world.pools.pump():
        pass


async def test_a_join_that_is_booked_claims_nothing_twice_and_fetches_nobodys_deposit() -> None:
    """Between the ledger's commit and the saga's, capital and funding both claimed the same cash:
    netting took another user's half paid deposit to the venue, and paid for the way."""
    async with mixin_world() as world:
        bob = await world.wallet("bob")
        half = await world.order_by_mixin(bob, 50, 5_000, "half")
        await world.pay(half, USDT=5_000)
        alice = await world.user("alice", usdt=1_000)
        order = await world.open(alice, 0, 1_000)
        await _posted(world, f"pool:{POOL}:capital", 1_000)
        assert (await world.order(order)).state == "funding"
        await world.net()
        assert await world.transfers() == []


async def test_a_payout_that_is_booked_claims_nothing_twice() -> None:
    async with mixin_world() as world:
        await world.user("carol", usdt=1_000)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 50, 700)
        await world.pay(intent, USDT=700)
        await world.orders.withdraw(alice, intent.order, (), "out")

        async def paid() -> bool:
            rows = await world.payouts_of(alice)
            gone = await world.custody_at(MIXIN_USDT, "USDT") == 0
            return gone and [row.state.value for row in rows] == ["confirmed"]

        await world.until(paid)
        await _pumped(world)
        await world.net()
        assert await world.transfers() == []


async def test_a_transfer_that_is_booked_claims_nothing_twice() -> None:
    async with mixin_world() as world:
        # Somebody's cash at the venue that nobody claims there.
        await world.user("carol", btc=1_000, usdt=1_000)
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_700)
        await world.pay(intent)

        async def out() -> bool:
            rows = await world.transfers()
            gone = await world.custody_at(MIXIN_USDT, "USDT") == 1_000
            return gone and [row.state.value for row in rows] == ["planned"]

        await world.until(out)
        async with world.stores.transactions.begin("look") as tx:
            assert await world.rooms.fundings.spare(tx, MIXIN_USDT, "USDT") == 1_000
