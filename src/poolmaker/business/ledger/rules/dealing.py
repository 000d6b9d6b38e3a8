"""Prices that decide money, and the shares that an excess is worth at them. Pure and exact.

A price that anybody can write with a small order must not decide what others own. So an excess is
valued at the smallest result of three prices that are written in different ways: the mid by the
best orders, the average by time, the depth prices by size. It is valued at none of them while
they are too far apart. The cost is what it would take to trade the excess away, and more is never
valued than the depth prices have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.business.ledger.commands import DealingPrices, JoinTerms
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.ledger.rules.shares import Holding
from poolmaker.kernel.money import UNITS_MAX, Ratio, Rounding, divide
from poolmaker.messages.base import Rate

PPM: Final = 1_000_000
SHARE_SCALE: Final = 18
SHARES_EXACT: Final = 10**9
"""From so many shares on, one share less is at most 1 part in 10**9."""


def rate_is_bad(rate: Rate) -> bool:
    """Whether a rate is not two positive numbers of a sane size."""
    return not (0 < rate.numerator <= UNITS_MAX and 0 < rate.denominator <= UNITS_MAX)


def prices_are_bad(prices: DealingPrices) -> bool:
    """Whether any number in them makes no sense."""
    rates = (prices.mid, prices.twap_60s, prices.bid_depth, prices.ask_depth)
    depths = (prices.depth_base_units, prices.depth_quote_units)
    fee_ppm = prices.taker_fee_ppm
    return (
        any(rate is not None and rate_is_bad(rate) for rate in rates)
        or any(not 0 <= depth <= UNITS_MAX for depth in depths)
        or (fee_ppm is not None and not 0 <= fee_ppm < PPM)
    )


@dataclass(frozen=True, slots=True)
class ExcessPrice:
    """What an excess is valued at: three prices near each other, the cost, and the depth.

    ``base_cost_ppm`` is what an excess of base pays of its value, ``quote_cost_ppm`` one of quote.
    """

    references: tuple[Ratio, ...]
    base_cost_ppm: int
    quote_cost_ppm: int
    depth: Holding

    def value_min(self, holding: Holding, factor: int = 1) -> int:
        """The smallest value in quote units times ``factor``, rounded down."""
        return min(
            holding.value_numerator(price) * factor // price.denominator
            for price in self.references
        )

    def shares(self, issued: int, pool: Holding, offer: Holding) -> int:
        """Shares that an offer mints: the smallest result, rounded down once."""
        return min(self._shares_at(price, issued, pool, offer) for price in self.references)

    def _shares_at(self, price: Ratio, issued: int, pool: Holding, offer: Holding) -> int:
        """The part in ratio mints at net asset value, the excess for its value less its cost."""
        net = pool.value_numerator(price) * PPM
        if base_is_short(pool, offer):
            excess = offer.quote * pool.base - offer.base * pool.quote
            paid = excess * price.denominator * (PPM - self.quote_cost_ppm)
            return issued * (offer.base * net + paid) // (pool.base * net)
        excess = offer.base * pool.quote - offer.quote * pool.base
        paid = excess * price.numerator * (PPM - self.base_cost_ppm)
        return issued * (offer.quote * net + paid) // (pool.quote * net)


def excess_price(
    prices: DealingPrices | None, terms: JoinTerms, at_us: int
) -> ExcessPrice | LedgerRefusal:
    """What an excess may be valued at, or why it has to wait."""
    if prices is None:
        return LedgerRefusal.PRICES_DIVERGE
    if abs(at_us - prices.price_time_us) > terms.price_age_max_us:
        return LedgerRefusal.STALE_PRICE
    mid, average, bid, ask = prices.mid, prices.twap_60s, prices.bid_depth, prices.ask_depth
    if mid is None or average is None or bid is None or ask is None:
        return LedgerRefusal.PRICES_DIVERGE
    references = (mid.ratio, average.ratio, _middle(bid.ratio, ask.ratio))
    if _below(ask.ratio, bid.ratio) or _diverge(references, terms.divergence_max_ppm):
        return LedgerRefusal.PRICES_DIVERGE
    fee_ppm = max(terms.taker_fee_ppm, prices.taker_fee_ppm or 0)
    costs = [
        max(terms.join_cost_min_ppm, fee_ppm + distance)
        for distance in (_fall(references, bid.ratio), _rise(references, ask.ratio))
    ]
    if max(costs) >= PPM:
        return LedgerRefusal.PRICES_DIVERGE
    depth = Holding(prices.depth_base_units, prices.depth_quote_units)
    return ExcessPrice(references, costs[0], costs[1], depth)


def _middle(bid: Ratio, ask: Ratio) -> Ratio:
    numerator = bid.numerator * ask.denominator + ask.numerator * bid.denominator
    return Ratio(numerator, 2 * bid.denominator * ask.denominator)


def _below(one: Ratio, other: Ratio) -> bool:
    return one.numerator * other.denominator < other.numerator * one.denominator


def _lowest(references: tuple[Ratio, ...]) -> Ratio:
    found = references[0]
    for price in references[1:]:
        found = price if _below(price, found) else found
    return found


def _highest(references: tuple[Ratio, ...]) -> Ratio:
    found = references[0]
    for price in references[1:]:
        found = price if _below(found, price) else found
    return found


def _diverge(references: tuple[Ratio, ...], bound_ppm: int) -> bool:
    """Whether the highest is more than the bound above the lowest."""
    low, high = _lowest(references), _highest(references)
    apart = high.numerator * low.denominator - low.numerator * high.denominator
    return apart * PPM > bound_ppm * low.numerator * high.denominator


def _fall(references: tuple[Ratio, ...], bid: Ratio) -> int:
    """How far the depth price of bids is below the highest reference, ppm of that, rounded up."""
    top = _highest(references)
    apart = top.numerator * bid.denominator - bid.numerator * top.denominator
    return divide(max(0, apart) * PPM, top.numerator * bid.denominator, Rounding.UP)


def _rise(references: tuple[Ratio, ...], ask: Ratio) -> int:
    """How far the depth price of asks is above the lowest reference, ppm of it, rounded up."""
    low = _lowest(references)
    apart = ask.numerator * low.denominator - low.numerator * ask.denominator
    return divide(max(0, apart) * PPM, ask.numerator * low.denominator, Rounding.UP)


def base_is_short(pool: Holding, offer: Holding) -> bool:
    """Whether base bounds the part in the pool's ratio. The pool holds something."""
    return pool.quote == 0 or (pool.base > 0 and offer.base * pool.quote <= offer.quote * pool.base)


def even_shares(issued: int, pool: Holding, offer: Holding) -> int:
    """Shares of the largest part of an offer in the pool's ratio, rounded down."""
    if base_is_short(pool, offer):
        return issued * offer.base // pool.base
    return issued * offer.quote // pool.quote


def even_part(issued: int, pool: Holding, shares: int) -> Holding:
    """What ``shares`` cost in the pool's ratio, rounded up: it costs the joiner, never others."""
    return Holding(
        divide(pool.base * shares, issued, Rounding.UP),
        divide(pool.quote * shares, issued, Rounding.UP),
    )


def with_excess(pool: Holding, offer: Holding, bound: Holding) -> tuple[Holding, Holding]:
    """What of an offer joins when at most ``bound`` of each asset is excess, and that excess.

    The part in ratio is rounded up, so that the other asset never becomes the excess.
    """
    if base_is_short(pool, offer):
        even = divide(offer.base * pool.quote, pool.base, Rounding.UP)
        excess = min(offer.quote - even, bound.quote)
        return Holding(offer.base, even + excess), Holding(0, excess)
    even = divide(offer.quote * pool.base, pool.quote, Rounding.UP)
    excess = min(offer.base - even, bound.base)
    return Holding(even + excess, offer.quote), Holding(excess, 0)


def is_exact(issued: int, pool: Holding, shares: int) -> bool:
    """Whether one share less costs at most an atomic unit of each asset or 1 part in 10**9."""
    return shares >= SHARES_EXACT or (pool.base <= issued and pool.quote <= issued)
