"""What people state about money: in the books only with the evidence of its place."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.business.ledger.commands import ResolveSuspenseTo
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.treasury.booking import Booked, NotBooked, StatementRefusal
from poolmaker.business.treasury.custody import CustodyFinding, CustodyIncidentKind
from poolmaker.business.treasury.service import TreasuryService
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import PreconditionError, Unavailable
from poolmaker.kernel.ids import CommandKey, UserId, VenueAccountId
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money
from tests.support.business import (
    ACCOUNT,
    CUSTODY,
    USDT,
    USDT_OUT,
    World,
    mixin_world,
    model_world,
    ways,
)


def _usdt(units: int) -> Amount:
    return Amount(USDT, units)


def _treasury(world: World) -> TreasuryService:
    return world.rooms.treasury


async def _surplus(world: World, units: int) -> None:
    """The place has so much more than is booked there, and a look has found that it lasts."""
    booked = await world.balance(CUSTODY, "USDT")
    world.places.held[CUSTODY, "USDT"] = booked + units
    finding = CustodyFinding(
        kind=CustodyIncidentKind.SURPLUS,
        location=CUSTODY,
        asset="USDT",
        units=units,
        booked_units=booked,
        reported_units=booked + units,
    )
    await world.rooms.custody.record(
        [finding] if units else [], lambda _: "seen", as_of_us=world.clock.now_us()
    )


async def test_found_27_an_amount_that_the_place_does_not_report_is_refused_with_both() -> None:
    async with model_world() as world:
        world.places.deposits[CUSTODY, "USDT", "d1"] = 5_000
        answer = await _treasury(world).operator_in(ACCOUNT, _usdt(50_000), "d1")
        assert answer == NotBooked(StatementRefusal.AMOUNT_DIFFERS, 5_000)
        for second in (False, True):
            again = await _treasury(world).operator_in(
                ACCOUNT, _usdt(50_000), "d1", second_person=second
            )
            assert again == NotBooked(StatementRefusal.AMOUNT_DIFFERS, 5_000), (
                "nobody overrules the place"
            )
        assert isinstance(await _treasury(world).operator_in(ACCOUNT, _usdt(5_000), "d1"), Booked)
        assert await world.custody() == (0, 5_000)


async def test_found_27_an_unknown_place_is_refused() -> None:
    async with model_world() as world:
        nosuch = VenueAccountId("nosuch")
        world.places.strange = {f"custody:venue:{nosuch}"}
        answer = await _treasury(world).operator_in(nosuch, _usdt(1), "d1", second_person=True)
        assert answer == NotBooked(StatementRefusal.UNKNOWN_PLACE)


async def test_found_27_a_deposit_with_nothing_behind_it_is_never_credited() -> None:
    async with model_world() as world:
        alice = await world.user("alice")
        credit = _treasury(world).credit_deposit
        alone = await credit(alice, ACCOUNT, _usdt(100), "typo")
        assert alone == NotBooked(StatementRefusal.NOT_CONFIRMED)
        two = await credit(alice, ACCOUNT, _usdt(100), "typo", second_person=True)
        assert two == NotBooked(StatementRefusal.NOTHING_BEHIND, 0)
        await _surplus(world, 99)
        short = await credit(alice, ACCOUNT, _usdt(100), "typo", second_person=True)
        assert short == NotBooked(StatementRefusal.NOTHING_BEHIND, 99)
        assert await world.available(alice) == (0, 0)


async def test_a_surplus_is_somebodys_once_and_with_two_people() -> None:
    async with model_world() as world:
        alice = await world.user("alice")
        credit = _treasury(world).credit_deposit
        await _surplus(world, 150)
        assert await credit(alice, ACCOUNT, _usdt(100), "a") == NotBooked(
            StatementRefusal.NOT_CONFIRMED
        )
        first = await credit(alice, ACCOUNT, _usdt(100), "a", second_person=True)
        assert isinstance(first, Booked)
        again = await credit(alice, ACCOUNT, _usdt(100), "a", second_person=True)
        assert again == Booked(first.seq, already=True)
        more = await credit(alice, ACCOUNT, _usdt(51), "b", second_person=True)
        assert more == NotBooked(StatementRefusal.NOTHING_BEHIND, 50), "a surplus is used once"
        assert isinstance(await credit(alice, ACCOUNT, _usdt(50), "b", second_person=True), Booked)


async def test_found_27_a_deposit_of_the_past_is_not_booked_under_a_second_name() -> None:
    """Books of before knew a deposit by any name; the place has not got it twice."""
    async with model_world() as world:
        world.places.held[CUSTODY, "USDT"] = 100
        world.places.deposits[CUSTODY, "USDT", "wire 7"] = 100
        first = await _treasury(world).operator_in(ACCOUNT, _usdt(100), "wire 7")
        assert isinstance(first, Booked)
        world.places.deposits[CUSTODY, "USDT", "0xabc"] = 100
        again = await _treasury(world).operator_in(ACCOUNT, _usdt(100), "0xabc")
        assert again == NotBooked(StatementRefusal.NOTHING_BEHIND, 0)


async def test_a_place_that_is_silent_confirms_nothing() -> None:
    async with model_world() as world:
        world.places.silent = True
        with pytest.raises(Unavailable):
            await _treasury(world).operator_in(ACCOUNT, _usdt(1), "d", second_person=True)


async def test_found_27_a_transfer_of_ours_is_not_the_operators_money() -> None:
    async with mixin_world() as world:
        world.places.ways = ways("USDT")
        world.places.closed = True
        await world.insist(lambda: world.arrive("USDT", 500, "o", sender=""))
        alice = await world.wallet("alice")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent)
        (row,) = await world.until_transfers("left")
        world.places.deposits[CUSTODY, "USDT", row.transaction_id] = 1_000
        answer = await _treasury(world).operator_in(ACCOUNT, _usdt(1_000), row.transaction_id)
        assert answer == NotBooked(StatementRefusal.IS_TRANSFER)
        world.places.closed = False
        await world.until_transfers("done")
        late = await _treasury(world).operator_in(ACCOUNT, _usdt(1_000), row.transaction_id)
        assert late == NotBooked(LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT)


async def test_found_27_what_was_stated_wrong_is_reversed_and_stated_right() -> None:
    async with model_world() as world:
        alice, bob = await world.user("alice"), await world.user("bob")
        treasury = _treasury(world)
        world.places.deposits[CUSTODY, "USDT", "d1"] = 100
        wrong = await treasury.credit_deposit(alice, ACCOUNT, _usdt(100), "d1")
        assert isinstance(wrong, Booked)
        with pytest.raises(PreconditionError, match="reason"):
            await treasury.reverse(wrong.seq, " ")
        undone = await treasury.reverse(wrong.seq, "it is bob's")
        assert isinstance(undone, Booked)
        assert await treasury.reverse(wrong.seq, "it is bob's") == Booked(undone.seq, already=True)
        right = await treasury.credit_deposit(bob, ACCOUNT, _usdt(100), "d1")
        assert isinstance(right, Booked)
        assert (await world.available(alice), await world.available(bob)) == ((0, 0), (0, 100))
        assert await treasury.reverse(undone.seq, "no") == NotBooked(
            StatementRefusal.NOT_REVERSIBLE
        )
        assert await treasury.reverse(10_000, "no") == NotBooked(StatementRefusal.NOT_REVERSIBLE)
        assert await treasury.reverse(0, "no") == NotBooked(StatementRefusal.NOT_REVERSIBLE)


@pytest.mark.parametrize("spent", [False, True])
async def test_what_mixin_told_is_in_suspense_once_reversed_and_becomes_the_right_users(
    spent: bool,
) -> None:
    """Nobody can state anew what a place tells by itself: reversed, it was in no list for ever."""
    async with mixin_world() as world:
        mixin = "custody:mixin:usdt"
        world.places.strange = {mixin}
        alice, bob = await world.wallet("alice"), await world.wallet("bob")
        intent = await world.order_by_mixin(alice, 0, 1_000)
        await world.pay(intent, USDT=1_000 if spent else 400)
        if spent:
            await world.until_state(intent.order, "in_mm")
        else:
            await world.rest(SECOND_US)
        units = 1_000 if spent else 400
        held = await world.balance(mixin, "USDT")
        async with world.stores.transactions.begin("look") as tx:
            log = await world.ledger.read(tx, 0, 100)
        (deposit,) = [one for one in log if one.kind == "CREDIT_DEPOSIT"]
        undone = await _treasury(world).reverse(deposit.seq, "it is bob's")
        assert isinstance(undone, Booked)
        again = await _treasury(world).reverse(deposit.seq, "it is bob's")
        assert again == Booked(undone.seq, already=True)
        await world.rest(SECOND_US)
        assert await world.balance(mixin, "USDT") == held, "it is still there"
        (row,) = await _treasury(world).open_suspense()
        assert (row.money.units, row.sender, row.reason) == (units, "a-wallet", "it is bob's")
        listed = {item.subject for item in await _treasury(world).attention()}
        assert row.source in listed
        target = f"user:{bob}:available"
        await world.ledger.submit(
            ResolveSuspenseTo(
                key=CommandKey("r"), source=row.source, target=target, money=row.money, reason="his"
            )
        )
        assert await world.available(bob) == (0, units)
        owed = await world.balance(f"deficit:user:{alice}:available", "USDT")
        assert owed == (units if spent else 0), "what is spent is owed and listed"
        assert spent or world.books_balance()


async def test_what_the_place_lets_people_state_anew_is_in_no_suspense_once_reversed() -> None:
    async with model_world() as world:
        alice = await world.user("alice")
        world.places.deposits[CUSTODY, "USDT", "d1"] = 100
        wrong = await _treasury(world).credit_deposit(alice, ACCOUNT, _usdt(100), "d1")
        assert isinstance(wrong, Booked)
        assert isinstance(await _treasury(world).reverse(wrong.seq, "no"), Booked)
        assert await _treasury(world).open_suspense() == []
        assert await world.custody() == (0, 0)


async def test_a_lock_is_not_for_people_to_reverse() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        order = await world.open(alice, 0, 500)
        await world.until_state(order, "in_mm")
        async with world.stores.transactions.begin("look") as tx:
            log = await world.ledger.read(tx, 0, 100)
        seqs = [one.seq for one in log if one.kind in ("LOCK", "JOIN_POOL")]
        for seq in seqs:
            assert await _treasury(world).reverse(seq, "r") == NotBooked(
                StatementRefusal.NOT_REVERSIBLE
            )


async def test_found_40_the_operator_takes_out_only_what_is_free_and_not_short() -> None:
    async with model_world() as world:
        await world.open_pool()
        await world.insist(lambda: world.treasury.operator_in(ACCOUNT, _usdt(100), "in"))
        alice = await world.user("alice", usdt=1_000)
        order = await world.open(alice, 0, 1_000)
        await world.until_state(order, "in_mm")
        await world.rest(SECOND_US)
        treasury = _treasury(world)
        much = await treasury.operator_out(CUSTODY, _usdt(101), "o1")
        assert much == NotBooked(StatementRefusal.NOT_FREE, 100)
        short = CustodyFinding(
            kind=CustodyIncidentKind.SHORTFALL, location=CUSTODY, asset="USDT", units=1
        )
        await world.rooms.custody.record([short], lambda _: "", as_of_us=world.clock.now_us())
        stopped = await treasury.operator_out(CUSTODY, _usdt(100), "o2")
        assert stopped == NotBooked(StatementRefusal.CUSTODY_STOPPED)
        await world.rooms.custody.record([], lambda _: "seen", as_of_us=world.clock.now_us())
        out = await treasury.operator_out(CUSTODY, _usdt(100), "o3")
        assert isinstance(out, Booked)
        assert await treasury.operator_out(CUSTODY, _usdt(100), "o3") == Booked(out.seq, True)
        assert await world.custody() == (0, 1_000)


async def test_of_many_takings_at_once_none_takes_what_a_user_is_promised_there() -> None:
    async with model_world() as world:
        await world.open_pool()
        other = VenueAccountId("other")
        await world.insist(lambda: world.treasury.operator_in(ACCOUNT, _usdt(100), "in"))
        await world.insist(lambda: world.treasury.operator_in(other, _usdt(900), "in"))
        alice = await world.user("alice", usdt=1_000)
        await world.withdrawals.freeze("a drill", "Olga")
        money = Money(asset="USDT", units=1_000)
        await world.insist(lambda: world.withdrawals.withdraw(alice, CUSTODY, money, USDT_OUT, "w"))
        await world.rest(5 * SECOND_US)
        treasury = _treasury(world)
        takings = [treasury.operator_out(CUSTODY, _usdt(100), f"o{n}") for n in range(4)]
        said = await asyncio.gather(*takings, return_exceptions=True)
        assert sum(isinstance(one, Booked) for one in said) == 1, said
        assert await world.custody() == (0, 1_000)


STEPS = st.tuples(
    st.sampled_from(["state", "credit", "deposit", "surplus", "reverse"]),
    st.sampled_from(["r1", "r2", "r3"]),
    st.integers(1, 3),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=24))
async def test_found_27_the_books_never_hold_more_than_the_place_has_reported(
    steps: list[tuple[str, str, int, bool]],
) -> None:
    """Whatever is stated, twice, wrongly, for anybody: what is booked has come to its place."""
    async with model_world() as world:
        alice, treasury = await world.user("alice"), _treasury(world)
        really = 0
        seqs: list[int] = []
        world.places.held[CUSTODY, "USDT"] = 0
        for what, reference, units, second in steps:
            match what:
                case "deposit" if (CUSTODY, "USDT", reference) not in world.places.deposits:
                    world.places.deposits[CUSTODY, "USDT", reference] = units
                    really += units
                    world.places.held[CUSTODY, "USDT"] = really
                case "surplus":
                    # Somebody pays without a reference; then the place is looked at.
                    really += units
                    await _surplus(world, really - await world.balance(CUSTODY, "USDT"))
                case "reverse" if seqs:
                    await treasury.reverse(seqs[units % len(seqs)], "wrong")
                case "state" | "credit":
                    answer = await _state(world, alice, (what, reference, units), second=second)
                    if isinstance(answer, Booked):
                        seqs.append(answer.seq)
                case _:
                    pass
            assert await world.balance(CUSTODY, "USDT") <= really
        assert world.books_balance()


async def _state(
    world: World, user: UserId, said: tuple[str, str, int], *, second: bool
) -> Booked | NotBooked:
    what, reference, units = said
    treasury = _treasury(world)
    if what == "state":
        return await treasury.operator_in(ACCOUNT, _usdt(units), reference, second_person=second)
    return await treasury.credit_deposit(
        user, ACCOUNT, _usdt(units), reference, second_person=second
    )
