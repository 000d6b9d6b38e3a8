"""Why an order or a pool has more or less than was put in: trading, fees and rewards apart.

Every figure counts what arrived, never what was asked for: an order that was not paid has gained
and lost nothing, and what was given back is no loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from poolmaker.app.figures import AssetRegistry, Valuation
from poolmaker.business.ledger.model import Flow
from poolmaker.views.model import AmountView, OrderProfitView, PoolProfitView

Amounts = Mapping[str, int]
"""Atomic units by asset."""

LOCK: Final = "LOCK"
UNLOCK: Final = "UNLOCK"
PLATFORM_FEE: Final = "PLATFORM_FEE"
FILL: Final = "FILL"
TRADE_FEES: Final = frozenset({"TRADE_FEE", "RECHARGE_FEE"})


def added(parts: Iterable[Amounts]) -> dict[str, int]:
    """The sum by asset."""
    total: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        for asset, units in part.items():
            total[asset] += units
    return dict(total)


def less(amounts: Amounts) -> dict[str, int]:
    """The same amounts with the other sign."""
    return {asset: -units for asset, units in amounts.items()}


@dataclass(frozen=True, slots=True)
class Flows:
    """What each kind of transaction moved on each account, in normal units."""

    units: Mapping[tuple[str, str], Amounts] = field(default_factory=dict)

    @classmethod
    def of(cls, flows: Sequence[Flow]) -> Flows:
        """Flows by account and kind."""
        found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        for flow in flows:
            found[flow.account, flow.kind][flow.asset] = flow.units
        return cls(dict(found))

    def moved(self, account: str, *kinds: str) -> dict[str, int]:
        """What these kinds moved on an account together."""
        return added(self.units.get((account, kind), {}) for kind in kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFlows:
    """Everything that came into an order and went out of it, atomic units by asset.

    ``has`` is what it has now: locked, in its pool and leaving. ``network_fees`` are what its
    payouts cost.
    """

    locked: Amounts
    unlocked: Amounts
    charged: Amounts
    has: Amounts
    network_fees: Amounts
    rewards: Amounts


def order_flows(
    flows: Flows, account: str, has: Amounts, network_fees: Amounts, rewards: Amounts
) -> OrderFlows:
    """The flows of an order whose locked money is at ``account``."""
    return OrderFlows(
        locked=flows.moved(account, LOCK),
        unlocked=less(flows.moved(account, UNLOCK)),
        charged=less(flows.moved(account, PLATFORM_FEE)),
        has=has,
        network_fees=network_fees,
        rewards=rewards,
    )


def difference(worth: Valuation, after: Amounts, before: Amounts) -> int | None:
    """Quote units by which ``after`` is worth more than ``before``, None without a price."""
    one, other = worth.units(after), worth.units(before)
    return one - other if one is not None and other is not None else None


def order_profit(flows: OrderFlows, worth: Valuation, scales: AssetRegistry) -> OrderProfitView:
    """Trading counts what was charged as still there: fees stand apart."""
    there = added([flows.has, flows.unlocked, flows.charged])
    trading = difference(worth, there, flows.locked)
    return OrderProfitView(
        trading=scales.money(worth.quote, trading) if trading is not None else None,
        fees=moneys(added([flows.charged, flows.network_fees]), scales),
        rewards=moneys(flows.rewards, scales),
    )


def pool_profit(
    flows: Flows, account: str, worth: Valuation, scales: AssetRegistry
) -> PoolProfitView:
    """What fills and trading fees moved on a pool's capital."""
    fills = flows.moved(account, FILL)
    gained = {asset: units for asset, units in fills.items() if units > 0}
    given = {asset: -units for asset, units in fills.items() if units < 0}
    trading = difference(worth, gained, given)
    return PoolProfitView(
        trading=scales.money(worth.quote, trading) if trading is not None else None,
        trade_fees=moneys(less(flows.moved(account, *TRADE_FEES)), scales),
    )


def moneys(amounts: Amounts, scales: AssetRegistry) -> tuple[AmountView, ...]:
    """Amounts that are not zero, by asset."""
    return tuple(scales.money(asset, units) for asset, units in sorted(amounts.items()) if units)
