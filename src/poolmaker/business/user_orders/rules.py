"""Pure decisions of user orders: what follows a refusal, and who may ask for what when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, assert_never

from poolmaker.business.ledger.accounts import custody_mixin, custody_venue
from poolmaker.business.ledger.model import LedgerRefusal, LedgerTransaction
from poolmaker.business.pools.model import Pool
from poolmaker.business.user_orders.model import (
    MIXIN,
    DepositLeg,
    FundData,
    FundState,
    Order,
    OrderRefusal,
    OrderSettings,
    PayoutDestination,
    RequestedAction,
    UserOrderState,
    WalletClaim,
)
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import OrderId, SagaId, UserId, request_uuid
from poolmaker.messages.base import Money

REMAINDER_PART: Final = 1_000_000
"""One part in so many of an offer goes back instead of waiting."""


class Next(StrEnum):
    """What follows a refusal that the ledger has stored."""

    NEW_BARRIER = "new_barrier"
    """Ask again with a new barrier."""
    PRICE = "price"
    """Ask again with a new barrier once prices may agree; meanwhile it may be taken back."""
    LATER = "later"
    """Ask again after a while: somebody else has to act first."""
    GIVE_BACK = "give_back"
    """It will never be taken: the funds go back."""
    BROKEN = "broken"
    """It cannot happen while our own books are right: a person must look."""


def after_join_refused(refusal: LedgerRefusal) -> Next:
    """What follows a refused JOIN_POOL."""
    match refusal:
        case LedgerRefusal.BEHIND_BARRIER | LedgerRefusal.UNSETTLED_FACTS:
            return Next.NEW_BARRIER
        case (
            LedgerRefusal.STALE_PRICE
            | LedgerRefusal.PRICES_DIVERGE
            | LedgerRefusal.BELOW_LEAST_SHARES
        ):
            return Next.PRICE
        case LedgerRefusal.NOT_FUNDED | LedgerRefusal.BLOCKED_BY_DEFICIT | LedgerRefusal.TOO_EARLY:
            return Next.LATER
        case (
            LedgerRefusal.BELOW_MINIMUM
            | LedgerRefusal.ABOVE_MAXIMUM
            | LedgerRefusal.NAV_AT_FLOOR
            | LedgerRefusal.POOL_MISMATCH
            | LedgerRefusal.UNKNOWN_ASSET
            | LedgerRefusal.BAD_AMOUNT
        ):
            return Next.GIVE_BACK
        case (
            LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT
            | LedgerRefusal.UNKNOWN_POOL
            | LedgerRefusal.UNKNOWN_ORDER
            | LedgerRefusal.UNKNOWN_EXIT
            | LedgerRefusal.UNKNOWN_TRANSACTION
            | LedgerRefusal.INSUFFICIENT
            | LedgerRefusal.EQUITY_BELOW_ZERO
            | LedgerRefusal.SET_ASIDE
        ):
            return Next.BROKEN
        case _:
            assert_never(refusal)


def after_exit_refused(refusal: LedgerRefusal) -> Next:
    """What follows a refused LEAVE_POOL, SETTLE_EXIT or UNLOCK: the money is there, so it waits."""
    match refusal:
        case LedgerRefusal.BEHIND_BARRIER | LedgerRefusal.STALE_PRICE:
            return Next.NEW_BARRIER
        case LedgerRefusal.TOO_EARLY | LedgerRefusal.BLOCKED_BY_DEFICIT | LedgerRefusal.NOT_FUNDED:
            return Next.LATER
        case (
            LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT
            | LedgerRefusal.UNKNOWN_ASSET
            | LedgerRefusal.BAD_AMOUNT
            | LedgerRefusal.UNKNOWN_POOL
            | LedgerRefusal.UNKNOWN_ORDER
            | LedgerRefusal.POOL_MISMATCH
            | LedgerRefusal.UNKNOWN_EXIT
            | LedgerRefusal.UNKNOWN_TRANSACTION
            | LedgerRefusal.UNSETTLED_FACTS
            | LedgerRefusal.PRICES_DIVERGE
            | LedgerRefusal.BELOW_MINIMUM
            | LedgerRefusal.ABOVE_MAXIMUM
            | LedgerRefusal.BELOW_LEAST_SHARES
            | LedgerRefusal.NAV_AT_FLOOR
            | LedgerRefusal.INSUFFICIENT
            | LedgerRefusal.EQUITY_BELOW_ZERO
            | LedgerRefusal.SET_ASIDE
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
    # An amount of base has no value without a price: the ledger judges it when it joins.
    if base_units == 0 and quote_units < pool.parameters.order_min_units:
        return OrderRefusal.BELOW_MINIMUM
    return None


def reaches_the_venue(moneys: Sequence[Money], settings: OrderSettings) -> bool:
    """Whether amounts that come from Mixin fit into what goes to the venue, and leave something.

    A remainder that no transfer can carry would keep the order waiting for cash for ever, and a
    fee of everything would leave nothing to join with.
    """
    return all(
        money.units % settings.steps.get((money.asset, MIXIN), 1) == 0
        and money.units > settings.funding_fees.get(money.asset, 0)
        for money in moneys
        if money.units
    )


def may_pause(order: Order) -> bool:
    """Before and while it makes the market; whoever is on the way out needs no pause."""
    before = order.state in (UserOrderState.CREATED, UserOrderState.LOCKED, UserOrderState.FUNDING)
    return order.wish is RequestedAction.NONE and (before or order.state is UserOrderState.IN_MM)


def may_resume(order: Order) -> bool:
    """Only once it is out altogether: a leave that the ledger was asked for cannot be undone."""
    return (
        order.state is UserOrderState.PAUSE
        and order.wish is RequestedAction.NONE
        and not order.child
    )


def may_withdraw(order: Order) -> bool:
    """Any time before the payout; a pause that is under way becomes a withdrawal."""
    ended = (
        UserOrderState.WITHDRAW,
        UserOrderState.CLOSED,
        UserOrderState.EXPIRED,
        UserOrderState.REFUNDED,
    )
    return order.state not in ended and order.wish is not RequestedAction.WITHDRAW


PRICED_AT: Final = frozenset({FundState.QUEUED, FundState.JOINING, FundState.UNFUNDED})
"""Where a funding may be while its excess waits for a price."""


def take_back_refusal(
    order: Order, state: FundState | None, data: FundData | None, since_max_us: int
) -> OrderRefusal | None:
    """Why what waits for a price cannot be taken back, or None. ``state`` is the funding's."""
    if order.wish is not RequestedAction.NONE or state not in PRICED_AT or data is None:
        return OrderRefusal.WRONG_STATE
    if not data.price_since_us:
        return OrderRefusal.WRONG_STATE
    return OrderRefusal.STILL_WAITING if data.price_since_us > since_max_us else None


def is_remainder(offered: int, left: int) -> bool:
    """Whether so little of an asset is left that it is not worth waiting for a price with it."""
    return left <= max(1, offered // REMAINDER_PART)


def destinations_refusal(
    order: Order,
    destinations: Sequence[PayoutDestination],
    wallet: Sequence[PayoutDestination],
    settings: OrderSettings,
) -> OrderRefusal | None:
    """Why money of an order may not go there, or None. ``wallet`` is the user's own.

    Both assets need one destination each: nobody knows yet which of them will come out.
    """
    if settings.own_wallet_only and not wallet:
        return OrderRefusal.NO_WALLET
    named = sorted(destination.asset for destination in destinations)
    if named != sorted((order.base.asset, order.quote.asset)):
        return OrderRefusal.DESTINATION_MISSING
    if settings.own_wallet_only and not all(one in wallet for one in destinations):
        return OrderRefusal.DESTINATION_REFUSED
    return None


# ---------------------------------------------------------------------------------------- wallets


def claim_trace(user: UserId, mixin_id: str) -> str:
    """The trace of a payment that proves a claimed wallet: a pure function of both."""
    return str(request_uuid(SagaId(user), f"wallet {mixin_id}"))


def proves(claim: WalletClaim, sender: str, at_us: int) -> bool:
    """Whether a payment proves the claim: it came from the claimed wallet while the claim ran."""
    return sender == claim.mixin_id and claim.claimed_us <= at_us < claim.until_us


def minted(order: Order, joined: LedgerTransaction) -> tuple[str, int]:
    """The share asset and the shares that a posted JOIN_POOL gave to the order."""
    account = f"order:{order.id}:shares"
    legs = [leg for leg in joined.legs if leg.account == account]
    ensure(len(legs) == 1 and legs[0].units < 0, f"{joined.key}: minted no share for {order.id}")
    return legs[0].asset, -legs[0].units


# ------------------------------------------------------------------------------------- deposits


def intent_of(order: OrderId) -> str:
    """The deposit intent of an order: a pure function of it, a UUID's text."""
    return str(request_uuid(SagaId(order), "deposit"))


def trace_of(intent: str, asset: str) -> str:
    """The trace of the payment link for one asset: a pure function of both, a UUID's text."""
    return str(request_uuid(SagaId(intent), f"leg {asset.replace(':', '.')}"))


def legs_of(order: Order) -> list[DepositLeg]:
    """What an order that is paid through Mixin waits for."""
    intent = intent_of(order.id)
    return [
        DepositLeg(
            trace=trace_of(intent, money.asset),
            intent=intent,
            order=order.id,
            asset=money.asset,
            units=money.units,
        )
        for money in (order.base, order.quote)
        if money.units
    ]


def takes_deposit(order: Order, leg: DepositLeg, asset: str) -> bool:
    """Whether a payment is the order's: it waits still, for this asset, and not all has come."""
    return order.state is UserOrderState.CREATED and leg.asset == asset and not leg.is_paid


# ---------------------------------------------------------------------------- the way out, and fees


def wallet_of(order: Order, mixin_id: str) -> tuple[PayoutDestination, ...]:
    """Where an order that came from a Mixin wallet is paid out to when its user says nothing."""
    assets = (order.base.asset, order.quote.asset)
    return tuple(
        PayoutDestination(asset=asset, network=MIXIN, address=mixin_id) for asset in assets
    )


def source_of(order: Order, destination: PayoutDestination, forms: Mapping[str, str]) -> str:
    """The place that pays: Mixin to a Mixin user, else the order's venue account."""
    if destination.network == MIXIN:
        return custody_mixin(forms[destination.asset])
    return custody_venue(order.account)


def charges(fees: Mapping[str, int], held: Sequence[Money]) -> tuple[Money, ...]:
    """What is charged of what an order holds: as quoted, and never more than there is."""
    found = [Money(asset=m.asset, units=min(fees.get(m.asset, 0), m.units)) for m in held]
    return tuple(money for money in found if money.units > 0)


def remainders(
    held: Sequence[Money], fees: Sequence[Money], steps: Mapping[str, int]
) -> tuple[Money, ...]:
    """What of an order's funds is left beyond the smallest amount that can be carried out.

    Trades leave more decimals than a token's chain has; a payout of all of them would wait for
    cash that no transfer can bring, or be refused where it is sent from.
    """
    taken = {fee.asset: fee.units for fee in fees}
    rest = [Money(asset=m.asset, units=m.units - taken.get(m.asset, 0)) for m in held]
    found = [Money(asset=m.asset, units=m.units % steps.get(m.asset, 1)) for m in rest]
    return tuple(money for money in found if money.units)
