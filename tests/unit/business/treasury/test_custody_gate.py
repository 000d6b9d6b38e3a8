"""Custody incidents against the sagas: what is short pays nobody, what is silent takes nothing."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.treasury.booking import Bearable, Booked, NotBooked, StatementRefusal
from poolmaker.business.treasury.custody import CustodyFinding, CustodyIncidentKind
from poolmaker.business.treasury.model import PaymentSettings
from poolmaker.business.withdrawals.model import Requested
from poolmaker.kernel.clock import MINUTE_US
from poolmaker.kernel.ids import UserId, WithdrawalId
from poolmaker.kernel.money import Amount
from poolmaker.messages.base import Money
from tests.support.business import ACCOUNT, CUSTODY, USDT, USDT_OUT, World, mixin_world, model_world

K = CustodyIncidentKind
MIXIN_USDT = "custody:mixin:usdt"


def _finding(kind: K, location: str = CUSTODY, units: int = 5) -> CustodyFinding:
    asset = "" if kind is K.SILENCE else "USDT"
    return CustodyFinding(kind=kind, location=location, asset=asset, units=units)


async def _found(world: World, *findings: CustodyFinding) -> None:
    """What the last look found; anything else is over."""
    now_us = world.clock.now_us()
    await world.insist(
        lambda: world.rooms.custody.record(
            findings, lambda _: "seen", as_of_us=now_us, bearable=findings
        )
    )


async def _payout(world: World, user: UserId, units: int, source: str, key: str) -> WithdrawalId:
    money = Money(asset="USDT", units=units)
    answer = await world.insist(
        lambda: world.withdrawals.withdraw(user, source, money, USDT_OUT, key)
    )
    assert isinstance(answer, Requested), answer
    return answer.withdrawal


async def test_found_28_a_shortfall_holds_payouts_of_its_place_until_evidence_comes() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        await _found(world, _finding(K.SHORTFALL))
        withdrawal = await _payout(world, alice, 600, CUSTODY, "w")
        await world.rest(MINUTE_US)
        assert (await world.withdrawal(withdrawal)).state == "held"
        assert world.provider.requests == []
        other = await _payout(world, alice, 100, CUSTODY, "w2")
        await world.rest(MINUTE_US)
        await _found(world)
        for one in (withdrawal, other):
            await world.until_withdrawal(one, "done")
        assert world.provider.paid("USDT") == 700


async def test_found_28_a_surplus_and_silence_pay_on_and_so_does_another_place() -> None:
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        elsewhere = _finding(K.SHORTFALL, "custody:venue:other")
        await _found(world, _finding(K.SURPLUS), _finding(K.SILENCE), elsewhere)
        withdrawal = await _payout(world, alice, 600, CUSTODY, "w")
        await world.until_withdrawal(withdrawal, "done")


async def test_found_28_nobody_joins_where_custody_is_short_or_silent() -> None:
    for kind in (K.SHORTFALL, K.SILENCE):
        async with model_world() as world:
            await world.open_pool()
            alice = await world.user("alice", usdt=1_000)
            await _found(world, _finding(kind))
            order = await world.open(alice, 0, 500)
            await world.rest(MINUTE_US)
            assert (await world.order(order)).state == "funding"
            await _found(world)
            await world.until_state(order, "in_mm")


async def test_found_28_a_join_that_waits_for_its_barrier_waits_for_custody_too() -> None:
    async with model_world() as world:
        await world.open_pool()
        world.engine.barriers = False
        alice = await world.user("alice", usdt=1_000)
        order = await world.open(alice, 0, 500)
        await world.rest(MINUTE_US)
        await _found(world, _finding(K.SHORTFALL))
        world.engine.barriers = True
        await world.rest(MINUTE_US)
        assert (await world.order(order)).state == "funding"
        assert await world.capital() == (0, 0)
        await _found(world)
        await world.until_state(order, "in_mm")


async def test_found_28_money_neither_leaves_a_short_place_nor_goes_to_a_silent_one() -> None:
    for kind, location in ((K.SHORTFALL, MIXIN_USDT), (K.SILENCE, CUSTODY)):
        async with mixin_world() as world:
            await _found(world, _finding(kind, location))
            alice = await world.wallet("alice")
            intent = await world.order_by_mixin(alice, 0, 1_000)
            await world.pay(intent)
            await world.rest(MINUTE_US)
            assert await world.transfers() == []
            await _found(world)
            await world.until_state(intent.order, "in_mm")


async def test_found_28_a_small_shortfall_is_the_operators_loss_and_the_books_say_so() -> None:
    treasury = PaymentSettings(shortfall_max={"USDT": 10})
    async with model_world(treasury=treasury) as world:
        await world.insist(lambda: world.treasury.operator_in(ACCOUNT, Amount(USDT, 100), "own"))
        await world.user("alice", usdt=1_000)
        await _found(world, _finding(K.SHORTFALL, units=7))
        await world.rest(MINUTE_US)
        assert await world.custody() == (0, 1_093)
        assert await world.balance("platform:equity", "USDT") == 93
        await _found(world, _finding(K.SHORTFALL, units=11))
        await world.rest(MINUTE_US)
        assert await world.balance("platform:equity", "USDT") == 93
        assert world.books_balance()


async def test_a_shortfall_is_borne_again_only_after_its_place_was_compared_anew() -> None:
    async with model_world() as world:
        await world.insist(lambda: world.treasury.operator_in(ACCOUNT, Amount(USDT, 100), "own"))
        await world.user("alice", usdt=1_000)
        await _found(world, _finding(K.SHORTFALL, units=7))
        (one,) = await world.rooms.custody.incidents()
        bear = world.treasury.bear_shortfall
        assert await world.treasury.bearable(one.name) == Bearable("USDT", 7, 1)
        other = NotBooked(StatementRefusal.DIFFERENCE_CHANGED)
        assert await bear(one.name, 8, 1) == other
        assert await bear(one.name, 7, 2) == other
        assert isinstance(await bear(one.name, 7, 1), Booked)
        assert await world.treasury.bearable(one.name) == NotBooked(StatementRefusal.NOT_SEEN_AGAIN)
        again = await bear(one.name, 7, 1)
        assert isinstance(again, Booked)
        assert again.already, "the same attempt is one effect"
        world.clock.advance(MINUTE_US)
        await _found(world, _finding(K.SHORTFALL, units=3))
        assert await bear(one.name, 7, 1) == again
        assert await world.treasury.bearable(one.name) == Bearable("USDT", 3, 2)
        assert isinstance(await bear(one.name, 3, 2), Booked)
        assert await world.balance("platform:equity", "USDT") == 90
        await _found(world)
        assert await bear(one.name, 3, 2) == replace(again, seq=again.seq + 1), "closed by then"
        assert await world.treasury.bearable(one.name) == NotBooked(
            StatementRefusal.UNKNOWN_INCIDENT
        )
        assert world.books_balance()


async def test_a_refused_bearing_is_no_obstacle_to_the_next() -> None:
    async with model_world(treasury=PaymentSettings(shortfall_max={"USDT": 10})) as world:
        await world.user("alice", usdt=1_000)
        await _found(world, _finding(K.SHORTFALL, units=7))
        await world.rest(MINUTE_US)
        (one,) = await world.rooms.custody.incidents()
        assert one.covered_units == 7, "the platform has asked by itself"
        bear, short = world.treasury.bear_shortfall, NotBooked(LedgerRefusal.EQUITY_BELOW_ZERO)
        assert await bear(one.name, 7, 1) == short
        await world.insist(lambda: world.treasury.operator_in(ACCOUNT, Amount(USDT, 100), "own"))
        assert await bear(one.name, 7, 1) == short, "an answer is an answer"
        assert await world.treasury.bearable(one.name) == Bearable("USDT", 7, 2)
        assert isinstance(await bear(one.name, 7, 2), Booked)
        assert await world.balance("platform:equity", "USDT") == 93


KINDS = st.sets(st.sampled_from([K.SHORTFALL, K.SURPLUS, K.SILENCE]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(1, 90)), min_size=1, max_size=5))
async def test_found_28_nothing_is_ever_sent_while_its_place_is_short(
    rounds: list[tuple[set[K], int]],
) -> None:
    """Whatever incidents come and go: sent while short is never, and in the end all is paid."""
    async with model_world() as world:
        await world.open_pool()
        alice = await world.user("alice", usdt=1_000)
        asked = []
        for number, (kinds, units) in enumerate(rounds):
            await _found(world, *(_finding(kind) for kind in sorted(kinds)))
            before = len(world.provider.requests)
            asked.append(await _payout(world, alice, units, CUSTODY, f"w{number}"))
            await world.rest(MINUTE_US)
            sent = len(world.provider.requests) - before
            assert bool(sent) == (K.SHORTFALL not in kinds)
        await _found(world)
        for one in asked:
            await world.until_withdrawal(one, "done")
        assert world.provider.paid("USDT") == sum(units for _, units in rounds)
