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
from poolmaker.kernel.money import Rounding
from poolmaker.market.execution.model import Ideal, LiveOrder, Stage

WHOLE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """One side of one pool.

    ``budget_units``: what live, cancelling and unknown orders of the side may consume together,
    quote units for bids and base units for asks. ``opposite_ticks``: the most aggressive own
    order of the other side in this market, whichever pool's, or None. ``tolerance_cbps`` and
    ``age_max_us`` (0 is off) say when a resting order is still good.
    """

    market: Market
    side: Side
    ideals: Sequence[Ideal]
    live: Sequence[LiveOrder]
    budget_units: int
    opposite_ticks: int | None
    may_create: bool
    tolerance_cbps: int
    age_max_us: int


@dataclass(slots=True)
class Plan:
    """What to do now. ``held_back`` counts ideals that wait for budget, evidence or own orders."""

    creates: list[Ideal] = field(default_factory=list)
    cancels: list[LiveOrder] = field(default_factory=list)
    held_back: int = 0


def consumption_units(market: Market, side: Side, ticks: int, lots: int) -> int:
    """The most that ``lots`` at ``ticks`` may take: quote for bids, base for asks."""
    if side is Side.SELL:
        return lots * market.lot_units
    return market.notional_units(ticks, lots, Rounding.UP)


def committed_units(market: Market, orders: Iterable[LiveOrder]) -> int:
    """What orders may still take together, whatever their stage."""
    return sum(consumption_units(market, o.side, o.ticks, o.open_lots) for o in orders)


def still_good(order: LiveOrder, ideal: Ideal, tolerance_cbps: int, age_max_us: int) -> bool:
    """Whether a resting order may stay: close in price, half to one and a half in size, young."""
    near = abs(order.ticks - ideal.ticks) * WHOLE <= tolerance_cbps * ideal.ticks
    sized = ideal.lots <= 2 * order.open_lots and 2 * order.open_lots <= 3 * ideal.lots
    return near and sized and (age_max_us == 0 or order.age_us <= age_max_us)


def crosses_own(side: Side, ticks: int, opposite_ticks: int | None) -> bool:
    """Whether an order would trade with, or lock, an own order of the other side."""
    if opposite_ticks is None:
        return False
    return ticks >= opposite_ticks if side is Side.BUY else ticks <= opposite_ticks


def _resting(orders: Iterable[LiveOrder]) -> list[LiveOrder]:
    return [order for order in orders if order.stage is Stage.RESTING]


def _place(
    request: PlanRequest, plan: Plan, ideal: Ideal, slot: list[LiveOrder], free_units: int
) -> int:
    """Create, or make room, or wait; answers what is committed by it."""
    resting = _resting(slot)
    cost = consumption_units(request.market, request.side, ideal.ticks, ideal.lots)
    if not request.may_create:
        plan.cancels += resting
        plan.held_back += 1
        return 0
    if crosses_own(request.side, ideal.ticks, request.opposite_ticks):
        plan.held_back += 1
        return 0
    if cost <= free_units:
        plan.creates.append(ideal)
        return cost
    plan.cancels += resting
    plan.held_back += 1
    return 0


def _fill_slot(
    request: PlanRequest, plan: Plan, ideal: Ideal | None, slot: list[LiveOrder], free_units: int
) -> int:
    resting = _resting(slot)
    if ideal is None:
        plan.cancels += resting
        return 0
    good = [o for o in resting if still_good(o, ideal, request.tolerance_cbps, request.age_max_us)]
    if good:
        youngest = min(good, key=lambda order: order.age_us)
        plan.cancels += [order for order in resting if order is not youngest]
        return 0
    stages = {order.stage for order in slot}
    if Stage.PENDING in stages:
        return 0
    if Stage.UNKNOWN in stages:
        plan.cancels += resting
        plan.held_back += 1
        return 0
    if Stage.CANCELLING in stages:
        plan.held_back += 1
        return 0
    return _place(request, plan, ideal, slot, free_units)


def _reduce_to_budget(request: PlanRequest, plan: Plan, committed: int) -> None:
    """Cancel from the outermost level inwards until what stays fits the budget."""
    leaving = {order.intent for order in plan.cancels}
    going = [o for o in request.live if o.stage is Stage.CANCELLING or o.intent in leaving]
    staying = committed - committed_units(request.market, going)
    for order in sorted(_resting(request.live), key=lambda o: (-o.level, o.age_us)):
        if staying <= request.budget_units:
            return
        if order.intent not in leaving:
            plan.cancels.append(order)
            staying -= committed_units(request.market, [order])


def plan_side(request: PlanRequest) -> Plan:
    """Keep, create and cancel for one side of one pool; never commits beyond the budget."""
    plan = Plan()
    committed = committed_units(request.market, request.live)
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
