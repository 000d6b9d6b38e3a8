"""Money between our own places, what is nobody's yet, and campaigns' rewards."""

from __future__ import annotations

import pytest

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import BlockReason, LedgerRefusal
from poolmaker.kernel.ids import UserId, WithdrawalId
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Money
from tests.support.ledger import (
    ALICE,
    BOB,
    ORDER,
    OTHER,
    PLACE,
    Page,
    deposit,
    key,
    lock,
    operator_in,
    pooled_page,
    reversal,
    stuck,
    usdt,
)

MIXIN = "custody:mixin:usdt"
CAMPAIGN = "hufi-1338-0xab"
SHIB = Money(asset="SHIB", units=5)


def _out(name: str, money: Money, location: str = PLACE) -> c.Command:
    return c.MoveOut(key=key(name), transfer="t1", location=location, money=money)


def _in(name: str, money: Money, location: str = MIXIN) -> c.Command:
    return c.MoveIn(key=key(name), transfer="t1", location=location, money=money, reference="r")


def _fee(name: str, money: Money, location: str = "transit:t1") -> c.Command:
    return c.MoveFee(key=key(name), transfer="t1", location=location, money=money, reference="r")


def _reward(name: str, money: Money) -> c.Command:
    place = "custody:evm:0xaa:usdt"
    return c.ReceiveReward(
        key=key(name), campaign=CAMPAIGN, location=place, money=money, reference="r"
    )


def _allocate(name: str, fee: int, users: int) -> c.Command:
    return c.AllocateReward(
        key=key(name),
        campaign=CAMPAIGN,
        reward="r1",
        fee=usdt(fee),
        users=usdt(users),
        digest="00",
    )


def _credit(name: str, units: int, user: UserId = ALICE) -> c.Command:
    return c.CreditReward(
        key=key(name), campaign=CAMPAIGN, reward="r1", user=user, order=ORDER, money=usdt(units)
    )


def test_a_transfer_is_in_transit_between_two_places_and_its_fee_is_the_operators() -> None:
    page = Page()
    page.must(operator_in("e", usdt(10)), deposit("d", usdt(100)))
    page.must(_out("out", usdt(60)))
    assert page.balance("transit:t1", "USDT") == 60
    page.must(_fee("fee", usdt(2)), _in("in", usdt(58)))
    assert page.balance("transit:t1", "USDT") == 0
    assert page.balance(MIXIN, "USDT") == 58
    assert page.balance("platform:equity", "USDT") == 8
    assert page.balance("user:alice:available", "USDT") == 100
    assert page.balanced()


def test_a_fee_in_another_asset_is_taken_where_it_was_paid() -> None:
    page = Page()
    page.must(deposit("d", usdt(100)), _out("out", usdt(60)))
    page.must(_fee("fee", Money(asset="BNB", units=3), location="custody:evm:0xaa:bnb"))
    assert page.balance("custody:evm:0xaa:bnb", "BNB") == -3
    assert page.balance("platform:equity", "BNB") == -3
    assert page.balanced()


def test_a_transfer_that_came_back_stands_at_its_origin_again() -> None:
    page = Page()
    page.must(deposit("d", usdt(100)), _out("out", usdt(60)), _in("back", usdt(60), PLACE))
    assert page.balance(PLACE, "USDT") == 100
    assert page.balance("transit:t1", "USDT") == 0


def test_more_than_was_sent_is_booked_and_shows_in_transit() -> None:
    """Ledger invariant 3."""
    page = Page()
    page.must(deposit("d", usdt(100)), _out("out", usdt(60)), _in("in", usdt(61)))
    assert page.balance("transit:t1", "USDT") == -1


def test_what_pools_own_at_a_venue_never_leaves_it() -> None:
    """Ledger invariant 9."""
    page = pooled_page()
    held = page.balance(PLACE, "USDT")
    claimed = page.balance("pool:p1:capital", "USDT")
    assert page.post(_out("o1", usdt(held - claimed + 1))) is LedgerRefusal.NOT_FUNDED
    if held > claimed:
        page.must(_out("o2", usdt(held - claimed)))


@pytest.mark.parametrize(
    ("money", "location", "refusal"),
    [
        (SHIB, PLACE, LedgerRefusal.UNKNOWN_ASSET),
        (usdt(0), PLACE, LedgerRefusal.BAD_AMOUNT),
        (usdt(UNITS_MAX + 1), PLACE, LedgerRefusal.BAD_AMOUNT),
        (usdt(1), "platform:equity", LedgerRefusal.INSUFFICIENT),
        (usdt(101), PLACE, LedgerRefusal.INSUFFICIENT),
    ],
)
def test_a_transfer_that_cannot_leave_is_refused(
    money: Money, location: str, refusal: LedgerRefusal
) -> None:
    page = Page()
    page.must(deposit("d", usdt(100)))
    assert page.post(_out("o", money, location)) is refusal


@pytest.mark.parametrize("fact", [_in("f", SHIB), _fee("f", SHIB), _reward("f", SHIB)])
def test_facts_of_an_unknown_asset_wait(fact: c.Command) -> None:
    assert stuck(Page().say(fact)).obstacle is BlockReason.UNKNOWN_ASSET


@pytest.mark.parametrize(
    "fact", [_in("f", usdt(0)), _fee("f", usdt(-1)), _fee("f", usdt(1), "platform:fees")]
)
def test_facts_that_make_no_sense_wait(fact: c.Command) -> None:
    assert stuck(Page().say(fact)).obstacle is BlockReason.MALFORMED


def test_an_order_pays_what_it_was_quoted_and_nobody_elses_does() -> None:
    page = Page()
    page.must(deposit("d", usdt(100)), lock("l", usdt(100)))
    quoted = c.PlatformFee(
        key=key("f1"), user=ALICE, order=ORDER, money=usdt(3), reason="exit network"
    )
    page.must(quoted)
    assert page.balance("platform:fees", "USDT") == 3
    assert page.balance("order:o1:locked", "USDT") == 97
    for other in (
        c.PlatformFee(key=key("f2"), user=BOB, order=ORDER, money=usdt(3), reason="r"),
        c.PlatformFee(key=key("f3"), user=ALICE, order=OTHER, money=usdt(3), reason="r"),
    ):
        assert page.post(other) is LedgerRefusal.UNKNOWN_ORDER
    more = c.PlatformFee(key=key("f4"), user=ALICE, order=ORDER, money=usdt(98), reason="r")
    assert page.post(more) is LedgerRefusal.INSUFFICIENT


def _suspended() -> Page:
    page = Page()
    page.must(
        c.CreditSuspense(
            key=key("s"), source="mixin:out1", location=MIXIN, money=usdt(9), reference="out1"
        )
    )
    return page


def test_what_was_nobodys_is_resolved_or_refunded_and_never_both() -> None:
    page = _suspended()
    back = WithdrawalId("w9")
    page.must(c.Refund(key=key("r"), source="mixin:out1", withdrawal=back, money=usdt(9)))
    assert page.balance("withdrawal:w9:held", "USDT") == 9
    late = c.ResolveSuspense(key=key("rs"), source="mixin:out1", user=ALICE, money=usdt(9))
    assert page.post(late) is LedgerRefusal.INSUFFICIENT
    page.must(
        c.DebitWithdraw(
            key=key("d"), withdrawal=back, location=MIXIN, money=usdt(9), reference="tx"
        )
    )
    assert page.page() == {}, "failures L4: the refund of an unknown deposit leaves nothing behind"


def test_a_refund_that_was_refused_waits_in_suspense_again() -> None:
    page = _suspended()
    back = WithdrawalId("w9")
    page.must(c.Refund(key=key("r"), source="mixin:out1", withdrawal=back, money=usdt(9)))
    page.must(reversal("undo", "r"))
    assert page.balance("suspense:mixin:out1", "USDT") == 9
    page.must(c.ResolveSuspense(key=key("rs"), source="mixin:out1", user=ALICE, money=usdt(9)))
    assert page.balance("user:alice:available", "USDT") == 9


def test_a_refund_never_goes_through_a_users_withdrawal() -> None:
    page = _suspended()
    mine = WithdrawalId("w1")
    page.must(deposit("d", usdt(5)))
    page.must(c.HoldWithdraw(key=key("h"), user=ALICE, withdrawal=mine, money=usdt(5)))
    mixed = c.Refund(key=key("r"), source="mixin:out1", withdrawal=mine, money=usdt(9))
    assert page.post(mixed) is LedgerRefusal.UNKNOWN_ORDER


def test_a_reward_is_received_allocated_and_credited_to_the_last_unit() -> None:
    page = Page()
    page.must(deposit("d", usdt(1)), lock("l", usdt(1)))
    dust = c.Dust(key=key("du"), campaign=CAMPAIGN, money=usdt(1))
    page.must(_reward("rw", usdt(101)), dust)
    page.must(_allocate("al", 10, 90), _credit("c1", 60), _credit("c2", 30))
    assert page.balance("platform:dust", "USDT") == 1
    assert page.balance("platform:fees", "USDT") == 10
    assert page.balance("user:alice:available", "USDT") == 90
    assert page.balance(f"rewards:{CAMPAIGN}:unallocated", "USDT") == 0
    assert page.balance(f"rewards:{CAMPAIGN}:allocated", "USDT") == 0
    assert page.post(_credit("c3", 1)) is LedgerRefusal.INSUFFICIENT
    assert page.balanced()


def test_nothing_is_allocated_beyond_what_was_received() -> None:
    page = Page()
    page.must(deposit("d", usdt(1)), lock("l", usdt(1)), _reward("rw", usdt(100)))
    assert page.post(_allocate("a1", 1, 100)) is LedgerRefusal.INSUFFICIENT
    assert page.post(_allocate("a2", -1, 50)) is LedgerRefusal.BAD_AMOUNT
    assert page.post(_allocate("a3", 0, 0)) is LedgerRefusal.BAD_AMOUNT
    page.must(_allocate("a4", 0, 100))
    assert page.post(_credit("c", 50, user=BOB)) is LedgerRefusal.UNKNOWN_ORDER, "failures P37"
