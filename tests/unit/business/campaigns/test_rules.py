"""Days of campaigns, whose market they are, and what a second telling may change."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.campaigns.model import (
    NO_POOL,
    Campaign,
    CampaignStatus,
    ObservedCampaign,
    Window,
)
from poolmaker.business.campaigns.rules import (
    counted,
    day_count,
    is_over,
    pool_for,
    retold,
    window,
    window_at,
    windows,
)
from poolmaker.business.pools.rules import configured
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.messages.market import MarketSpec
from tests.support.business import ACCOUNT, POOL, config
from tests.support.rewards import campaign


def _seen(start_us: int = 100, end_us: int = 350, day_us: int = 100) -> ObservedCampaign:
    return campaign(ManualClock(), start_us=start_us, end_us=end_us, day_us=day_us)


def test_days_are_anchored_at_the_start_and_the_last_is_cut_at_the_end() -> None:
    seen = _seen()
    assert windows(seen) == [Window(0, 100, 200), Window(1, 200, 300), Window(2, 300, 350)]
    assert day_count(seen) == 3
    assert window(seen, 3) is None
    assert window(seen, -1) is None


@pytest.mark.parametrize(
    ("at_us", "day"), [(99, None), (100, 0), (199, 0), (200, 1), (349, 2), (350, None)]
)
def test_a_moment_lies_in_one_day_or_in_none(at_us: int, day: int | None) -> None:
    found = window_at(_seen(), at_us)
    assert (found.day if found else None) == day


@given(st.integers(0, 10**6), st.integers(1, 10**4), st.integers(1, 10**4))
def test_days_cover_a_campaign_without_gap_or_overlap(start: int, length: int, day: int) -> None:
    """Invariant 2 of campaigns."""
    seen = _seen(start, start + length, max(day, length // 50 + 1))
    found = windows(seen)
    assert len(found) == day_count(seen)
    assert (found[0].from_us, found[-1].to_us) == (start, start + length)
    for before, after in itertools.pairwise(found):
        assert before.to_us == after.from_us
        assert before.to_us - before.from_us == seen.day_us
    for one in found:
        assert window_at(seen, one.from_us) == window_at(seen, one.to_us - 1) == one


def test_a_campaign_belongs_to_the_pool_of_its_venue_and_market() -> None:
    pools = [configured(config(), None)]
    accounts = {"mexc": ACCOUNT}
    assert pool_for(_seen(), pools, accounts) == POOL
    assert pool_for(replace(_seen(), market="ETH/USDT"), pools, accounts) == NO_POOL
    assert pool_for(replace(_seen(), venue="kraken"), pools, accounts) == NO_POOL
    assert pool_for(_seen(), pools, {"mexc": VenueAccountId("other")}) == NO_POOL


def test_a_venues_own_way_to_write_a_market_is_no_obstacle() -> None:
    market = MarketSpec(symbol="BTCUSDT", base="BTC", base_scale=8, quote="USDT", quote_scale=6)
    pools = [replace(configured(config(), None), market=market)]
    assert pool_for(_seen(), pools, {"mexc": ACCOUNT}) == POOL
    assert pool_for(replace(_seen(), market="BTCUSDT"), pools, {"mexc": ACCOUNT}) == POOL


def test_what_a_campaign_is_stays_as_it_was_seen_first() -> None:
    """Invariant 1 of campaigns."""
    before = Campaign(seen=_seen())
    told = replace(_seen(), market="ETH/USDT", day_us=7, end_us=999, fund_units=5)
    after, note = retold(before, told)
    assert after.seen == replace(before.seen, fund_units=5)
    assert note == "market: ETH/USDT, day_us: 7, end_us: 999"


def test_an_end_may_come_nearer_and_what_has_ended_stays_so() -> None:
    before = Campaign(seen=_seen())
    after, note = retold(before, replace(_seen(), end_us=250, status=CampaignStatus.ENDING))
    assert (after.seen.end_us, after.seen.status, note) == (250, CampaignStatus.ENDING, "")
    again, _ = retold(after, replace(_seen(), end_us=250))
    assert again == after
    assert is_over(after, 0)
    assert not is_over(before, 349)
    assert is_over(before, 350)


def test_a_campaign_that_makes_no_sense_is_refused() -> None:
    for changes in ({"start_us": 9, "end_us": 9}, {"day_us": 0}, {"id": "No Slug"}):
        with pytest.raises(PreconditionError):
            replace(_seen(), **changes)


@given(
    joined=st.integers(0, 500),
    cancelled=st.one_of(st.just(0), st.integers(1, 500)),
    from_us=st.integers(0, 400),
    length=st.integers(1, 100),
)
def test_found_42_a_moment_counts_while_we_take_part_and_the_campaign_runs(
    joined: int, cancelled: int, from_us: int, length: int
) -> None:
    ours = Campaign(seen=replace(_seen(), cancelled_us=cancelled), joined_at_us=joined)
    begin, end = counted(ours, from_us, from_us + length)
    for at_us in range(500):
        in_period = from_us <= at_us < from_us + length
        runs = at_us < ours.seen.end_us and (not cancelled or at_us < cancelled)
        assert (begin <= at_us < end) == (in_period and at_us >= joined and runs)


def test_the_earliest_word_of_a_cancellation_stands() -> None:
    ours = Campaign(seen=_seen())
    for told, known in ((0, 0), (300, 300), (0, 300), (320, 300), (280, 280)):
        ours, contradiction = retold(ours, replace(_seen(), cancelled_us=told))
        assert (ours.seen.cancelled_us, contradiction) == (known, "")
