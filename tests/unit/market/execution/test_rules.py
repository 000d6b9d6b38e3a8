"""The plan of a tick: keep, create, cancel, never beyond the budget, never against ourselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.market import Side
from poolmaker.market.execution.model import LiveOrderStage
from poolmaker.market.execution.rules import (
    PlanRequest,
    committed_units,
    consumption_units,
    plan_side,
    still_good,
)
from tests.unit.market.makers import BTC, MARKET, USDT, ideal, live

RICH = 10**9 * USDT.one
TICK, LOT = MARKET.tick_units, MARKET.lot_units


def request(**changed: Any) -> PlanRequest:
    fields: dict[str, Any] = {
        "market": MARKET,
        "side": Side.BUY,
        "ideals": [],
        "live": [],
        "budget_units": RICH,
        "opposite_units": None,
        "may_create": True,
        "tolerance_cbps": 50,
        "age_max_us": 60_000_000,
    }
    return PlanRequest(**(fields | changed))


def test_an_empty_slot_is_filled_and_a_good_order_is_kept() -> None:
    plan = plan_side(request(ideals=[ideal(0), ideal(1, 5_999_000)], live=[live(level=0)]))
    assert [made.level for made in plan.creates] == [1]
    assert plan.cancels == []


def test_p1_a_slot_is_occupied_from_the_decision() -> None:
    """P1: a pending create keeps its slot although nobody has answered."""
    plan = plan_side(request(ideals=[ideal()], live=[live(stage=LiveOrderStage.PENDING, ticks=1)]))
    assert not plan.creates
    assert not plan.cancels


def test_s7_where_the_budget_holds_both_the_new_order_is_placed_before_the_old_one_goes() -> None:
    """S7: never unquoted by our own act."""
    old = live(1, ticks=5_900_000)
    first = plan_side(request(ideals=[ideal()], live=[old]))
    assert [made.ticks for made in first.creates] == [6_000_000]
    assert first.cancels == []
    pending = live(2, stage=LiveOrderStage.PENDING)
    second = plan_side(request(ideals=[ideal()], live=[old, pending]))
    assert not second.creates
    assert not second.cancels
    resting = live(2, age_us=1)
    third = plan_side(request(ideals=[ideal()], live=[old, resting]))
    assert third.cancels == [old]


def test_p2_where_it_does_not_the_old_order_goes_first_and_nothing_is_created_meanwhile() -> None:
    """P2: create only after the end of the old one is proven."""
    budget = consumption_units(MARKET, Side.BUY, 6_000_000, 100 * LOT)
    old = live(1, ticks=5_900_000)
    first = plan_side(request(ideals=[ideal()], live=[old], budget_units=budget))
    assert (first.creates, first.cancels) == ([], [old])
    leaving = live(1, ticks=5_900_000, stage=LiveOrderStage.CANCELLING)
    second = plan_side(request(ideals=[ideal()], live=[leaving], budget_units=budget))
    assert not second.creates
    assert not second.cancels
    third = plan_side(request(ideals=[ideal()], live=[], budget_units=budget))
    assert len(third.creates) == 1


def test_s3_an_order_that_uses_most_of_the_budget_does_not_block_its_own_refresh() -> None:
    """S3: no flapping; a good order stays however much of the budget it binds."""
    budget = consumption_units(MARKET, Side.BUY, 6_000_000, 100 * LOT)
    plan = plan_side(request(ideals=[ideal()], live=[live()], budget_units=budget))
    assert not plan.creates
    assert not plan.cancels


def test_an_unknown_order_keeps_its_slot_and_its_budget() -> None:
    """Execution invariant 3."""
    budget = 2 * consumption_units(MARKET, Side.BUY, 6_000_000, 100 * LOT)
    unknown = live(1, stage=LiveOrderStage.UNKNOWN)
    plan = plan_side(
        request(ideals=[ideal(0), ideal(1), ideal(2)], live=[unknown], budget_units=budget)
    )
    assert [made.level for made in plan.creates] == [1]
    assert plan.held_back == 2


def test_a_slot_without_an_ideal_is_emptied() -> None:
    """S5: a gate withdraws what rests; it never just returns early."""
    resting = live()
    assert plan_side(request(live=[resting])).cancels == [resting]


def test_without_leave_to_create_good_orders_stay_and_bad_ones_go() -> None:
    good, bad = live(1), live(2, level=1, ticks=5_000_000)
    plan = plan_side(
        request(ideals=[ideal(0), ideal(1), ideal(2)], live=[good, bad], may_create=False)
    )
    assert (plan.creates, plan.cancels) == ([], [bad])


def test_an_order_is_replaced_for_price_size_or_age() -> None:
    wanted = ideal(lots=100)
    assert still_good(live(ticks=6_000_300), wanted, 50, 0)
    assert not still_good(live(ticks=6_000_301), wanted, 50, 0)
    assert still_good(live(open_units=50 * LOT), wanted, 50, 0)
    assert not still_good(live(open_units=50 * LOT - 1), wanted, 50, 0)
    assert not still_good(live(open_units=150 * LOT + 1), wanted, 50, 0)
    assert not still_good(live(age_us=11), wanted, 50, 10)


def test_p18_a_tolerance_of_zero_is_exact_and_an_age_of_zero_is_off() -> None:
    """P18."""
    assert still_good(live(age_us=10**15), ideal(), 0, 0)
    assert not still_good(live(ticks=6_000_001), ideal(), 0, 0)


def test_no_order_is_placed_against_an_own_order_of_any_pool() -> None:
    plan = plan_side(request(ideals=[ideal(ticks=6_000_000)], opposite_units=6_000_000 * TICK))
    assert plan.creates == []
    assert plan.held_back == 1
    sell = request(
        side=Side.SELL,
        ideals=[ideal(ticks=6_000_000, side=Side.SELL)],
        opposite_units=6_000_000 * TICK - 1,
    )
    assert len(plan_side(sell).creates) == 1


COARSE = replace(MARKET, tick_units=10 * TICK, lot_units=100 * LOT, version=2)


def test_found_7_orders_of_other_rules_count_as_they_were_made_and_never_stay() -> None:
    """Row 7: after tick and step grew, 600,000 ticks are the price that 6,000,000 were."""
    old = live(1, market=COARSE, ticks=600_000, lots=1, open_units=100 * LOT)
    same = live(2)
    assert committed_units([old]) == committed_units([same]) == 60_000 * USDT.one // 1_000
    assert old.price_units == same.price_units
    assert not still_good(old, ideal(), 10**6, 0)
    assert still_good(same, ideal(), 10**6, 0)
    newer = replace(MARKET, version=3, notional_min_units=1)
    assert still_good(live(3, market=newer), ideal(), 10**6, 0)
    plan = plan_side(request(ideals=[ideal()], live=[old], budget_units=committed_units([old])))
    assert (plan.cancels, plan.creates) == ([old], [])


def test_an_ask_of_other_rules_binds_its_own_base() -> None:
    old = live(1, market=COARSE, side=Side.SELL, lots=3, open_units=300 * LOT)
    assert committed_units([old]) == 300 * LOT


def test_a_smaller_budget_cancels_from_the_outside() -> None:
    orders = [live(n, level=n, ticks=6_000_000 - n) for n in range(3)]
    budget = committed_units(orders[:2])
    ideals = [ideal(n, 6_000_000 - n) for n in range(3)]
    plan = plan_side(request(ideals=ideals, live=orders, budget_units=budget))
    assert plan.cancels == [orders[2]]


stages = st.sampled_from(LiveOrderStage)
lives = st.lists(
    st.builds(
        live,
        st.integers(1, 10**6),
        level=st.integers(0, 4),
        ticks=st.integers(1, 200),
        open_units=st.integers(0, 100 * LOT),
        stage=stages,
        age_us=st.integers(0, 100),
    ),
    max_size=8,
    unique_by=lambda order: order.intent,
)
ideals_lists = st.lists(
    st.builds(ideal, st.integers(0, 4), st.integers(1, 200), st.integers(1, 100)),
    max_size=5,
    unique_by=lambda one: one.level,
)


@given(lives, ideals_lists, st.integers(0, 10**9), st.booleans())
def test_execution_invariant_3_creates_never_exceed_what_the_budget_leaves(
    orders: list[Any], wanted: list[Any], budget: int, may_create: bool
) -> None:
    plan = plan_side(
        request(ideals=wanted, live=orders, budget_units=budget, may_create=may_create)
    )
    committed = committed_units(orders)
    added = sum(consumption_units(MARKET, Side.BUY, c.ticks, c.lots * LOT) for c in plan.creates)
    assert added == 0 or committed + added <= budget
    assert may_create or not plan.creates
    assert all(order.stage is LiveOrderStage.RESTING for order in plan.cancels)
    assert len({order.intent for order in plan.cancels}) == len(plan.cancels)
    slots = [made.level for made in plan.creates]
    assert len(slots) == len(set(slots))
    blocked = {o.level for o in orders if o.stage is not LiveOrderStage.RESTING}
    assert not blocked & set(slots)


FINE = replace(MARKET, tick_units=1, lot_units=1, notional_min_units=0)
"""One tick times one lot is a part of an atomic unit, so that rounding shows."""


@given(ticks=st.integers(1, 10**13), lots=st.integers(1, 10**13))
def test_execution_invariant_3_a_bid_binds_at_least_what_it_may_cost(ticks: int, lots: int) -> None:
    """The venue rounds as it likes: what is bound covers the exact cost, by less than one unit."""
    bound = consumption_units(FINE, Side.BUY, ticks, lots)
    exact = ticks * lots
    assert 0 <= bound * BTC.one - exact < BTC.one
    assert consumption_units(FINE, Side.SELL, ticks, lots) == lots


@given(
    budget=st.integers(0, 40),
    orders=st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10)), max_size=6),
)
def test_execution_invariant_3_bids_together_never_cost_more_than_the_budget(
    budget: int, orders: list[tuple[int, int]]
) -> None:
    """Creates of one plan, at their exact cost, whatever their order."""
    ideals = [ideal(level, ticks, lots) for level, (ticks, lots) in enumerate(orders)]
    plan = plan_side(request(ideals=ideals, market=FINE, budget_units=budget))
    assert sum(one.ticks * one.lots for one in plan.creates) <= budget * BTC.one
