"""What a quoting decision is made from, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.kernel.checks import require
from poolmaker.kernel.market import Market, Side
from poolmaker.messages.market import QuoteGate


@dataclass(frozen=True, slots=True)
class MarketView:
    """One market as others make it: own orders are not in these prices.

    ``bid_ticks`` and ``ask_ticks`` are the best prices, however little stands there: a quote does
    not cross them. ``bid_depth_ticks`` and ``ask_depth_ticks`` are prices that the size of the
    pool's own level stands behind: only those decide where quotes stand. The reference price is
    their middle: ``reference_ticks`` over ``reference_weight``, in ticks, exactly.
    ``maker_fee_cbps`` is what the venue takes of a maker's trade, in hundredths of a basis point.
    """

    market: Market
    bid_ticks: int
    ask_ticks: int
    bid_depth_ticks: int
    ask_depth_ticks: int
    reference_ticks: int
    reference_weight: int
    maker_fee_cbps: int = 0

    def __post_init__(self) -> None:
        require(0 < self.bid_ticks < self.ask_ticks, "book: expected 0 < bid < ask")
        behind = self.bid_depth_ticks <= self.bid_ticks and self.ask_ticks <= self.ask_depth_ticks
        require(behind and self.bid_depth_ticks > 0, "depth: expected no better than the best")
        require(self.reference_ticks > 0, "reference: expected a positive price")
        require(self.reference_weight > 0, "reference: expected a positive weight")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the pool owns at the venue, and how much of it orders may use; atomic units.

    The usable part is smaller than the whole while the pool drains for a leaver.
    """

    base_units: int
    quote_units: int
    base_usable_units: int
    quote_usable_units: int

    @classmethod
    def whole(cls, base_units: int, quote_units: int) -> Inventory:
        """Everything may be used."""
        return cls(base_units, quote_units, base_units, quote_units)

    def usable(self, side: Side) -> int:
        """Units that orders of a side may consume: quote for bids, base for asks."""
        return self.quote_usable_units if side is Side.BUY else self.base_usable_units

    def owned(self, side: Side) -> int:
        """Units that the pool owns of what a side consumes."""
        return self.quote_units if side is Side.BUY else self.base_units


@dataclass(frozen=True, slots=True)
class Quote:
    """An ideal order: price in ticks, size in lots, level from 0 at the touch."""

    market: Market
    level: int
    ticks: int
    lots: int


@dataclass(frozen=True, slots=True)
class SideQuotes:
    """The quotes of a side, best first; without any, ``gate`` names the reason."""

    quotes: tuple[Quote, ...]
    gate: QuoteGate


@dataclass(frozen=True, slots=True)
class QuoteDecision:
    """What the pool should show. ``widened`` when the spread floor moved the first level."""

    bids: SideQuotes
    asks: SideQuotes
    deviation_ppm: int = 0
    widened: bool = False

    def side(self, side: Side) -> SideQuotes:
        """The quotes of one side."""
        return self.bids if side is Side.BUY else self.asks


def gated(gate: QuoteGate) -> QuoteDecision:
    """A decision without quotes for one reason on both sides."""
    silent = SideQuotes((), gate)
    return QuoteDecision(silent, silent)
