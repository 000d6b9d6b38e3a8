"""Facts: always booked, by whom they are borne, and what becomes a deficit."""

from __future__ import annotations

import pytest

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import BlockReason, LedgerRefusal
from poolmaker.business.ledger.rules import (
    KINDS,
    PostingDecision,
    kind_of,
    statement,
    users_surplus,
)
from poolmaker.kernel.ids import PoolId, VenueAccountId, WithdrawalId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import UNITS_MAX
from poolmaker.messages.base import Money, Rate
from tests.support.ledger import (
    ALICE,
    BOB,
    OTHER,
    PLACE,
    POOL,
    START_US,
    Page,
    bnb,
    btc,
    deposit,
    fee,
    fill,
    hold,
    join,
    key,
    leave,
    lock,
    operator_in,
    pooled_page,
    recharge,
    reversal,
    settle,
    stuck,
    unlock,
    usdt,
)

SHIB = Money(asset="SHIB", units=5)


def _debit(name: str, units: int, withdrawal: str = "w1") -> c.Command:
    return c.DebitWithdraw(
        key=key(name),
        withdrawal=WithdrawalId(withdrawal),
        location=PLACE,
        money=usdt(units),
        reference="t",
    )


def _network_fee(name: str, units: int) -> c.Command:
    return c.NetworkFee(
        key=key(name),
        withdrawal=WithdrawalId("w1"),
        location=PLACE,
        money=usdt(units),
        reference="t",
    )


def test_every_kind_stands_in_the_table_once() -> None:
    kinds = {str(kind.__struct_config__.tag) for kind in c.REQUESTS | c.FACTS}
    assert KINDS.keys() == kinds
    assert len(kinds) == len(c.REQUESTS) + len(c.FACTS)
    for name, kind in KINDS.items():
        assert kind.is_request == (kind.command in c.REQUESTS)
        assert str(kind.command.__struct_config__.tag) == name
        assert kind.legs
        assert kind.bearer


def test_a_deposit_stands_at_its_place_and_with_its_user() -> None:
    page = Page()
    page.must(deposit("d1", usdt(7), location="custody:mixin:usdt-polygon"))
    assert page.page() == {
        "custody:mixin:usdt-polygon": {"USDT": 7},
        "user:alice:available": {"USDT": 7},
    }


def test_money_of_nobody_waits_in_suspense() -> None:
    page = Page()
    page.must(
        c.CreditSuspense(
            key=key("s1"), source="mixin:unknown", location=PLACE, money=usdt(7), reference="r"
        )
    )
    assert page.balance("suspense:mixin:unknown", "USDT") == 7
    assert page.balanced()


@pytest.mark.parametrize(
    ("fact", "obstacle"),
    [
        (deposit("d", SHIB), BlockReason.UNKNOWN_ASSET),
        (deposit("d", usdt(0)), BlockReason.MALFORMED),
        (deposit("d", usdt(-1)), BlockReason.MALFORMED),
        (deposit("d", usdt(UNITS_MAX + 1)), BlockReason.MALFORMED),
        (deposit("d", usdt(1), location="platform:equity"), BlockReason.MALFORMED),
        (fill("f", Side.BUY, 0, 5), BlockReason.MALFORMED),
        (fill("f", Side.BUY, 5, -5), BlockReason.MALFORMED),
        (fee("f", SHIB), BlockReason.UNKNOWN_ASSET),
        (fee("f", usdt(-UNITS_MAX - 1)), BlockReason.MALFORMED),
        (recharge("f", 1, Rate(numerator=0, denominator=1)), BlockReason.MALFORMED),
    ],
)
def test_a_fact_that_cannot_be_booked_waits_and_is_never_refused(
    fact: c.Command, obstacle: BlockReason
) -> None:
    """Ledger invariant 3."""
    page = Page()
    assert stuck(page.say(fact)).obstacle is obstacle
    assert page.page() == {}


def test_a_sum_beyond_38_digits_waits_as_well() -> None:
    page = Page()
    page.must(deposit("d1", usdt(UNITS_MAX)))
    assert stuck(page.say(deposit("d2", usdt(1)))).obstacle is BlockReason.MALFORMED


def test_a_fill_moves_what_the_venue_reports_and_nothing_stays_locked() -> None:
    """Ledger 2.5-7: price improvement leaves no residue; nothing is locked per exchange order."""
    page = pooled_page()
    page.must(fill("f1", Side.BUY, 100, 49_000))
    assert page.balance("pool:p1:capital", "BTC") == 1_000_100
    assert page.balance("pool:p1:capital", "USDT") == 500_000_000 - 49_000
    assert page.balance(PLACE, "BTC") == 100_000_100
    assert page.balanced()


def test_a_fee_of_18_decimals_is_exact_to_the_last_digit() -> None:
    """Ledger 2.5-9."""
    page = Page()
    page.books.assets["ETH"] = page.books.assets["BTC"].__class__("ETH", 18)
    units = 123_456_789_012_345_678_901
    page.must(deposit("d1", Money(asset="ETH", units=units)))
    page.must(hold("h1", Money(asset="ETH", units=1)))
    assert page.balance("user:alice:available", "ETH") == units - 1


def test_a_rebate_is_a_negative_fee() -> None:
    page = pooled_page()
    page.must(fee("f1", usdt(-7)))
    assert page.balance("pool:p1:capital", "USDT") == 500_000_007
    page.must(fee("f2", usdt(7)))
    assert page.balance("pool:p1:capital", "USDT") == 500_000_000


def test_a_fee_in_a_third_asset_is_paid_by_the_float_and_recharged_in_quote() -> None:
    """E17; Ledger 2.5-10: a fee never fails and never waits for a balance."""
    page = pooled_page()
    page.must(operator_in("i1", bnb(10)))
    page.must(c.FundFeeFloat(key=key("ff"), money=bnb(10)))
    page.must(recharge("rf", 3, Rate(numerator=7, denominator=2)))
    assert page.balance("platform:fee_float", "BNB") == 7
    assert page.balance("platform:fee_float", "USDT") == 11  # 10.5 rounded up
    assert page.balance("pool:p1:capital", "USDT") == 500_000_000 - 11
    page.must(recharge("rf2", 30, Rate(numerator=1, denominator=1), seq=2))
    assert page.balance("platform:fee_float", "BNB") == -23
    assert page.balanced()


def test_a_rebate_in_a_third_asset_is_given_back_rounded_down() -> None:
    page = pooled_page()
    page.must(recharge("rf", -3, Rate(numerator=7, denominator=2)))
    assert page.balance("pool:p1:capital", "USDT") == 500_000_010
    assert page.balanced()


def test_what_a_fact_takes_beyond_a_balance_becomes_a_deficit_and_the_next_gain_repays_it() -> None:
    """Ledger invariant 3."""
    page = pooled_page()
    page.must(fill("f1", Side.SELL, 1_000_010, 1))
    assert page.balance("pool:p1:capital", "BTC") == 0
    assert page.balance("deficit:pool:p1:capital", "BTC") == 10
    page.must(fill("f2", Side.BUY, 4, 1, seq=2))
    assert page.balance("pool:p1:capital", "BTC") == 0
    assert page.balance("deficit:pool:p1:capital", "BTC") == 6
    page.must(fill("f3", Side.BUY, 7, 1, seq=3))
    assert page.balance("pool:p1:capital", "BTC") == 1
    assert page.balanced()


def test_a_deficit_is_not_counted_as_money() -> None:
    page = pooled_page()
    page.must(fill("f1", Side.SELL, 1_000_010, 1))
    assert users_surplus(page.books)["BTC"] == -10


@pytest.mark.parametrize("pool", ["", "nowhere"])
def test_a_fill_of_no_known_pool_is_borne_by_suspense(pool: str) -> None:
    page = pooled_page()
    page.must(fill("f1", Side.BUY, 10, 5_000, pool=pool))
    source = "suspense:pool:nowhere" if pool else "suspense:venue:acc"
    assert page.balance(source, "BTC") == 10
    assert page.balance(source, "USDT") == -5_000
    assert page.balanced()


def test_a_fill_from_another_account_than_the_pools_is_borne_by_suspense() -> None:
    page = pooled_page()
    page.must(fill("f1", Side.BUY, 10, 5_000, account=VenueAccountId("other")))
    assert page.balance("suspense:pool:p1", "BTC") == 10
    assert page.balance("custody:venue:other", "USDT") == -5_000


def test_a_fact_before_the_barrier_is_split_by_the_shares_at_the_barrier() -> None:
    page = pooled_page()
    page.must(leave("x1", 250_000_000, barrier_us=START_US + 100))
    page.must(fill("f1", Side.BUY, 10, 5_001, venue_us=START_US + 100))
    assert page.balance("exit:e1", "BTC") == 250_000 + 2
    assert page.balance("pool:p1:capital", "BTC") == 750_000 + 8
    assert page.balance("exit:e1", "USDT") == 125_000_000 - 1_250
    assert page.balance("pool:p1:capital", "USDT") == 375_000_000 - 3_751


def test_a_fact_after_the_barrier_is_the_pools_alone() -> None:
    page = pooled_page()
    page.must(leave("x1", 250_000_000, barrier_us=START_US + 100))
    page.must(fill("f1", Side.BUY, 10, 5_000, venue_us=START_US + 101))
    assert page.balance("exit:e1", "BTC") == 250_000


def test_two_exits_share_a_fact_as_if_it_had_been_booked_in_time() -> None:
    late, in_time = pooled_page(), pooled_page()
    first = leave("x1", 100_000_000, barrier_us=START_US + 100)
    second = leave("x2", 180_000_000, exit_id="e2", barrier_us=START_US + 200)
    fact = fee("f1", usdt(1_000_000), venue_us=START_US + 50)
    late.must(first, second, fact)
    in_time.must(fact, first, second)
    assert late.page() == in_time.page()


def test_a_closed_exit_bears_nothing_any_more() -> None:
    page = pooled_page()
    page.must(leave("x1", 250_000_000, barrier_us=START_US + 100), settle("s1"))
    page.must(fee("f1", usdt(100), venue_us=START_US + 1))
    assert page.balance("pool:p1:capital", "USDT") == 375_000_000 - 100


def test_a_late_fact_of_an_ended_epoch_is_borne_by_its_exit_then_by_suspense() -> None:
    page = pooled_page()
    page.must(leave("x1", 1_000_000_000, barrier_us=START_US + 100))
    page.must(fee("f1", usdt(100), venue_us=START_US + 1))
    assert page.balance("exit:e1", "USDT") == 500_000_000 - 100
    page.must(settle("s1"), fee("f2", usdt(100), seq=2, venue_us=START_US + 1))
    assert page.balance("suspense:pool:p1", "USDT") == -100


def test_a_late_fact_of_an_ended_epoch_never_touches_the_holders_of_the_next() -> None:
    page = pooled_page()
    page.must(leave("x1", 1_000_000_000, barrier_us=START_US + 100), settle("s1"))
    page.must(join("j2", 0, 1_000_000))
    page.must(fee("f1", usdt(100), venue_us=START_US + 100))
    assert page.balance("pool:p1:capital", "USDT") == 1_000_000
    assert page.balance("suspense:pool:p1", "USDT") == -100
    page.must(fee("f2", usdt(100), seq=2, venue_us=START_US + 101))
    assert page.balance("pool:p1:capital", "USDT") == 999_900


def test_a_withdrawal_that_takes_more_than_was_held_blocks_its_user() -> None:
    """Ledger invariant 3; P28: the debit is a fact, the hold came first."""
    page = Page()
    page.must(deposit("d1", usdt(100)), hold("h1", usdt(10)), _debit("w", 12))
    assert page.balance("deficit:withdrawal:w1:held", "USDT") == 2
    assert page.balance("user:alice:available", "USDT") == 90
    assert page.say(hold("h2", usdt(1), withdrawal="w2")) is LedgerRefusal.BLOCKED_BY_DEFICIT
    assert page.balanced()


def test_a_network_fee_is_borne_as_quoted_and_beyond_that_by_the_operator() -> None:
    page = Page()
    page.must(
        deposit("d1", usdt(100)), hold("h1", usdt(100)), _debit("w", 97), _network_fee("n", 5)
    )
    assert page.balance("withdrawal:w1:held", "USDT") == 0
    assert page.balance("platform:equity", "USDT") == -2
    assert page.balance(PLACE, "USDT") == -2
    assert not page.books.user_has_deficit(ALICE)
    assert page.balanced()


def test_a_reversal_is_the_exact_mirror_image() -> None:
    page = pooled_page()
    before = page.page()
    page.must(fill("f1", Side.BUY, 10, 5_000), reversal("r1", "f1"))
    after = page.page()
    assert after == before


def test_a_reversal_restores_what_was_locked() -> None:
    """Ledger 2.5-6."""
    page = Page()
    page.must(deposit("d1", usdt(10)), lock("l1", usdt(10)), unlock("u1", usdt(4)))
    page.must(reversal("r1", "u1"))
    assert page.balance("order:o1:locked", "USDT") == 10
    assert page.balance("user:alice:available", "USDT") == 0


def test_a_transaction_is_reversed_once_and_only_if_it_is_there() -> None:
    page = pooled_page()
    page.must(fee("f1", usdt(5)), reversal("r1", "f1"))
    for name in ("f1", "r1", "j1", "nothing"):
        assert page.say(reversal("r2", name)) is LedgerRefusal.UNKNOWN_TRANSACTION


def test_a_reorganised_deposit_that_was_spent_leaves_a_deficit_and_no_way_out() -> None:
    """W4."""
    page = pooled_page()
    page.must(reversal("r1", "d-usdt"))
    assert page.balance("deficit:user:alice:available", "USDT") == 500_000_000
    assert page.balance("user:alice:available", "USDT") == 0
    assert page.say(leave("x1", 1)) is LedgerRefusal.BLOCKED_BY_DEFICIT
    assert page.say(hold("h", btc(1))) is LedgerRefusal.BLOCKED_BY_DEFICIT
    page.must(deposit("again", usdt(500_000_001)))
    assert page.balance("user:alice:available", "USDT") == 1
    assert isinstance(page.say(leave("x1", 1)), PostingDecision)


def test_a_reversal_finds_whoever_took_the_place_of_a_bearer() -> None:
    page = pooled_page()
    page.must(leave("x1", 500_000_000, barrier_us=START_US + 100))
    page.must(fee("f1", usdt(100), venue_us=START_US + 1), settle("s1"), reversal("r1", "f1"))
    assert page.balance("exit:e1", "USDT") == 0
    assert page.balance("pool:p1:capital", "USDT") == 250_000_050
    page.must(
        fee("f2", usdt(100), seq=2),
        leave("x2", 500_000_000, exit_id="e2"),
        settle("s2", exit_id="e2"),
    )
    page.must(join("j2", 0, 1_000), reversal("r2", "f2"))
    assert page.balance("pool:p1:capital", "USDT") == 1_000
    assert page.balance("suspense:pool:p1", "USDT") == 100
    assert page.balanced()


def test_each_order_has_its_own_keys_and_balances() -> None:
    """Ledger 2.5-8; P14."""
    page = pooled_page()
    page.must(deposit("d9", usdt(10), user=BOB), lock("l9", usdt(10), order=OTHER, user=BOB))
    assert page.balance("order:o2:locked", "USDT") == 10
    assert page.balance("order:o1:locked", "USDT") == 0


def test_a_statement_shows_each_change_of_an_account_in_order() -> None:
    page = pooled_page()
    page.must(fee("f1", usdt(5)))
    rows = list(statement(page.log.values(), frozenset({"pool:p1:capital"})))
    assert [(row.kind, row.asset, row.units) for row in rows] == [
        ("JOIN_POOL", "BTC", 1_000_000),
        ("JOIN_POOL", "USDT", 500_000_000),
        ("TRADE_FEE", "USDT", -5),
    ]


def test_the_pool_of_a_fact_is_named_by_the_drawing() -> None:
    assert kind_of(fill("f", Side.BUY, 1, 1)) == "FILL"
    assert PoolId("p1") == POOL
