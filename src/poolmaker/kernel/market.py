"""Market numbers: prices in integer ticks and quantities in integer lots of one market.

================  ====================================================
operation         result
================  ====================================================
price * quantity  not defined; use ``Market.notional`` (names rounding)
text -> price     ``price_of`` (exact) or ``price_near`` (bid down, ask up)
================  ====================================================

What a venue reports as quote quantity and commission is booked; price times quantity is only a
check.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from poolmaker.kernel.checks import require, require_int
from poolmaker.kernel.money import Amount, Asset, Ratio, Rounding, divide, format_units, parse_units


class Side(StrEnum):
    """Side of an exchange order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def passive_rounding(self) -> Rounding:
        """Bids round down and asks round up, so that rounding never narrows a spread."""
        match self:
            case Side.BUY:
                return Rounding.DOWN
            case Side.SELL:
                return Rounding.UP
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class Market:
    """Trading rules of one market at one venue.

    ``tick_units``: atomic quote units of one tick of the price of one whole base.
    ``lot_units``: atomic base units of one lot. ``quantity_min_lots`` and
    ``notional_min_units`` (atomic quote units) are the venue's minimums. ``version`` says which of
    the rules that the venue has had for this market these are, 0 where nobody counts them.

    Ticks and lots mean nothing without the rules that they were counted under, and a venue may
    change those at any time: what holds ticks or lots holds its ``Market`` too.
    """

    symbol: str
    base: Asset
    quote: Asset
    tick_units: int
    lot_units: int
    quantity_min_lots: int = 1
    notional_min_units: int = 0
    version: int = 0

    def __post_init__(self) -> None:
        for name in ("tick_units", "lot_units", "quantity_min_lots"):
            value = getattr(self, name)
            require_int(value, name)
            require(value > 0, f"{name}: expected a positive int, was {value}")
        require_int(self.notional_min_units, "notional_min_units")
        require(self.notional_min_units >= 0, "notional_min_units: expected 0 or more")
        require(self.base != self.quote, "base and quote: expected two assets")

    def price(self, ticks: int) -> Price:
        """The price of ``ticks`` ticks."""
        return Price(self, ticks)

    def quantity(self, lots: int) -> Quantity:
        """The quantity of ``lots`` lots."""
        return Quantity(self, lots)

    def price_of(self, text: str) -> Price:
        """The price that a decimal text says; raises CallerFault when it is between ticks."""
        ticks, rest = divmod(parse_units(text, self.quote.scale), self.tick_units)
        require(rest == 0, f"price: {text} is not a multiple of the tick of {self.symbol}")
        return Price(self, ticks)

    def price_near(self, quote_units_per_base: int, side: Side) -> Price:
        """The nearest price that is not more aggressive for ``side``."""
        return Price(self, divide(quote_units_per_base, self.tick_units, side.passive_rounding))

    def quantity_of(self, text: str) -> Quantity:
        """The quantity that a decimal text says; raises CallerFault when it is between lots."""
        lots, rest = divmod(parse_units(text, self.base.scale), self.lot_units)
        require(rest == 0, f"quantity: {text} is not a multiple of the lot of {self.symbol}")
        return Quantity(self, lots)

    def quantity_within(self, base_units: int) -> Quantity:
        """The largest quantity that ``base_units`` atomic base units cover."""
        return Quantity(self, max(0, base_units) // self.lot_units)

    def same_grid(self, other: Market) -> bool:
        """Whether a tick and a lot of both mean the same; minimums do not change their meaning."""
        ours = (self.symbol, self.base, self.quote, self.tick_units, self.lot_units)
        return ours == (other.symbol, other.base, other.quote, other.tick_units, other.lot_units)

    def worth_units(self, ticks: int, base_units: int, rounding: Rounding) -> int:
        """Atomic quote units of ``base_units`` at ``ticks``, rounded in the named direction."""
        return divide(ticks * self.tick_units * base_units, self.base.one, rounding)

    def notional_units(self, ticks: int, lots: int, rounding: Rounding) -> int:
        """Atomic quote units of ``lots`` at ``ticks``, rounded in the named direction."""
        return self.worth_units(ticks, lots * self.lot_units, rounding)

    def notional(self, price: Price, quantity: Quantity, rounding: Rounding) -> Amount:
        """The quote amount of ``quantity`` at ``price``."""
        require(price.market == quantity.market == self, f"market: expected {self.symbol}")
        return Amount(self.quote, self.notional_units(price.ticks, quantity.lots, rounding))

    def accepts(self, ticks: int, lots: int) -> bool:
        """Whether the venue's minimums allow an order of ``lots`` at ``ticks``."""
        notional = self.notional_units(ticks, lots, Rounding.DOWN)
        return lots >= self.quantity_min_lots and notional >= self.notional_min_units


@dataclass(frozen=True, slots=True)
class Price:
    """A positive price as ticks of its market."""

    market: Market
    ticks: int

    def __post_init__(self) -> None:
        require_int(self.ticks, "ticks")
        require(self.ticks > 0, f"ticks: expected a positive int, was {self.ticks}")

    @property
    def ratio(self) -> Ratio:
        """Atomic quote units for atomic base units."""
        return Ratio(self.ticks * self.market.tick_units, self.market.base.one)

    def decimal(self) -> str:
        """The exact decimal text of the price of one whole base."""
        return format_units(self.ticks * self.market.tick_units, self.market.quote.scale)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of zero or more lots of its market."""

    market: Market
    lots: int

    def __post_init__(self) -> None:
        require_int(self.lots, "lots")
        require(self.lots >= 0, f"lots: expected 0 or more, was {self.lots}")

    @property
    def amount(self) -> Amount:
        """The base amount."""
        return Amount(self.market.base, self.lots * self.market.lot_units)

    def decimal(self) -> str:
        """The exact decimal text in whole base units."""
        return self.amount.decimal()
