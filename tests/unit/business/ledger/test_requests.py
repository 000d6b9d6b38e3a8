"""Requests: what each moves, and why each is refused, in the order of precedence."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules import PostingDecision
from poolmaker.kernel.ids import WithdrawalId
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Money
from tests.support.ledger import (
    ALICE,
    BOB,
    OTHER,
    PLACE,
    Page,
    bnb,
    btc,
    deposit,
    hold,
    join,
    key,
    lock,
    operator_in,
    pooled_page,
    refused,
    reversal,
    started_page,
    unlock,
    usdt,
)

SHIB = Money(asset="SHIB", units=0)


@dataclass(frozen=True)
class Step:
    """A command that is still refused, and what is mended next."""

    command: c.Command
    refusal: LedgerRefusal


def _walk(page: Page, *steps: Step) -> None:
    """Each step has every later fault as well; the earliest member of Refusal is what is said."""
    order = list(LedgerRefusal)
    said = [refused(page.say(step.command)) for step in steps]
    assert said == [step.refusal for step in steps]
    assert said == sorted(said, key=order.index)


def test_a_lock_moves_every_amount_or_none() -> None:
    page = Page()
    page.must(deposit("d1", usdt(100)), deposit("d2", btc(5)))
    assert page.post(lock("l0", usdt(100), btc(6))) is LedgerRefusal.INSUFFICIENT
    assert page.balance("user:alice:available", "USDT") == 100
    page.must(lock("l1", usdt(100), btc(5)))
    assert page.page() == {
        PLACE: {"BTC": 5, "USDT": 100},
        "order:o1:locked": {"BTC": 5, "USDT": 100},
    }


def test_a_lock_is_refused_for_the_first_of_its_faults() -> None:
    page = Page()
    page.must(deposit("d1", usdt(100)), lock("l1", usdt(1)), deposit("d2", usdt(5), user=BOB))
    _walk(
        page,
        Step(lock("k", SHIB, usdt(-1), user=BOB), LedgerRefusal.UNKNOWN_ASSET),
        Step(lock("k", usdt(0), user=BOB), LedgerRefusal.BAD_AMOUNT),
        Step(lock("k", usdt(6), user=BOB), LedgerRefusal.UNKNOWN_ORDER),
        Step(lock("k", usdt(100)), LedgerRefusal.INSUFFICIENT),
    )


@pytest.mark.parametrize(
    "money", [(), (usdt(0),), (usdt(-1),), (usdt(UNITS_MAX + 1),), (usdt(1), usdt(1))]
)
def test_an_amount_that_makes_no_sense_is_refused(money: tuple[Money, ...]) -> None:
    assert started_page().say(lock("k", *money)) is LedgerRefusal.BAD_AMOUNT


def test_an_unlock_is_refused_for_the_first_of_its_faults() -> None:
    page = Page()
    page.must(
        deposit("d1", usdt(10)), deposit("d2", btc(10)), lock("l1", usdt(10)), reversal("r1", "d1")
    )
    _walk(
        page,
        Step(unlock("k", SHIB, user=BOB), LedgerRefusal.UNKNOWN_ASSET),
        Step(unlock("k", usdt(0), user=BOB), LedgerRefusal.BAD_AMOUNT),
        Step(unlock("k", usdt(99), user=BOB), LedgerRefusal.UNKNOWN_ORDER),
        Step(unlock("k", usdt(99)), LedgerRefusal.BLOCKED_BY_DEFICIT),
    )
    page.must(deposit("d3", usdt(10)))
    assert page.balance("deficit:user:alice:available", "USDT") == 0
    assert page.say(unlock("k", usdt(99))) is LedgerRefusal.INSUFFICIENT
    page.must(unlock("k", usdt(10)))
    assert page.balance("user:alice:available", "USDT") == 10


def test_a_hold_is_refused_for_the_first_of_its_faults() -> None:
    page = Page()
    page.must(
        deposit("d0", usdt(7), user=BOB),
        hold("h0", usdt(7), user=BOB),
        deposit("d1", usdt(10)),
        lock("l1", usdt(10)),
        reversal("r1", "d1"),
    )
    _walk(
        page,
        Step(hold("k", Money(asset="SHIB", units=0)), LedgerRefusal.UNKNOWN_ASSET),
        Step(hold("k", usdt(0)), LedgerRefusal.BAD_AMOUNT),
        Step(hold("k", usdt(99)), LedgerRefusal.UNKNOWN_ORDER),
        Step(hold("k", usdt(99), withdrawal="w2"), LedgerRefusal.BLOCKED_BY_DEFICIT),
    )
    page.must(deposit("d2", usdt(13)))
    assert page.say(hold("k", usdt(99), withdrawal="w2")) is LedgerRefusal.INSUFFICIENT
    page.must(hold("k", usdt(3), withdrawal="w2"))
    assert page.balance("withdrawal:w2:held", "USDT") == 3


def _release(money: Money, withdrawal: str = "w1") -> c.Command:
    return c.ReleaseWithdraw(
        key=key("k"), user=ALICE, withdrawal=WithdrawalId(withdrawal), money=money
    )


def test_a_release_gives_back_no_more_than_is_held() -> None:
    """Ledger 2.5-6: a withdrawal is compensated under its own kind, into the same account."""
    page = Page()
    page.must(deposit("d1", usdt(10)), hold("h1", usdt(10)))
    _walk(
        page,
        Step(_release(SHIB), LedgerRefusal.UNKNOWN_ASSET),
        Step(_release(usdt(0)), LedgerRefusal.BAD_AMOUNT),
        Step(_release(usdt(11), "w9"), LedgerRefusal.UNKNOWN_ORDER),
        Step(_release(usdt(11)), LedgerRefusal.INSUFFICIENT),
    )
    page.must(_release(usdt(10)))
    assert page.page() == {PLACE: {"USDT": 10}, "user:alice:available": {"USDT": 10}}


def _out(money: Money, location: str = PLACE) -> c.Command:
    return c.OperatorOut(key=key("k"), location=location, money=money, reference="r")


def test_the_operator_takes_out_only_his_own() -> None:
    """Ledger invariants 8 and 9."""
    page = pooled_page()
    page.must(operator_in("i1", usdt(50)))
    free = 1_000_000_050 - 500_000_000
    _walk(
        page,
        Step(_out(SHIB), LedgerRefusal.UNKNOWN_ASSET),
        Step(_out(usdt(0)), LedgerRefusal.BAD_AMOUNT),
        Step(_out(usdt(1_000_000_051)), LedgerRefusal.INSUFFICIENT),
        Step(_out(usdt(free + 1)), LedgerRefusal.NOT_FUNDED),
        Step(_out(usdt(51)), LedgerRefusal.EQUITY_BELOW_ZERO),
    )
    assert page.say(_out(usdt(1), "platform:equity")) is LedgerRefusal.INSUFFICIENT
    page.must(_out(usdt(50)))
    assert page.balance("platform:equity", "USDT") == 0


def test_float_comes_out_of_equity_and_not_out_of_the_air() -> None:
    """Ledger invariant 8."""
    page = Page()
    page.must(operator_in("i1", bnb(10)))

    def fund(units: int) -> c.Command:
        return c.FundFeeFloat(key=key("k"), money=bnb(units))

    assert page.say(fund(0)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(fund(11)) is LedgerRefusal.EQUITY_BELOW_ZERO
    page.must(fund(10))
    assert page.balance("platform:fee_float", "BNB") == 10


def test_found_40_fees_and_remainders_settle_into_equity_and_nothing_else_does() -> None:
    page = Page()
    source = c.CreditSuspense(
        key=key("s"), source="x", location=PLACE, money=usdt(30), reference="r"
    )
    page.must(source, operator_in("i1", usdt(10)), deposit("d", usdt(9)))
    reward = c.ReceiveReward(
        key=key("r"), campaign="c", location=PLACE, money=usdt(100), reference="r"
    )
    split = c.AllocateReward(
        key=key("a"), campaign="c", reward="w", fee=usdt(20), users=usdt(70), digest="00"
    )
    page.must(reward, split, c.Dust(key=key("u"), campaign="c", money=usdt(10)))

    def settle(account: str, units: int) -> c.Command:
        return c.SettleFees(key=key(f"{account} {units}"), account=account, money=usdt(units))

    assert page.say(settle("platform:fees", 0)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(settle("platform:fees", 21)) is LedgerRefusal.INSUFFICIENT
    for foreign in ("user:alice:available", "suspense:x", "platform:fee_float", PLACE):
        assert page.say(settle(foreign, 1)) is LedgerRefusal.INSUFFICIENT
    page.must(settle("platform:fees", 20), settle("platform:dust", 10))
    assert page.balance("platform:equity", "USDT") == 40
    assert page.balance("platform:fees", "USDT") == page.balance("platform:dust", "USDT") == 0


def test_found_40_float_trades_go_both_ways_and_neither_below_zero() -> None:
    page = Page()
    page.must(operator_in("i1", bnb(10)))

    def trade(name: str, units: int, *, into: bool) -> c.Command:
        return c.FloatTrade(key=key(name), money=bnb(units), into_float=into)

    assert page.say(trade("a", 11, into=True)) is LedgerRefusal.EQUITY_BELOW_ZERO
    page.must(trade("b", 10, into=True))
    assert page.say(trade("c", 11, into=False)) is LedgerRefusal.INSUFFICIENT
    page.must(trade("d", 4, into=False))
    assert page.balance("platform:fee_float", "BNB") == 6
    assert page.balance("platform:equity", "BNB") == 4


def test_found_28_a_shortfall_is_borne_by_equity_as_far_as_it_goes() -> None:
    page = Page()
    page.must(operator_in("i1", usdt(5)), deposit("d", usdt(100)))

    def bear(units: int, location: str = PLACE) -> c.Command:
        return c.BearShortfall(
            key=key(f"{location} {units}"), location=location, money=usdt(units), reference="r"
        )

    assert page.say(bear(0)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(bear(1, "platform:fees")) is LedgerRefusal.INSUFFICIENT
    assert page.say(bear(106)) is LedgerRefusal.INSUFFICIENT
    assert page.say(bear(6)) is LedgerRefusal.EQUITY_BELOW_ZERO, "ledger invariant 8"
    page.must(bear(5))
    assert page.page() == {PLACE: {"USDT": 100}, "user:alice:available": {"USDT": 100}}


def test_an_amount_that_would_not_fit_38_digits_changes_nothing() -> None:
    page = Page()
    page.must(deposit("d1", usdt(UNITS_MAX)), lock("l1", usdt(UNITS_MAX)))
    assert page.balanced()
    assert page.balance("order:o1:locked", "USDT") == UNITS_MAX


def test_users_never_touch_each_others_orders() -> None:
    page = started_page()
    page.must(deposit("d9", usdt(10), user=BOB))
    assert page.say(lock("k", usdt(1), user=BOB)) is LedgerRefusal.UNKNOWN_ORDER
    assert page.say(unlock("k", usdt(1), user=BOB)) is LedgerRefusal.UNKNOWN_ORDER
    assert page.say(unlock("k", usdt(1), order=OTHER)) is LedgerRefusal.UNKNOWN_ORDER


def test_a_request_that_is_refused_moves_nothing() -> None:
    page = started_page()
    before = page.page()
    page.post(lock("k", usdt(10**12)), join("j", 10**12, 0), unlock("u", btc(10**12)))
    assert page.page() == before


def test_two_orders_on_one_balance_lock_it_once() -> None:
    """9.2 'two workers reserve the same balance': exactly one succeeds."""
    page = Page()
    page.must(deposit("d1", usdt(10)))
    assert isinstance(page.post(lock("l1", usdt(10))), PostingDecision)
    assert page.post(lock("l2", usdt(10), order=OTHER)) is LedgerRefusal.INSUFFICIENT
