"""Pure market making: levels around a reference, leaning against inventory. Integers only.

One million cbps are the whole price: a factor of ``WHOLE + n`` is a price ``n`` cbps higher.
"""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.market import Side
from poolmaker.kernel.money import Rounding, divide
from poolmaker.market.quoting.model import Inventory, MarketView, Quote, QuoteDecision, SideQuotes
from poolmaker.messages.market import QUOTING_LEVELS_MAX, QuoteGate, StrategySnapshot

WHOLE: Final = 1_000_000


def strategy_problems(strategy: StrategySnapshot) -> list[str]:
    """Every reason why a snapshot cannot be quoted, as sentences; empty when it can."""
    bounds = {
        "levels": (1, QUOTING_LEVELS_MAX),
        "spread_cbps": (1, WHOLE // 2),
        "level_spacing_cbps": (0, WHOLE // 2),
        "level_size_ppm": (1, WHOLE),
        "inventory_target_ppm": (0, WHOLE),
        "inventory_skew_cbps": (0, WHOLE // 2),
        "inventory_band_ppm": (0, WHOLE),
        "refresh_tolerance_cbps": (0, WHOLE),
        "order_age_max_ms": (0, 86_400_000),
        "spread_floor_cbps": (0, WHOLE // 2),
        "book_age_max_ms": (1, 600_000),
    }
    found = []
    for name, (low, high) in bounds.items():
        value = getattr(strategy, name)
        if not low <= value <= high:
            found.append(f"{name}: expected {low} to {high}, was {value}")
    return found


def base_deviation_ppm(view: MarketView, inventory: Inventory, target_ppm: int) -> int:
    """Base share by value at the reference, minus its target, in parts per million."""
    unit = view.market.base.one * view.reference_weight
    base_value = inventory.base_units * view.reference_ticks * view.market.tick_units
    total = base_value + inventory.quote_units * unit
    return divide(base_value * WHOLE, total, Rounding.DOWN) - target_ppm if total > 0 else 0


def lean_cbps(deviation_ppm: int, skew_cbps: int) -> int:
    """How far both quotes move, towards zero: too much base moves them down."""
    moved = abs(deviation_ppm) * skew_cbps // WHOLE
    return -moved if deviation_ppm > 0 else moved


def half_spread_cbps(strategy: StrategySnapshot, maker_fee_cbps: int) -> int:
    """From the reference to the first level, not below half of the spread floor."""
    floor = strategy.spread_floor_cbps or max(0, 2 * maker_fee_cbps)
    return max(strategy.spread_cbps, divide(floor, 2, Rounding.UP))


def size_weight_ppm(side: Side, deviation_ppm: int, band_ppm: int) -> int:
    """Share of the normal size: less on the side whose fills would worsen the inventory."""
    worsening = deviation_ppm if side is Side.BUY else -deviation_ppm
    if band_ppm == 0 or worsening <= 0:
        return WHOLE
    return max(0, WHOLE - worsening * WHOLE // band_ppm)


def level_prices(view: MarketView, strategy: StrategySnapshot, side: Side, lean: int) -> list[int]:
    """Prices of the levels, best first: passive, at most one tick better than others' depth."""
    half = half_spread_cbps(strategy, view.maker_fee_cbps)
    if side is Side.BUY:
        return _bid_prices(view, strategy, WHOLE - half + lean)
    return _ask_prices(view, strategy, WHOLE + half + lean)


def _bid_prices(view: MarketView, strategy: StrategySnapshot, factor: int) -> list[int]:
    """Rounded down; each level at least one tick below the one before."""
    bound = min(view.ask_ticks - 1, view.bid_depth_ticks + 1)
    scale = view.reference_weight * WHOLE
    prices = []
    for _ in range(strategy.levels):
        bound = min(view.reference_ticks * factor // scale, bound)
        prices.append(bound)
        factor -= strategy.level_spacing_cbps
        bound -= 1
    return prices


def _ask_prices(view: MarketView, strategy: StrategySnapshot, factor: int) -> list[int]:
    """Rounded up; each level at least one tick above the one before."""
    bound = max(view.bid_ticks + 1, view.ask_depth_ticks - 1)
    scale = view.reference_weight * WHOLE
    prices = []
    for _ in range(strategy.levels):
        bound = max(-(-view.reference_ticks * factor // scale), bound)
        prices.append(bound)
        factor += strategy.level_spacing_cbps
        bound += 1
    return prices


def _bids(view: MarketView, prices: list[int], share_units: int, left_units: int) -> list[Quote]:
    """Sizes of bids: quote units buy what they can, and the next level has the rest."""
    market = view.market
    one, unit = market.base.one, market.tick_units * market.lot_units
    quotes = []
    for level, ticks in enumerate(prices):
        if ticks <= 0:
            break
        lots = min(share_units, left_units) * one // (ticks * unit)
        worth = ticks * unit * lots
        if lots >= market.quantity_min_lots and worth // one >= market.notional_min_units:
            left_units -= -(-worth // one)
            quotes.append(Quote(market, level, ticks, lots))
    return quotes


def _asks(view: MarketView, prices: list[int], share_units: int, left_units: int) -> list[Quote]:
    """Sizes of asks: base units, and the next level has the rest."""
    market = view.market
    one, unit = market.base.one, market.tick_units * market.lot_units
    quotes = []
    for level, ticks in enumerate(prices):
        lots = min(share_units, left_units) // market.lot_units
        small = ticks * unit * lots // one < market.notional_min_units
        if ticks > 0 and lots >= market.quantity_min_lots and not small:
            left_units -= lots * market.lot_units
            quotes.append(Quote(market, level, ticks, lots))
    return quotes


def _side(
    view: MarketView, inventory: Inventory, strategy: StrategySnapshot, side: Side, deviation: int
) -> SideQuotes:
    usable = inventory.usable(side)
    if inventory.owned(side) <= 0:
        return SideQuotes((), QuoteGate.NO_CAPITAL)
    weight = size_weight_ppm(side, deviation, strategy.inventory_band_ppm)
    if weight == 0:
        return SideQuotes((), QuoteGate.INVENTORY_BAND)
    share = inventory.owned(side) * strategy.level_size_ppm * weight // WHOLE**2
    prices = level_prices(view, strategy, side, lean_cbps(deviation, strategy.inventory_skew_cbps))
    quotes = tuple((_bids if side is Side.BUY else _asks)(view, prices, share, usable))
    if quotes:
        return SideQuotes(quotes, QuoteGate.NONE)
    drained = usable < inventory.owned(side)
    return SideQuotes((), QuoteGate.DRAINING if drained else QuoteGate.BELOW_MINIMUM)


def decide(view: MarketView, inventory: Inventory, strategy: StrategySnapshot) -> QuoteDecision:
    """The quotes of both sides, or for each side without one the gate that prevents it."""
    deviation = base_deviation_ppm(view, inventory, strategy.inventory_target_ppm)
    return QuoteDecision(
        bids=_side(view, inventory, strategy, Side.BUY, deviation),
        asks=_side(view, inventory, strategy, Side.SELL, deviation),
        deviation_ppm=deviation,
        widened=half_spread_cbps(strategy, view.maker_fee_cbps) > strategy.spread_cbps,
    )
