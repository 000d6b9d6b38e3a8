"""The smallest difference between what should rest and what lives: keep, create, cancel.

A replacement is placed before the old order is cancelled where the budget holds both, so that a
side is never unquoted by our own act; else the old one goes first and the new one follows after
its end is proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from poolmaker.kernel.market import Market, Side
from poolmaker.kernel.money import Ratio, Rounding
from poolmaker.market.execution.model import LiveOrder, LiveOrderStage, TargetOrder
from poolmaker.messages.market import QuoteGate

WHOLE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """One side of one pool.

    ``budget_units``: what live, cancelling and unknown orders of the side may consume together,
    quote units for bids and base units for asks. ``opposite_units``: the price of the most
    aggressive own order of the other side in this market, whichever pool's, in atomic quote units
    of one whole base, or None. Orders made under other rules of the market than these count
    towards the budget and never stay. ``tolerance_cbps`` and
    ``age_max_us`` (0 is off) say when a resting order is still good. ``reference`` is the price
    that bids stay below and asks above, in quote units of one whole base; None without one.
    """

    market: Market
    side: Side
    ideals: Sequence[TargetOrder]
    live: Sequence[LiveOrder]
    budget_units: int
    opposite_units: int | None
    may_create: bool
    tolerance_cbps: int
    age_max_us: int
    reference: Ratio | None = None


@dataclass(slots=True)
class RefreshPlan:
    """What to do now. ``waits`` says for each ideal that is held back what it waits for."""

    creates: list[TargetOrder] = field(default_factory=list)
    cancels: list[LiveOrder] = field(default_factory=list)
    waits: list[QuoteGate] = field(default_factory=list)

    @property
    def held_back(self) -> int:
        """How many ideals wait for budget, evidence or own orders."""
        return len(self.waits)


def consumption_units(market: Market, side: Side, ticks: int, base_units: int) -> int:
    """The most that ``base_units`` at ``ticks`` may take: quote for bids, base for asks."""
    if side is Side.SELL:
        return base_units
    return market.worth_units(ticks, base_units, Rounding.UP)


def committed_units(orders: Iterable[LiveOrder]) -> int:
    """What orders may still take together, each under its own rules, whatever their stage."""
    return sum(consumption_units(o.market, o.side, o.ticks, o.open_units) for o in orders)


def still_good(order: LiveOrder, ideal: TargetOrder, tolerance_cbps: int, age_max_us: int) -> bool:
    """Whether a resting order may stay: same rules, close in price, 0.5 to 1.5 in size, young."""
    if not order.market.same_grid(ideal.market):
        return False
    near = abs(order.ticks - ideal.ticks) * WHOLE <= tolerance_cbps * ideal.ticks
    wanted_units = ideal.lots * ideal.market.lot_units
    sized = wanted_units <= 2 * order.open_units and 2 * order.open_units <= 3 * wanted_units
    return near and sized and (age_max_us == 0 or order.age_us <= age_max_us)


def on_wrong_side(order: LiveOrder, reference: Ratio | None) -> bool:
    """Whether a bid stands at or above the reference price, or an ask at or below it."""
    if reference is None:
        return False
    ours = order.price_units * reference.denominator
    return ours >= reference.numerator if order.side is Side.BUY else ours <= reference.numerator


def crosses_own(ideal: TargetOrder, opposite_units: int | None) -> bool:
    """Whether it would trade with, or lock, an own order of the other side at that price."""
    if opposite_units is None:
        return False
    price_units = ideal.ticks * ideal.market.tick_units
    return (
        price_units >= opposite_units if ideal.side is Side.BUY else price_units <= opposite_units
    )


def _resting(orders: Iterable[LiveOrder]) -> list[LiveOrder]:
    return [order for order in orders if order.stage is LiveOrderStage.RESTING]


def _place(
    request: PlanRequest,
    plan: RefreshPlan,
    ideal: TargetOrder,
    slot: list[LiveOrder],
    free_units: int,
) -> int:
    """Create, or make room, or wait; answers what is committed by it."""
    resting = _resting(slot)
    market, size_units = request.market, ideal.lots * request.market.lot_units
    cost = consumption_units(market, request.side, ideal.ticks, size_units)
    if not request.may_create:
        plan.cancels += resting
        plan.waits.append(QuoteGate.NONE)
        return 0
    if crosses_own(ideal, request.opposite_units):
        plan.waits.append(QuoteGate.OWN_ORDER)
        return 0
    if cost <= free_units:
        plan.creates.append(ideal)
        return cost
    plan.cancels += resting
    plan.waits.append(QuoteGate.BUDGET)
    return 0


def _fill_slot(
    request: PlanRequest,
    plan: RefreshPlan,
    ideal: TargetOrder | None,
    slot: list[LiveOrder],
    free_units: int,
) -> int:
    resting = _resting(slot)
    if ideal is None:
        plan.cancels += resting
        return 0
    wrong = [order for order in resting if on_wrong_side(order, request.reference)]
    if wrong:
        # Whatever its replacement waits for, it would be taken at a price that is no longer ours.
        plan.cancels += wrong
        slot = [order for order in slot if order not in wrong]
        resting = _resting(slot)
    good = [o for o in resting if still_good(o, ideal, request.tolerance_cbps, request.age_max_us)]
    if good:
        youngest = min(good, key=lambda order: order.age_us)
        plan.cancels += [order for order in resting if order is not youngest]
        return 0
    stages = {order.stage for order in slot}
    if LiveOrderStage.PENDING in stages:
        return 0
    if LiveOrderStage.UNKNOWN in stages:
        plan.cancels += resting
        plan.waits.append(QuoteGate.OUTCOME_UNKNOWN)
        return 0
    if LiveOrderStage.CANCELLING in stages:
        plan.waits.append(QuoteGate.BUDGET)
        return 0
    return _place(request, plan, ideal, slot, free_units)


def _reduce_to_budget(request: PlanRequest, plan: RefreshPlan, committed: int) -> None:
    """Cancel from the outermost level inwards until what stays fits the budget."""
    leaving = {order.intent for order in plan.cancels}
    going = [o for o in request.live if o.stage is LiveOrderStage.CANCELLING or o.intent in leaving]
    staying = committed - committed_units(going)
    for order in sorted(_resting(request.live), key=lambda o: (-o.level, o.age_us)):
        if staying <= request.budget_units:
            return
        if order.intent not in leaving:
            plan.cancels.append(order)
            staying -= committed_units([order])


def plan_side(request: PlanRequest) -> RefreshPlan:
    """Keep, create and cancel for one side of one pool; never commits beyond the budget."""
    plan = RefreshPlan()
    committed = committed_units(request.live)
    free_units = request.budget_units - committed
    slots: dict[int, list[LiveOrder]] = {}
    for order in request.live:
        slots.setdefault(order.level, []).append(order)
    ideals = {ideal.level: ideal for ideal in request.ideals}
    for level in sorted(slots.keys() | ideals.keys()):
        free_units -= _fill_slot(request, plan, ideals.get(level), slots.get(level, []), free_units)
    if committed > request.budget_units:
        _reduce_to_budget(request, plan, committed)
    return plan
