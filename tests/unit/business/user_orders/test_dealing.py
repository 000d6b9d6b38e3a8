"""What an order asks of the ledger at a barrier, whatever the engine has said there."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.pools.model import BarrierMet
from poolmaker.business.user_orders.service.dealing import prices_at
from poolmaker.messages.base import Rate
from poolmaker.messages.market import Barrier, BarrierPrice
from tests.support.business import ACCOUNT
from tests.support.ledger import (
    BOB,
    OTHER,
    POOL,
    PRICE,
    START_US,
    Page,
    btc,
    deposit,
    join_v2,
    leave_v2,
    lock,
    prices,
    usdt,
)

numbers = st.integers(-3, 3) | st.integers(-(10**40), 10**40) | st.just(500)
rates = st.none() | st.builds(
    lambda top, bottom: Rate(numerator=top, denominator=bottom), numbers, numbers
)
said = st.builds(
    BarrierPrice,
    pool=st.just(POOL),
    mid=rates,
    twap_60s=rates,
    bid_depth=rates,
    ask_depth=rates,
    depth_base_units=numbers,
    depth_quote_units=numbers,
    taker_fee_ppm=st.none() | numbers,
    rules_version=st.just(1),
    book_version=st.just(1),
    price_time_us=st.just(START_US),
)


def met(*found: BarrierPrice) -> BarrierMet:
    barrier = Barrier(
        account=ACCOUNT,
        barrier_id="b",
        facts_seq=0,
        venue_time_us=START_US,
        prices=found,
        at_risk=(),
    )
    return BarrierMet(1, barrier)


def two_in_a_pool() -> Page:
    """Alice is in the pool, Bob has funds locked to join it."""
    page = Page()
    page.must(
        deposit("alice-q", usdt(10**9)),
        deposit("alice-b", btc(10**6)),
        lock("alice", usdt(10**9), btc(10**6)),
        join_v2("alice-in", 10**6, 10**9, prices()),
        deposit("bob-q", usdt(10**9), user=BOB),
        deposit("bob-b", btc(10**6), user=BOB),
        lock("bob", usdt(10**9), btc(10**6), order=OTHER, user=BOB),
    )
    return page


@settings(max_examples=200)
@given(said)
def test_whatever_prices_an_engine_tells_a_leave_is_taken_and_no_join_is_a_bad_amount(
    price: BarrierPrice,
) -> None:
    page = two_in_a_pool()
    at = prices_at(met(price), POOL)
    assert (
        page.say(join_v2("bob-in", 1_000, 2_000_000, at, order=OTHER))
        is not LedgerRefusal.BAD_AMOUNT
    )
    shares = page.balance("order:o1:shares", "share:p1:1")
    page.must(leave_v2("alice-out", shares, at=at))


def test_a_fee_that_is_paid_for_taking_counts_as_none() -> None:
    given_fee = msgspec.to_builtins(prices())
    price = BarrierPrice(pool=POOL, **{**given_fee, **_rates(), "taker_fee_ppm": -25})
    found = prices_at(met(price), POOL)
    assert found is not None
    assert found.taker_fee_ppm == 0


def _rates() -> dict[str, Rate]:
    return dict.fromkeys(("mid", "twap_60s", "bid_depth", "ask_depth"), PRICE)
