"""Pure decisions of user orders: what follows a refusal, and who may ask for what when."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from poolmaker.business.ledger.model import Refusal, Transaction
from poolmaker.business.pools.model import Pool
from poolmaker.business.user_orders.model import (
    Destination,
    Order,
    OrderRefusal,
    OrderState,
    Wish,
)
from poolmaker.kernel.checks import ensure


class Next(StrEnum):
    """What follows a refusal that the ledger has stored."""

    NEW_BARRIER = "new_barrier"
    """Ask again with a new barrier."""
    LATER = "later"
    """Ask again after a while: somebody else has to act first."""
    GIVE_BACK = "give_back"
    """It will never be taken: the funds go back."""
    BROKEN = "broken"
    """It cannot happen while our own books are right: a person must look."""


def after_join_refused(refusal: Refusal) -> Next:
    """What follows a refused JOIN_POOL."""
    match refusal:
        case Refusal.BEHIND_BARRIER | Refusal.STALE_PRICE:
            return Next.NEW_BARRIER
        case Refusal.NOT_FUNDED | Refusal.BLOCKED_BY_DEFICIT:
            return Next.LATER
        case (
            Refusal.BELOW_MINIMUM
            | Refusal.NAV_AT_FLOOR
            | Refusal.POOL_MISMATCH
            | Refusal.UNKNOWN_ASSET
            | Refusal.BAD_AMOUNT
        ):
            return Next.GIVE_BACK
        case (
            Refusal.SAME_KEY_DIFFERENT_CONTENT
            | Refusal.UNKNOWN_POOL
            | Refusal.UNKNOWN_ORDER
            | Refusal.UNKNOWN_EXIT
            | Refusal.UNKNOWN_TRANSACTION
            | Refusal.TOO_EARLY
            | Refusal.INSUFFICIENT
            | Refusal.EQUITY_BELOW_ZERO
        ):
            return Next.BROKEN
        case _:
            assert_never(refusal)


def after_exit_refused(refusal: Refusal) -> Next:
    """What follows a refused LEAVE_POOL, SETTLE_EXIT or UNLOCK: the money is there, so it waits."""
    match refusal:
        case Refusal.BEHIND_BARRIER | Refusal.STALE_PRICE:
            return Next.NEW_BARRIER
        case Refusal.TOO_EARLY | Refusal.BLOCKED_BY_DEFICIT | Refusal.NOT_FUNDED:
            return Next.LATER
        case (
            Refusal.SAME_KEY_DIFFERENT_CONTENT
            | Refusal.UNKNOWN_ASSET
            | Refusal.BAD_AMOUNT
            | Refusal.UNKNOWN_POOL
            | Refusal.UNKNOWN_ORDER
            | Refusal.POOL_MISMATCH
            | Refusal.UNKNOWN_EXIT
            | Refusal.UNKNOWN_TRANSACTION
            | Refusal.BELOW_MINIMUM
            | Refusal.NAV_AT_FLOOR
            | Refusal.INSUFFICIENT
            | Refusal.EQUITY_BELOW_ZERO
        ):
            return Next.BROKEN
        case _:
            assert_never(refusal)


def open_refusal(pool: Pool | None, base_units: int, quote_units: int) -> OrderRefusal | None:
    """Why an order for ``pool`` cannot be opened, or None."""
    if pool is None:
        return OrderRefusal.UNKNOWN_POOL
    if pool.paused:
        return OrderRefusal.POOL_PAUSED
    if min(base_units, quote_units) < 0 or base_units + quote_units <= 0:
        return OrderRefusal.BAD_AMOUNT
    return None


def may_pause(order: Order) -> bool:
    """Before and while it makes the market; whoever is on the way out needs no pause."""
    before = order.state in (OrderState.CREATED, OrderState.LOCKED, OrderState.FUNDING)
    return order.wish is Wish.NONE and (before or order.state is OrderState.IN_MM)


def may_resume(order: Order) -> bool:
    """Only once it is out altogether: a leave that the ledger was asked for cannot be undone."""
    return order.state is OrderState.PAUSE and order.wish is Wish.NONE and not order.child


def may_withdraw(order: Order) -> bool:
    """Any time before the payout; a pause that is under way becomes a withdrawal."""
    ended = (OrderState.WITHDRAW, OrderState.CLOSED, OrderState.EXPIRED, OrderState.REFUNDED)
    return order.state not in ended and order.wish is not Wish.WITHDRAW


def destinations_refusal(order: Order, destinations: Sequence[Destination]) -> OrderRefusal | None:
    """Both assets need one destination each: nobody knows yet which of them will come out."""
    named = sorted(destination.asset for destination in destinations)
    if named != sorted((order.base.asset, order.quote.asset)):
        return OrderRefusal.DESTINATION_MISSING
    return None


def minted(order: Order, joined: Transaction) -> tuple[str, int]:
    """The share asset and the shares that a posted JOIN_POOL gave to the order."""
    account = f"order:{order.id}:shares"
    legs = [leg for leg in joined.legs if leg.account == account]
    ensure(len(legs) == 1 and legs[0].units < 0, f"{joined.key}: minted no share for {order.id}")
    return legs[0].asset, -legs[0].units
