"""JOIN_POOL.v2 and LEAVE_POOL.v2: what joins without a price, what waits for one, what leaves."""

from __future__ import annotations

import pytest

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import LedgerHead, LedgerRefusal
from poolmaker.business.ledger.rules import PostingDecision, Verdict, books_of, image_of
from poolmaker.business.ledger.rules.books import EpochRecord
from poolmaker.kernel.ids import OrderId, PoolId, VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Money, Rate
from tests.support.ledger import (
    BOB,
    ORDER,
    OTHER,
    PLACE,
    POOL,
    START_US,
    VENUE,
    Page,
    btc,
    deposit,
    fill,
    join,
    join_v2,
    leave,
    leave_v2,
    lock,
    pooled_page,
    prices,
    refused,
    settle,
    started_page,
    usdt,
)

SHARE = "share:p1:1"
FINE = 10**12
"""Share units of an atomic unit of USDT, which has 6 decimals here."""


def rate(numerator: int, denominator: int = 1) -> Rate:
    return Rate(numerator=numerator, denominator=denominator)


def fine_page(base: int = 1_000_000, quote: int = 500_000_000) -> Page:
    """Alice has joined at 500, and has as much locked again."""
    page = started_page(2_000_000_000)
    page.must(join_v2("j1", base, quote, prices()))
    return page


def second(page: Page, base: int, quote: int) -> None:
    """Bob locks so much."""
    page.must(
        deposit("d-bob-usdt", usdt(quote + 1), user=BOB),
        deposit("d-bob-btc", btc(base + 1), user=BOB),
        lock("l-bob", usdt(quote + 1), btc(base + 1), order=OTHER, user=BOB),
    )


def held(page: Page, order: OrderId = ORDER) -> int:
    return page.balance(f"order:{order}:shares", SHARE)


def now(page: Page, **given: object) -> c.DealingPrices:
    return prices(at_us=page.now_us, **given)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- fine shares


def test_shares_of_a_new_epoch_have_eighteen_decimals_and_its_fineness_is_kept() -> None:
    page = fine_page()
    assert page.books.assets[SHARE] == Asset(SHARE, 18)
    assert held(page) == page.balance("pool:p1:issued", SHARE) == 1_000_000_000 * FINE
    assert page.books.find(EpochRecord, "p1:1") == EpochRecord(pool=POOL, epoch=1, fineness=FINE)
    assert page.balanced()


def test_an_epoch_that_was_begun_with_coarse_shares_keeps_them() -> None:
    """An upgraded pool: its holders and whoever joins them count in the same shares."""
    page = pooled_page()
    second(page, 100_000, 50_000_000)
    page.must(join_v2("j2", 100_000, 50_000_000, order=OTHER))
    assert page.books.assets[SHARE].scale == 6
    assert held(page, OTHER) == 100_000_000
    page.must(leave("x1", 1_000_000_000), leave_v2("x2", 100_000_000, order=OTHER, exit_id="e2"))
    page.must(settle("s1"), join_v2("j3", 1_000_000, 0, now(page)))
    assert page.balance("order:o1:shares", "share:p1:2") == 500_000_000 * FINE


def test_a_loaded_ledger_knows_fineness_and_what_was_priced() -> None:
    page = fine_page()
    second(page, 0, 1_000)
    page.must(join_v2("j2", 0, 1_000, now(page), order=OTHER))
    image = image_of(page.books, LedgerHead(1, 5, bytes(32), page.now_us))
    again = books_of(image)
    assert image_of(again, image.head) == image
    assert {state.kind for state in image.states} >= {"epoch", "dealing", "pool", "order"}


# ----------------------------------------------------------------------- in ratio, without a price


def test_the_part_in_ratio_joins_without_any_price() -> None:
    page = fine_page()
    second(page, 100_000, 80_000_000)
    page.must(join_v2("j2", 100_000, 80_000_000, order=OTHER))
    assert held(page, OTHER) == 100_000_000 * FINE
    # 30,000,000 of quote are excess and wait.
    assert page.balance("order:o2:locked", "USDT") == 30_000_001
    assert page.balance("order:o2:locked", "BTC") == 1


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (None, LedgerRefusal.PRICES_DIVERGE),
        (prices(at_us=START_US - 10**9), LedgerRefusal.STALE_PRICE),
        (prices(at_us=START_US + 10**9), LedgerRefusal.STALE_PRICE),
        (prices(None), LedgerRefusal.PRICES_DIVERGE),
        (prices(twap=rate(506)), LedgerRefusal.PRICES_DIVERGE),
        (prices(twap=rate(494)), LedgerRefusal.PRICES_DIVERGE),
        (prices(bid=rate(520), ask=rate(540)), LedgerRefusal.PRICES_DIVERGE),
        (prices(bid=rate(501), ask=rate(499)), LedgerRefusal.PRICES_DIVERGE),
        (prices(depth=(0, 0)), LedgerRefusal.PRICES_DIVERGE),
        (prices(fee_ppm=999_999, bid=rate(499), ask=rate(501)), LedgerRefusal.PRICES_DIVERGE),
    ],
)
def test_an_excess_alone_waits_where_a_price_is_missing_old_or_apart(
    at: c.DealingPrices | None, why: LedgerRefusal
) -> None:
    """Found rows 1 and 2: who writes one price does not write the others."""
    page = fine_page()
    assert page.say(join_v2("k", 0, 1_000_000, at)) is why
    assert page.say(join_v2("k", 1_000, 0, at)) is why
    # And beside it the part in ratio joins all the same.
    page.must(join_v2("k", 1_000, 1_000_000, at))
    assert held(page) == 1_001_000_000 * FINE


def test_no_first_join_without_prices_that_agree() -> None:
    page = started_page()
    assert page.say(join_v2("k", 1_000, 1_000)) is LedgerRefusal.PRICES_DIVERGE
    assert (
        page.say(join_v2("k", 1_000, 1_000, prices(twap=rate(600)))) is LedgerRefusal.PRICES_DIVERGE
    )


def test_the_first_join_counts_its_shares_at_the_lowest_price() -> None:
    page = started_page()
    page.must(join_v2("j1", 1_000_000, 0, prices(twap=rate(499), bid=rate(497), ask=rate(500))))
    assert held(page) == 1_000_000 * FINE * 4985 // 10


# ------------------------------------------------------------------------------ what excess costs


def test_the_excess_pays_half_the_spread_at_depth_and_the_takers_fee() -> None:
    page = fine_page()
    second(page, 10_000, 0)
    # 1 % from mid to the depth price of bids, 0.1 % for the taker.
    at = now(page, bid=rate(495), ask=rate(505), fee_ppm=1_000)
    page.must(join_v2("j2", 10_000, 0, at, order=OTHER))
    assert held(page, OTHER) == 5_000_000 * FINE * (1_000_000 - 11_000) // 1_000_000


def test_the_excess_of_quote_pays_the_way_up_to_the_depth_price_of_asks() -> None:
    page = fine_page()
    second(page, 0, 5_000_000)
    at = now(page, bid=rate(500), ask=rate(500), fee_ppm=1_000)
    page.must(join_v2("j2", 0, 5_000_000, at, order=OTHER, taker_fee_ppm=2_000))
    assert held(page, OTHER) == 5_000_000 * FINE * (1_000_000 - 2_000) // 1_000_000
    dear = now(page, bid=rate(500), ask=rate(505))
    assert page.say(join_v2("j3", 0, 1, dear, order=OTHER)) != LedgerRefusal.PRICES_DIVERGE


def test_a_configured_minimum_of_the_cost_holds_in_a_tight_book() -> None:
    page = fine_page()
    second(page, 10_000, 0)
    page.must(join_v2("j2", 10_000, 0, now(page), order=OTHER, join_cost_min_ppm=20_000))
    assert held(page, OTHER) == 5_000_000 * FINE * 98 // 100


def test_the_smallest_of_three_results_decides() -> None:
    for at in (
        {"twap": rate(498)},
        {"mid": rate(498), "twap": rate(500), "bid": rate(500), "ask": rate(500)},
        {"bid": rate(498), "ask": rate(498)},
    ):
        page = fine_page()
        second(page, 10_000, 0)
        page.must(join_v2("j2", 10_000, 0, now(page, **at), order=OTHER))
        # Base is valued at 498 in a pool that is then worth 998,000,000.
        low = 1_000_000_000 * FINE * (10_000 * 498) // (1_000_000 * 498 + 500_000_000)
        assert held(page, OTHER) <= low


def test_more_than_the_depth_prices_have_seen_waits() -> None:
    """Found row 1: L is at least the excess, so the excess never goes beyond L."""
    page = fine_page()
    second(page, 10_000, 0)
    page.must(join_v2("j2", 10_000, 0, now(page, depth=(4_000, 0)), order=OTHER))
    assert page.balance("order:o2:locked", "BTC") == 6_001


def test_many_small_excesses_at_one_barrier_are_like_one_large_one() -> None:
    page = fine_page()
    second(page, 10_000, 0)
    depth = (4_000, 10**9)
    for number, base in enumerate((3_000, 3_000)):
        page.must(
            join_v2(f"j{number}x", base, 0, now(page, depth=depth), order=OTHER, barrier_seq=7)
        )
    assert page.balance("order:o2:locked", "BTC") == 10_001 - 4_000
    again = join_v2("j9", 3_000, 0, now(page, depth=depth), order=OTHER, barrier_seq=7)
    assert page.say(again) is LedgerRefusal.PRICES_DIVERGE
    page.must(join_v2("j9", 3_000, 0, now(page, depth=depth), order=OTHER, barrier_seq=8))


# --------------------------------------------------------------------------- rounding and dust


def test_found_3_a_holder_of_dust_cannot_make_shares_dear() -> None:
    """The first holder would keep one share and pause the rest: he leaves with all instead."""
    page = fine_page()
    page.must(leave_v2("x1", held(page) - 1, holding_min=1_000_000))
    assert page.balance("pool:p1:issued", SHARE) == 0
    assert held(page) == 0
    assert page.balance("exit:e1", "BTC") == 1_000_000
    assert page.balance("exit:e1", "USDT") == 500_000_000
    # The next who joins begins an epoch of his own.
    page.must(settle("s1"), join_v2("j2", 0, 2_979_000_000 // 10, now(page)))
    assert page.balance("order:o1:shares", "share:p1:2") == 297_900_000 * FINE


def test_found_4_dust_cannot_hold_a_pool_below_its_floor() -> None:
    page = fine_page()
    page.must(leave_v2("x1", held(page) - 1, holding_min=1_000_000), settle("s1"))
    page.must(join_v2("j2", 100_000, 50_000_000, now(page), nav_floor=1_000_000))
    page.must(join_v2("j3", 100_000, 50_000_000, nav_floor=10**12))


def test_what_stays_after_a_part_leaves_is_at_least_the_minimum() -> None:
    page = fine_page()
    page.must(leave_v2("x1", held(page) - 1_000_000 * FINE, holding_min=1_000_000))
    assert held(page) == 1_000_000 * FINE
    page.must(leave_v2("x2", 1, exit_id="e2", holding_min=1_000_000))
    assert held(page) == 0


def test_a_joiner_loses_at_most_an_atomic_unit_of_each_asset_to_rounding() -> None:
    """Also after the pool's shares have become three times as dear as at first."""
    page = fine_page(1_000_003, 500_000_007)
    page.must(fill("f1", Side.BUY, 2_000_011, 13, seq=1))
    second(page, 777_777, 123_456_789)
    page.must(join_v2("j2", 777_777, 123_456_789, now(page), order=OTHER))
    part = 777_778 - page.balance("order:o2:locked", "BTC")
    paid = 123_456_790 - page.balance("order:o2:locked", "USDT")
    page.must(leave_v2("x2", held(page, OTHER), order=OTHER, exit_id="e2"))
    got = page.balance("exit:e2", "BTC"), page.balance("exit:e2", "USDT")
    assert part * 500 + paid - (got[0] * 500 + got[1]) <= 500 + 1


def test_a_join_whose_rounding_would_cost_too_much_is_refused() -> None:
    """A coarse epoch that dust holds from before: nobody is let into it at a loss."""
    page = started_page()
    page.must(join("j1", 0, 100), fill("f", Side.BUY, 10**6, 1))
    second(page, 10**6, 100)
    assert page.say(join_v2("k", 10**6, 99, order=OTHER)) is LedgerRefusal.BELOW_MINIMUM


def test_orders_and_pools_have_bounds() -> None:
    page = fine_page()
    second(page, 100_000, 50_000_000)

    def said(**terms: int) -> Verdict:
        return page.say(join_v2("k", 100_000, 50_000_000, now(page), order=OTHER, **terms))  # type: ignore[arg-type]

    assert said(order_min=100_000_001) is LedgerRefusal.BELOW_MINIMUM
    assert said(holding_min=100_000_001) is LedgerRefusal.BELOW_MINIMUM
    assert said(order_max=99_999_999) is LedgerRefusal.ABOVE_MAXIMUM
    assert said(capacity=1_099_999_999) is LedgerRefusal.ABOVE_MAXIMUM
    most = {"order_min": 100_000_000, "order_max": 100_000_000, "capacity": 1_100_000_000}
    assert isinstance(said(**most), PostingDecision)


def test_what_is_too_small_without_its_excess_waits_with_it() -> None:
    page = fine_page()
    second(page, 10, 50_000_000)
    small = join_v2("k", 10, 50_000_000, order=OTHER, order_min=1_000_000)
    assert page.say(small) is LedgerRefusal.PRICES_DIVERGE
    page.must(join_v2("k", 10, 50_000_000, now(page), order=OTHER, order_min=1_000_000))


def test_a_first_join_is_worth_its_minimum() -> None:
    """A value, not a number of shares."""
    page = started_page()
    assert (
        page.say(join_v2("k", 0, 99, prices(), first_join_min=100)) is LedgerRefusal.BELOW_MINIMUM
    )
    dear = prices(rate(500), twap=rate(496))
    assert page.say(join_v2("k", 1, 3, dear, first_join_min=500)) is LedgerRefusal.BELOW_MINIMUM
    page.must(join_v2("k", 1, 4, dear, first_join_min=500))


def test_a_user_may_name_the_least_shares_that_are_accepted() -> None:
    page = fine_page()
    second(page, 100_000, 80_000_000)
    offer = (100_000, 80_000_000)
    least = 130_000_000 * FINE
    # Without a price only a part could join: then nothing does.
    assert page.say(join_v2("k", *offer, order=OTHER, shares_min=1)) is LedgerRefusal.PRICES_DIVERGE
    dear = now(page, bid=rate(495), ask=rate(505))
    said = page.say(join_v2("k", *offer, dear, order=OTHER, shares_min=least))
    assert said is LedgerRefusal.BELOW_LEAST_SHARES
    page.must(join_v2("k", *offer, now(page), order=OTHER, shares_min=least))
    assert held(page, OTHER) == least


# ------------------------------------------------------------------- symmetrical, and never waits


def test_found_5_a_join_waits_for_every_unknown_order_and_fee_that_a_leave_waits_for() -> None:
    """An UNKNOWN buy whose fill is told late is not shared with who joined after it."""
    page = fine_page()
    assert page.say(join_v2("k", 1_000, 500_000, unknown=1)) is LedgerRefusal.UNSETTLED_FACTS
    assert page.say(join_v2("k", 1_000, 500_000, unpriced=1)) is LedgerRefusal.UNSETTLED_FACTS
    page.must(join_v2("k", 1_000, 500_000))


def test_a_leave_never_needs_a_price() -> None:
    page = fine_page()
    page.must(leave_v2("x1", 1_000_000 * FINE, at=None))
    page.must(leave_v2("x2", 1_000_000 * FINE, exit_id="e2", at=prices(None)))
    assert page.balance("exit:e1", "BTC") == page.balance("exit:e2", "BTC")


def test_a_user_who_left_cools_off() -> None:
    page = fine_page()
    page.must(leave_v2("x1", held(page) // 2), settle("s1"))
    soon = join_v2("k", 1_000, 500_000, cool_off_us=1_000)
    assert page.say(soon) is LedgerRefusal.TOO_EARLY
    second(page, 1_000, 500_000)
    page.must(join_v2("k2", 1_000, 500_000, order=OTHER, cool_off_us=1_000))
    page.now_us += 1_000
    page.must(soon)


def test_the_minimum_stay_begins_again_with_a_top_up() -> None:
    page = fine_page()
    page.now_us += 1_000
    assert isinstance(page.say(leave_v2("x", FINE, stay_min_us=1_000)), PostingDecision)
    page.must(join_v2("j2", 1_000, 500_000))
    assert page.say(leave_v2("x", FINE, stay_min_us=1_000)) is LedgerRefusal.TOO_EARLY


# ------------------------------------------------------------------------------------- refusals


def test_open_exits_count_as_claims_of_the_venue_account() -> None:
    """Ledger invariant 9; kills the mutant that leaves open exits out of ``claims_at``."""
    page = Page()
    page.must(
        deposit("d1", usdt(100)),
        lock("l1", usdt(100)),
        join_v2("j1", 0, 100, prices()),
        leave_v2("x1", 60 * FINE),
        # Bob's money lies elsewhere: what is here is all Alice's, in the pool or on the way out.
        deposit("d2", usdt(50), user=BOB, location="custody:venue:other"),
        lock("l2", usdt(50), order=OTHER, user=BOB),
    )
    assert page.books.claims_at(VENUE, "USDT") == page.balance(PLACE, "USDT") == 100
    assert page.say(join_v2("k", 0, 1, now(page), order=OTHER)) is LedgerRefusal.NOT_FUNDED
    page.must(settle("s1"))
    # What is locked again is nobody's claim there but its user's own.
    assert page.books.claims_at(VENUE, "USDT") == 40
    page.must(join_v2("k", 0, 50, now(page), order=OTHER))


def test_a_join_is_refused_for_the_first_of_its_faults() -> None:
    page = fine_page()
    page.must(
        deposit("d2", usdt(10), user=BOB),
        lock("l2", usdt(5), order=OTHER, user=BOB),
        leave_v2("x", held(page) // 2),
    )
    shib = Money(asset="SHIB", units=0)
    elsewhere = VenueAccountId("elsewhere")

    def worse(**more: object) -> c.JoinPool:
        given = {"facts_seq": 9, "unknown": 1, "cool_off_us": 10**12, "order_min": 10**20} | more
        return join_v2("k", 10**9, 10**12, prices(None), **given)  # type: ignore[arg-type]

    registered = worse(order=OrderId("o9"), account=elsewhere)
    fields = {name: getattr(registered, name) for name in registered.__struct_fields__}
    steps = [
        (c.JoinPool(**fields | {"base": shib}), LedgerRefusal.UNKNOWN_ASSET),
        (worse(order=OrderId("o9"), taker_fee_ppm=10**6), LedgerRefusal.BAD_AMOUNT),
        (registered, LedgerRefusal.UNKNOWN_ORDER),
        (worse(account=elsewhere), LedgerRefusal.POOL_MISMATCH),
        (worse(version=1), LedgerRefusal.POOL_MISMATCH),
        (worse(), LedgerRefusal.BEHIND_BARRIER),
        (worse(facts_seq=0), LedgerRefusal.TOO_EARLY),
        (worse(facts_seq=0, cool_off_us=0), LedgerRefusal.UNSETTLED_FACTS),
        (worse(facts_seq=0, cool_off_us=0, unknown=0), LedgerRefusal.PRICES_DIVERGE),
        (join_v2("k", 10**9, 10**12, now(page), order_min=10**20), LedgerRefusal.BELOW_MINIMUM),
        (join_v2("k", 10**9, 10**12, now(page), nav_floor=10**20), LedgerRefusal.NAV_AT_FLOOR),
        (join_v2("k", 10**9, 10**12, now(page)), LedgerRefusal.INSUFFICIENT),
    ]
    said = [refused(page.say(command)) for command, _ in steps]
    assert said == [refusal for _, refusal in steps]
    assert said == sorted(said, key=list(LedgerRefusal).index)


@pytest.mark.parametrize(
    ("base", "quote", "wrong"),
    [
        (-1, 5, {}),
        (0, 0, {}),
        (1, 1, {"order_min": -1}),
        (1, 1, {"shares_min": -1}),
        (1, 1, {"unknown": -1}),
        (1, 1, {"join_cost_min_ppm": 10**6}),
        (1, 1, {"at": prices(rate(0))}),
        (1, 1, {"at": prices(bid=rate(1, -1))}),
        (1, 1, {"at": prices(depth=(-1, 0))}),
        (1, 1, {"at": prices(fee_ppm=10**6)}),
        (10**38, 0, {"at": prices()}),
    ],
)
def test_a_join_that_makes_no_sense_is_refused(
    base: int, quote: int, wrong: dict[str, int]
) -> None:
    at = wrong.pop("at", None)
    command = join_v2("k", base, quote, at, **wrong)  # type: ignore[arg-type]
    assert started_page().say(command) is LedgerRefusal.BAD_AMOUNT


def test_a_leave_that_makes_no_sense_is_refused() -> None:
    page = fine_page()
    assert page.say(leave_v2("k", 0)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(leave_v2("k", 1, holding_min=-1)) is LedgerRefusal.BAD_AMOUNT
    assert page.say(leave_v2("k", 1, at=prices(rate(0)))) is LedgerRefusal.BAD_AMOUNT
    assert page.say(leave_v2("k", 1, pool=PoolId("p9"))) is LedgerRefusal.UNKNOWN_POOL
    assert page.say(leave_v2("k", 1, order=OTHER)) is LedgerRefusal.UNKNOWN_ORDER
    assert page.say(leave_v2("k", 1, stream="account:x")) is LedgerRefusal.POOL_MISMATCH
    assert page.say(leave_v2("k", 1, facts_seq=9)) is LedgerRefusal.BEHIND_BARRIER
    assert page.say(leave_v2("k", 10**30)) is LedgerRefusal.INSUFFICIENT


def test_shares_beyond_thirty_eight_digits_are_refused() -> None:
    page = Page()
    page.must(deposit("d", usdt(10**30)), lock("l", usdt(10**30)))
    assert page.say(join_v2("k", 0, 10**30, prices())) is LedgerRefusal.BAD_AMOUNT
    page.must(join_v2("k", 0, 10**25, prices()))
