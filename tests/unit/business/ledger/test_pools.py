"""Join, leave and settle: what is minted and paid, and why they are refused."""

from __future__ import annotations

import pytest

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules import PostingDecision, covers, net_asset_value
from poolmaker.business.ledger.rules.shares import Holding, in_ratio, joined_shares, left_part
from poolmaker.kernel.ids import OrderId, PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset, Ratio
from poolmaker.messages.base import Money, Rate
from tests.support.ledger import (
    BOB,
    BTC,
    ORDER,
    OTHER,
    PLACE,
    POOL,
    START_US,
    USDT,
    VENUE,
    Page,
    btc,
    deposit,
    fee,
    fill,
    join,
    leave,
    lock,
    pooled_page,
    refused,
    reversal,
    settle,
    started_page,
    usdt,
)

P500 = Ratio(500, 1)
SHARE = "share:p1:1"


def _walk(page: Page, *steps: tuple[c.Command, LedgerRefusal]) -> None:
    order = list(LedgerRefusal)
    said = [refused(page.say(command)) for command, _ in steps]
    assert said == [refusal for _, refusal in steps]
    assert said == sorted(said, key=order.index)


def test_in_the_first_join_of_an_epoch_a_share_is_an_atomic_quote_unit() -> None:
    page = pooled_page()
    assert page.balance("order:o1:shares", SHARE) == 1_000_000 * 500 + 500_000_000
    assert page.balance("pool:p1:issued", SHARE) == 1_000_000_000
    assert page.books.assets[SHARE] == Asset(SHARE, USDT.scale)
    assert page.balance("order:o1:locked", "USDT") == 0
    assert page.balance("order:o1:locked", "BTC") == 49_000_000
    assert page.balanced()


def test_the_smaller_of_mid_and_average_decides_the_shares() -> None:
    page = started_page()
    dear = Rate(numerator=600, denominator=1)
    page.must(join("j1", 1_000_000, 0, mid=dear, twap=Rate(numerator=500, denominator=1)))
    assert page.balance("order:o1:shares", SHARE) == 500_000_000


def _second_holder(page: Page, base: int, quote: int) -> None:
    page.must(
        deposit("d-bob-usdt", usdt(quote), user=BOB),
        deposit("d-bob-btc", btc(base), user=BOB),
        lock("l-bob", usdt(quote), btc(base), order=OTHER, user=BOB),
    )


def test_a_join_in_the_pools_own_ratio_mints_at_net_asset_value_without_cost() -> None:
    page = pooled_page()
    _second_holder(page, 100_000, 50_000_000)
    page.must(join("j2", 100_000, 50_000_000, order=OTHER, cost_cbps=999_999))
    assert page.balance("order:o2:shares", SHARE) == 100_000_000


def test_the_excess_of_one_asset_pays_the_join_cost_which_stays_in_the_pool() -> None:
    page = pooled_page()
    _second_holder(page, 100_000, 150_000_000)
    before = net_asset_value(page.books, POOL, P500)
    # 100 million are in ratio, 100 million of quote are excess and pay 10 %.
    page.must(join("j2", 100_000, 150_000_000, order=OTHER, cost_cbps=100_000))
    assert page.balance("order:o2:shares", SHARE) == 100_000_000 + 90_000_000
    assert net_asset_value(page.books, POOL, P500) - before == 200_000_000


@pytest.mark.parametrize(
    ("pool", "offer", "even"),
    [
        (Holding(10, 20), Holding(5, 10), Holding(5, 10)),
        (Holding(10, 20), Holding(5, 11), Holding(5, 10)),
        (Holding(10, 20), Holding(6, 10), Holding(5, 10)),
        (Holding(0, 20), Holding(6, 10), Holding(0, 10)),
        (Holding(10, 0), Holding(6, 10), Holding(6, 0)),
        (Holding(3, 7), Holding(1, 100), Holding(1, 2)),
    ],
)
def test_the_part_in_ratio_is_rounded_so_that_excess_pays(
    pool: Holding, offer: Holding, even: Holding
) -> None:
    assert in_ratio(pool, offer) == even


def test_shares_are_rounded_down_once() -> None:
    # Worth a third of the pool of 3 shares, and a little more: still one share.
    assert joined_shares(3, Holding(0, 300), Holding(0, 199), P500, 0) == 1
    assert left_part(Holding(10, 10), 1, 3) == Holding(3, 3)
    assert left_part(Holding(10, 10), 3, 3) == Holding(10, 10)


def test_a_join_is_refused_for_the_first_of_its_faults() -> None:
    page = pooled_page()
    stale = START_US - 2_100_000
    other = VenueAccountId("elsewhere")
    shib = Money(asset="SHIB", units=0)
    unknown = OrderId("o9")

    def worse(name: str, **more: object) -> c.JoinPoolV1:
        # Behind the barrier, stale, too small, unfunded and not covered, all at once.
        given = {"facts_seq": 9, "price_time_us": stale, "floor": 10**15} | more
        return join(name, 10**9, 10**12, **given)  # type: ignore[arg-type]

    registered = worse("k", order=unknown, account=other)
    unregistered = c.JoinPoolV1(
        **{f: getattr(registered, f) for f in registered.__struct_fields__} | {"base": shib}
    )
    _walk(
        page,
        (unregistered, LedgerRefusal.UNKNOWN_ASSET),
        (worse("k", order=unknown, account=other, cost_cbps=10**6), LedgerRefusal.BAD_AMOUNT),
        (worse("k", order=unknown, account=other), LedgerRefusal.UNKNOWN_ORDER),
        (worse("k", account=other), LedgerRefusal.POOL_MISMATCH),
        (worse("k"), LedgerRefusal.BEHIND_BARRIER),
        (worse("k", facts_seq=0), LedgerRefusal.STALE_PRICE),
        (worse("k", facts_seq=0, price_time_us=START_US), LedgerRefusal.NAV_AT_FLOOR),
        (join("k", 10**9, 10**12), LedgerRefusal.INSUFFICIENT),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": -1, "quote": 5},
        {"base": 0, "quote": 0},
        {"base": 1, "quote": 1, "mid": Rate(numerator=0, denominator=1)},
        {"base": 1, "quote": 1, "twap": Rate(numerator=1, denominator=-1)},
        {"base": 1, "quote": 1, "cost_cbps": -1},
        {"base": 1, "quote": 1, "floor": -1},
        {"base": 1, "quote": 1, "first_min": -1},
    ],
)
def test_a_join_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    """P12: zero and negative prices are refused everywhere."""
    base, quote = wrong.pop("base"), wrong.pop("quote")
    assert started_page().say(join("k", base, quote, **wrong)) is LedgerRefusal.BAD_AMOUNT  # type: ignore[arg-type]


def test_a_price_from_the_future_is_as_stale_as_one_from_the_past() -> None:
    page = started_page()
    late = page.now_us + 2_000_001
    assert page.say(join("k", 1, 10, price_time_us=late)) is LedgerRefusal.STALE_PRICE


def test_the_first_join_has_a_minimum() -> None:
    page = started_page()
    assert page.say(join("k", 0, 99, first_min=100)) is LedgerRefusal.BELOW_MINIMUM
    assert isinstance(page.say(join("k", 0, 100, first_min=100)), PostingDecision)


def test_a_join_that_mints_no_share_is_refused() -> None:
    """Otherwise a small joiner would give his money away by rounding."""
    page = started_page(10**12, 10**12)
    page.must(join("j1", 0, 100), fill("f", Side.BUY, 10**6, 1))
    assert page.say(join("k", 0, 1)) is LedgerRefusal.BELOW_MINIMUM


def test_a_join_without_cover_at_the_venue_is_refused() -> None:
    """Ledger invariant 9; L12: funds of others at the same venue do not count."""
    page = Page()
    elsewhere = "custody:venue:other"
    page.must(
        deposit("d1", usdt(100), location=elsewhere),
        deposit("d2", usdt(60), user=BOB),
        lock("l1", usdt(100)),
    )
    assert page.say(join("k", 0, 100)) is LedgerRefusal.NOT_FUNDED
    page.must(join("k", 0, 60))
    assert page.say(join("k2", 0, 1)) is LedgerRefusal.NOT_FUNDED
    assert [(row.custody_units, row.claims_units) for row in covers(page.books, VENUE)] == [
        (0, 0),
        (60, 60),
    ]


def test_a_pool_with_a_deficit_takes_nobody_in_and_lets_nobody_out() -> None:
    """Ledger invariant 3."""
    page = pooled_page()
    page.must(fill("f1", Side.SELL, 1_000_001, 1))
    assert page.balance("deficit:pool:p1:capital", "BTC") == 1
    assert page.say(join("k", 0, 1000)) is LedgerRefusal.BLOCKED_BY_DEFICIT
    assert page.say(leave("x", 1)) is LedgerRefusal.BLOCKED_BY_DEFICIT
    page.must(fill("f2", Side.BUY, 1, 1, seq=2))
    assert page.balance("deficit:pool:p1:capital", "BTC") == 0
    assert isinstance(page.say(leave("x", 1)), PostingDecision)


def test_a_leave_takes_the_same_fraction_of_both_rounded_down() -> None:
    page = pooled_page()
    page.must(leave("x1", 333_333_333))
    assert page.balance("exit:e1", "BTC") == 333_333
    assert page.balance("exit:e1", "USDT") == 166_666_666
    assert page.balance("order:o1:shares", SHARE) == 666_666_667
    assert page.balance("pool:p1:capital", "BTC") == 666_667


def test_the_last_leave_takes_everything_and_the_next_join_begins_a_new_epoch() -> None:
    page = pooled_page()
    page.must(
        leave("x1", 1), fill("f1", Side.SELL, 777, 400_001), leave("x2", 999_999_999, exit_id="e2")
    )
    assert page.balance("pool:p1:capital", "BTC") == page.balance("pool:p1:capital", "USDT") == 0
    assert page.balance("pool:p1:issued", SHARE) == 0
    assert page.say(leave("x3", 1, exit_id="e3")) is LedgerRefusal.UNKNOWN_POOL
    page.must(join("j2", 1000, 0))
    assert page.balance("order:o1:shares", "share:p1:2") == 500_000


def test_a_leave_is_refused_for_the_first_of_its_faults() -> None:
    page = pooled_page()
    page.must(
        deposit("d9", usdt(10), user=BOB),
        lock("l9", usdt(5), order=OTHER, user=BOB),
        leave("x0", 1, exit_id="e0"),
    )
    page.must(deposit("d-x", usdt(1)), lock("l-x", usdt(500_000_001)), reversal("r", "d-x"))
    worst = {"facts_seq": 9, "stay_min_us": 10**9}
    _walk(
        page,
        (leave("k", 0, pool=PoolId("p9"), **worst), LedgerRefusal.BAD_AMOUNT),  # type: ignore[arg-type]
        (leave("k", 10**12, pool=PoolId("p9"), **worst), LedgerRefusal.UNKNOWN_POOL),  # type: ignore[arg-type]
        (leave("k", 10**12, order=OTHER, stream="account:x", **worst), LedgerRefusal.UNKNOWN_ORDER),  # type: ignore[arg-type]
        (
            leave("k", 10**12, stream="account:x", exit_id="e0", **worst),  # type: ignore[arg-type]
            LedgerRefusal.POOL_MISMATCH,
        ),
        (leave("k", 10**12, exit_id="e0", **worst), LedgerRefusal.UNKNOWN_EXIT),  # type: ignore[arg-type]
        (leave("k", 10**12, **worst), LedgerRefusal.BLOCKED_BY_DEFICIT),  # type: ignore[arg-type]
    )
    page.must(deposit("d-y", usdt(1)))
    _walk(
        page,
        (leave("k", 10**12, **worst), LedgerRefusal.BEHIND_BARRIER),  # type: ignore[arg-type]
        (leave("k", 10**12, stay_min_us=10**9), LedgerRefusal.TOO_EARLY),
        (leave("k", 10**12), LedgerRefusal.INSUFFICIENT),
    )


def test_a_top_up_begins_the_minimum_stay_again() -> None:
    page = pooled_page()
    page.now_us += 1_000
    assert isinstance(page.say(leave("x", 1, stay_min_us=1_000)), PostingDecision)
    page.must(join("j2", 1000, 0))
    assert page.say(leave("x", 1, stay_min_us=1_000)) is LedgerRefusal.TOO_EARLY


def test_a_barrier_waits_for_every_fact_before_it() -> None:
    page = pooled_page()
    assert page.say(leave("x", 1, facts_seq=2)) is LedgerRefusal.BEHIND_BARRIER
    page.must(fill("f1", Side.BUY, 1, 500, seq=1))
    assert page.say(leave("x", 1, facts_seq=2)) is LedgerRefusal.BEHIND_BARRIER
    page.must(fee("f2", usdt(1), seq=2))
    assert isinstance(page.say(leave("x", 1, facts_seq=2)), PostingDecision)


def test_an_exit_pays_at_once_what_is_not_at_risk_and_the_rest_at_the_end() -> None:
    page = pooled_page()
    page.must(leave("x1", 500_000_000))
    assert page.say(settle("s0", base_risk=-1)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(settle("s0", order=OTHER)) is LedgerRefusal.UNKNOWN_ORDER
    assert page.say(settle("s0", exit_id="e9")) is LedgerRefusal.UNKNOWN_EXIT
    page.must(settle("s1", base_risk=100_000, quote_risk=10**12, final=False))
    assert page.balance("exit:e1", "BTC") == 100_000
    assert page.balance("exit:e1", "USDT") == 250_000_000
    assert page.say(settle("s2", base_risk=100_000, quote_risk=10**12, final=False)) is (
        LedgerRefusal.INSUFFICIENT
    )
    page.must(settle("s3"))
    assert page.balance("exit:e1", "BTC") == page.balance("exit:e1", "USDT") == 0
    assert page.balance("order:o1:locked", "USDT") == 250_000_000
    assert page.say(settle("s4")) is LedgerRefusal.UNKNOWN_EXIT


def test_an_empty_exit_can_still_be_closed() -> None:
    page = pooled_page()
    page.must(leave("x1", 500_000_000), settle("s1", final=False))
    closing = page.post(settle("s2"))
    assert isinstance(closing, PostingDecision)
    assert closing.legs == ()
    assert page.books.open_exits(POOL) == []


def test_join_then_leave_at_one_price_never_gives_more_than_was_put_in() -> None:
    page = pooled_page()
    page.must(fill("f1", Side.BUY, 333, 166_499))
    _second_holder(page, 12_345, 6_789_012)
    page.must(join("j2", 12_345, 6_789_012, order=OTHER, cost_cbps=1))
    shares = page.balance("order:o2:shares", SHARE)
    page.must(leave("x1", shares, order=OTHER, exit_id="e2"))
    got = page.balance("exit:e2", "BTC") * 500 + page.balance("exit:e2", "USDT")
    assert got <= 12_345 * 500 + 6_789_012


def test_two_pools_at_one_account_are_covered_together() -> None:
    """Ledger 2.5-4; P34: two orders never get the same free balance of an account."""
    page = started_page(1_000)
    page.must(join("j1", 0, 400), join("j2", 0, 100, pool=PoolId("p2")))
    assert page.books.claims_at(VENUE, "USDT") == 500
    assert page.balance(PLACE, "USDT") == 1_000
    assert page.balance("order:o1:locked", BTC.code) == 50_000_000
    assert page.say(join("j3", 0, 1, order=ORDER)) is LedgerRefusal.INSUFFICIENT
