"""What an order asks of the ledger at a barrier: its offer, the prices there, the pool's terms."""

from __future__ import annotations

from poolmaker.business.ledger.commands import (
    DealingPrices,
    JoinPool,
    JoinTerms,
    LeavePool,
    LeaveTerms,
)
from poolmaker.business.ledger.rules.dealing import prices_are_bad
from poolmaker.business.pools.model import BarrierMet, Pool, PoolParameters
from poolmaker.business.user_orders.model import Order
from poolmaker.kernel.ids import CommandKey, PoolId
from poolmaker.messages.base import Money
from poolmaker.messages.market import account_stream

NO_TERMS = 0
"""Version of the terms of a pool that has none."""


def join_command(
    key: CommandKey, order: Order, pool: Pool, met: BarrierMet, offer: tuple[int, int], least: int
) -> JoinPool:
    """JOIN_POOL of ``offer`` (base and quote units) that mints ``least`` shares or more."""
    risk = met.at_risk_of(pool.id)
    return JoinPool(
        key=key,
        order=order.id,
        pool=pool.id,
        account=pool.account,
        base=Money(asset=order.base.asset, units=offer[0]),
        quote=Money(asset=order.quote.asset, units=offer[1]),
        prices=prices_at(met, pool.id),
        unknown_orders=risk.unknown_orders,
        unpriced_fees=risk.unpriced_fees,
        terms=_join_terms(pool.parameters),
        shares_min=least,
        stream=account_stream(pool.account),
        barrier_seq=met.seq,
        facts_seq=met.barrier.facts_seq,
    )


def leave_command(
    key: CommandKey, order: Order, pool: Pool, met: BarrierMet, exit_id: str
) -> LeavePool:
    """LEAVE_POOL with all shares of the order."""
    parameters = pool.parameters
    return LeavePool(
        key=key,
        order=order.id,
        pool=pool.id,
        exit_id=exit_id,
        shares=order.shares,
        prices=prices_at(met, pool.id),
        terms=LeaveTerms(
            version=NO_TERMS,
            stay_min_us=parameters.stay_min_us,
            holding_min=parameters.holding_min_units,
        ),
        stream=account_stream(pool.account),
        barrier_seq=met.seq,
        facts_seq=met.barrier.facts_seq,
        barrier_venue_time_us=met.barrier.venue_time_us,
    )


def _join_terms(parameters: PoolParameters) -> JoinTerms:
    return JoinTerms(
        version=NO_TERMS,
        price_age_max_us=parameters.price_age_max_us,
        divergence_max_ppm=parameters.divergence_max_ppm,
        join_cost_min_ppm=parameters.join_cost_cbps,
        taker_fee_ppm=parameters.taker_fee_ppm,
        first_join_min=parameters.first_join_min_units,
        order_min=parameters.order_min_units,
        order_max=parameters.order_max_units,
        holding_min=parameters.holding_min_units,
        capacity=parameters.capacity_units,
        nav_floor=parameters.nav_floor_units,
        cool_off_us=parameters.cool_off_us,
    )


def prices_at(met: BarrierMet, pool: PoolId) -> DealingPrices | None:
    """The barrier's prices; None where it names none or any number that makes no sense.

    The ledger refuses a command with such a number, and nobody's way out may depend on it.
    """
    price = met.price_of(pool)
    if price is None:
        return None
    fee_ppm = price.taker_fee_ppm
    prices = DealingPrices(
        mid=price.mid,
        twap_60s=price.twap_60s,
        bid_depth=price.bid_depth,
        ask_depth=price.ask_depth,
        depth_base_units=price.depth_base_units,
        depth_quote_units=price.depth_quote_units,
        taker_fee_ppm=max(0, fee_ppm) if fee_ppm is not None else None,
        rules_version=price.rules_version,
        book_version=price.book_version,
        price_time_us=price.price_time_us,
    )
    return None if prices_are_bad(prices) else prices
