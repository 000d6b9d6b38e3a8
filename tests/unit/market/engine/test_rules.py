"""Wishes, capital and what is at stake."""

from __future__ import annotations

from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.market import Side
from poolmaker.market.engine.model import OwnFact, PoolInstructions
from poolmaker.market.engine.rules import (
    facts_of,
    inventory_now,
    live_order,
    market_view,
    stage_of,
    wish_after,
)
from poolmaker.market.execution.model import LiveOrderStage
from poolmaker.market.quoting.model import Inventory
from poolmaker.market.tracking.book import Top
from poolmaker.market.tracking.model import StoredFill, VenueMarket, VenueOrderState
from poolmaker.messages.market import (
    CapitalSet,
    DrainLifted,
    DrainTo,
    MarketSpec,
    StartQuoting,
    StopQuoting,
    StrategySnapshot,
)
from tests.unit.market.makers import MARKET, POOL, order, trade

FRESH = PoolInstructions(pool=POOL)
RULES = VenueMarket(MARKET, is_open=True, maker_fee_cbps=7)
TICK, LOT = MARKET.tick_units, MARKET.lot_units


def start(version: int, **strategy: int) -> StartQuoting:
    return StartQuoting(
        pool=POOL,
        account=VenueAccountId("a"),
        market=MarketSpec.of(MARKET),
        strategy=StrategySnapshot(version=version, **strategy),
        version=version,
    )


def capital(version: int, base: int = 1_000, quote: int = 2_000, seq: int = 0) -> CapitalSet:
    return CapitalSet(
        pool=POOL, version=version, base_units=base, quote_units=quote, includes_stream_seq=seq
    )


def drain(version: int, staying: int, issued: int) -> DrainTo:
    return DrainTo(pool=POOL, version=version, staying=staying, issued=issued)


def test_a_higher_start_replaces_and_a_lower_or_equal_one_does_not() -> None:
    wish = wish_after(FRESH, start(2))
    assert wish.quoting
    assert wish_after(wish, start(2, levels=1)) == wish
    assert wish_after(wish, start(1)) == wish
    assert wish_after(wish, start(3)).start == start(3)


def test_a_stop_holds_until_the_next_start() -> None:
    stopped = wish_after(wish_after(FRESH, start(1)), StopQuoting(pool=POOL, reason="drawdown"))
    assert (stopped.quoting, stopped.stop_reason) == (False, "drawdown")
    assert wish_after(stopped, start(1)).quoting


def test_a_snapshot_that_cannot_be_quoted_is_not_started_and_says_why() -> None:
    wish = wish_after(FRESH, start(1, levels=0))
    assert (wish.quoting, wish.stop_reason) == (False, "levels: expected 1 to 50, was 0")


def test_capital_never_goes_back_to_an_older_version() -> None:
    wish = wish_after(wish_after(FRESH, capital(5)), capital(4, base=9))
    assert wish.capital == capital(5)


def test_a_drain_holds_until_it_is_lifted_by_its_version_or_a_later_one() -> None:
    wish = wish_after(FRESH, drain(3, 1, 1))
    assert wish_after(wish, drain(2, 9, 9)).drain == drain(3, 1, 1)
    assert wish_after(wish, DrainLifted(pool=POOL, version=2)).drain == drain(3, 1, 1)
    assert wish_after(wish, DrainLifted(pool=POOL, version=3)).drain is None


def test_engine_invariant_3_capital_is_the_newest_set_plus_own_facts_after_it() -> None:
    wish = wish_after(FRESH, capital(1, seq=4))
    facts = [OwnFact(4, 500, -500, 1), OwnFact(5, 100, -300, 1), OwnFact(6, -1, 0, 1)]
    assert inventory_now(wish, facts) == Inventory.whole(1_099, 1_700)


def test_a_drain_bounds_what_may_be_used_and_not_what_is_owned() -> None:
    wish = wish_after(wish_after(FRESH, capital(1)), drain(1, 3, 10))
    assert inventory_now(wish, []) == Inventory(1_000, 2_000, 300, 600)
    nobody = wish_after(wish_after(FRESH, capital(1)), drain(1, 0, 0))
    assert inventory_now(nobody, []) == Inventory(1_000, 2_000, 0, 0)


def test_the_bound_of_a_drain_shrinks_with_fills_so_that_a_leaver_finds_his_part() -> None:
    """Ledger invariant 2: a fill after the drain must not take what the leaver is owed."""
    wish = wish_after(wish_after(FRESH, capital(1)), drain(1, 1, 2))
    sold_out = [OwnFact(9, -800, 900, 1)]
    inventory = inventory_now(wish, sold_out)
    assert inventory.base_units == 200
    assert inventory.usable(Side.SELL) == 100


def test_without_capital_there_is_nothing_to_use() -> None:
    assert inventory_now(FRESH, []) == Inventory.whole(0, 0)


def test_a_fill_and_its_fee_are_two_facts_of_the_capital() -> None:
    """A fee in base shrinks what was bought; the sequence tells what is booked."""
    fill = StoredFill(
        trade=trade(base_units=1_000, quote_units=500), pool=POOL, published_us=7, fill_seq=3,
        fee_seq=4, fee_base_units=10,
    )  # fmt: skip
    assert facts_of(fill) == [OwnFact(3, 1_000, -500, 7), OwnFact(4, -10, 0, 7)]
    sold = StoredFill(
        trade=trade(side=Side.SELL, base_units=1_000, quote_units=500), pool=POOL, published_us=7,
        fill_seq=3,
    )  # fmt: skip
    assert facts_of(sold) == [OwnFact(3, -1_000, 500, 7)]


def test_every_state_is_a_stage_and_ended_orders_are_none() -> None:
    stages = {state: stage_of(order(state=state)) for state in VenueOrderState}
    assert stages[VenueOrderState.PENDING_NEW] is LiveOrderStage.PENDING
    assert (
        stages[VenueOrderState.OPEN]
        is stages[VenueOrderState.PARTLY_FILLED]
        is LiveOrderStage.RESTING
    )
    assert stages[VenueOrderState.PENDING_CANCEL] is LiveOrderStage.CANCELLING
    assert stages[VenueOrderState.UNKNOWN] is LiveOrderStage.UNKNOWN
    ended = (
        VenueOrderState.FILLED,
        VenueOrderState.CANCELLED,
        VenueOrderState.EXPIRED,
        VenueOrderState.REJECTED,
    )
    assert {stages[state] for state in ended} == {None}


def test_a_fill_that_is_reported_and_not_booked_still_binds_capital() -> None:
    """Otherwise the same units would be quoted twice between the report and its booking."""
    gone = order(state=VenueOrderState.FILLED, reported_units=100 * LOT, booked_units=40 * LOT)
    live = live_order(gone, 1)
    assert live is not None
    assert (live.stage, live.open_units) == (LiveOrderStage.CANCELLING, 60 * LOT)
    half = live_order(
        order(state=VenueOrderState.OPEN, reported_units=30 * LOT, booked_units=10 * LOT), 1
    )
    assert half is not None
    assert half.open_units == (70 + 20) * LOT


def test_orders_off_the_grid_are_read_as_the_tick_that_leaves_room() -> None:
    """Found row 7: after a coarser tick, bids may rest above a tick and asks below one."""
    top = Top(6_000_000 * TICK + 1, 6_000_002 * TICK - 1)
    view = market_view(RULES, top, Top(5_000_000 * TICK + 1, 7_000_000 * TICK - 1))
    assert view is not None
    assert (view.bid_ticks, view.ask_ticks) == (6_000_000, 6_000_002)
    assert (view.bid_depth_ticks, view.ask_depth_ticks) == (5_000_000, 7_000_000)
    assert view.reference_ticks == 12_000_000 * TICK
    assert view.reference_weight == 2 * TICK
    assert view.maker_fee_cbps == 7
    assert market_view(RULES, top, Top(TICK - 1, 7_000_000 * TICK)) is None
