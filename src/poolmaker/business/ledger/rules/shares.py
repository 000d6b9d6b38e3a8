"""Arithmetic of pools: net asset value, shares of a join, fraction of a leave. All exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.money import Ratio, Rounding, divide

CBPS_ONE: Final = 1_000_000
"""Hundredths of a basis point in one."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Base and quote units together."""

    base: int
    quote: int

    def value_numerator(self, price: Ratio) -> int:
        """Value in quote units times the price's denominator: exact."""
        return self.quote * price.denominator + self.base * price.numerator

    def value(self, price: Ratio, rounding: Rounding = Rounding.DOWN) -> int:
        """Value in quote units at ``price``."""
        return divide(self.value_numerator(price), price.denominator, rounding)


def in_ratio(pool: Holding, offer: Holding) -> Holding:
    """The largest part of an offer in the pool's own ratio, rounded down."""
    if offer.base * pool.quote <= offer.quote * pool.base:
        quote = offer.base * pool.quote // pool.base if pool.base else offer.quote
        return Holding(offer.base, min(quote, offer.quote))
    base = offer.quote * pool.base // pool.quote if pool.quote else offer.base
    return Holding(min(base, offer.base), offer.quote)


def joined_shares(
    issued: int, pool: Holding, offer: Holding, price: Ratio, join_cost_cbps: int
) -> int:
    """Shares that an offer mints at one price, rounded down.

    The part in the pool's ratio mints at net asset value; the excess of one asset mints for its
    value less the join cost, which stays in the pool. The pool must be worth something.
    """
    even = in_ratio(pool, offer)
    excess = Holding(offer.base - even.base, offer.quote - even.quote)
    paid = even.value_numerator(price) * CBPS_ONE
    paid += excess.value_numerator(price) * (CBPS_ONE - join_cost_cbps)
    return issued * paid // (pool.value_numerator(price) * CBPS_ONE)


def left_part(pool: Holding, shares: int, issued: int) -> Holding:
    """What ``shares`` of ``issued`` take of a pool, rounded down; all shares take everything."""
    return Holding(pool.base * shares // issued, pool.quote * shares // issued)
