"""What must hold after every command, checked from the outside of the engine.

``audit`` walks everything once (a few milliseconds with some thousand open orders), so that it
can be sampled while the venue runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from poolmaker.sandbox.venue.book import BookSide, Market
from poolmaker.sandbox.venue.engine import Engine
from poolmaker.sandbox.venue.model import AccountId


@dataclass(slots=True)
class Audit:
    """The outcome of one walk: how much was looked at and every violation in words."""

    accounts: int = 0
    assets: int = 0
    orders: int = 0
    levels: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.violations


def audit(engine: Engine) -> Audit:
    """Check conservation, locks, the uncrossed book and first in first out."""
    result = Audit(accounts=len(engine.accounts))
    locked: dict[tuple[AccountId, str], int] = {}
    for market in engine.markets.values():
        _audit_market(market, result, locked)
    _audit_locks(engine, result, locked)
    _audit_conservation(engine, result)
    return result


def _audit_market(market: Market, result: Audit, locked: dict[tuple[AccountId, str], int]) -> None:
    bid, ask = market.bids.best_price(), market.asks.best_price()
    if bid is not None and ask is not None and bid >= ask:
        result.violations.append(f"{market.spec.name}: crossed, bid {bid} and ask {ask}")
    for side, asset in ((market.bids, market.spec.quote), (market.asks, market.spec.base)):
        _audit_side(market, side, asset, result, locked)


def _audit_side(
    market: Market, side: BookSide, asset: str, result: Audit,
    locked: dict[tuple[AccountId, str], int],
) -> None:  # fmt: skip
    name = market.spec.name
    if side.keys != sorted(price * side.sign for price in side.levels):
        result.violations.append(f"{name}: the sorted prices are not the prices of the levels")
    for price, level in side.levels.items():
        result.levels += 1
        total, previous = 0, 0
        for order in level:
            result.orders += 1
            total += order.remaining
            key = (order.account.account_id, asset)
            locked[key] = locked.get(key, 0) + order.locked_units
            if order.order_id <= previous:
                result.violations.append(f"{name}: order {order.order_id} overtook {previous}")
            if order.remaining <= 0 or not order.is_open or order.price != price:
                result.violations.append(f"{name}: order {order.order_id} should not rest here")
            previous = order.order_id
        if total != level.total or total == 0:
            result.violations.append(f"{name}: level {price} says {level.total}, holds {total}")


def _audit_locks(engine: Engine, result: Audit, locked: dict[tuple[AccountId, str], int]) -> None:
    for account in engine.accounts.values():
        for asset, balance in account.balances.items():
            wanted = locked.get((account.account_id, asset), 0)
            if balance.locked != wanted:
                result.violations.append(
                    f"account {account.account_id}: {asset} locked {balance.locked}, "
                    f"open orders hold {wanted}"
                )
            if balance.free < 0:
                result.violations.append(
                    f"account {account.account_id}: {asset} free is {balance.free}"
                )


def _audit_conservation(engine: Engine, result: Audit) -> None:
    totals = dict(engine.fees)
    for account in engine.accounts.values():
        for asset, balance in account.balances.items():
            totals[asset] = totals.get(asset, 0) + balance.free + balance.locked
    result.assets = len(totals)
    for asset in sorted(totals.keys() | engine.net_inflow.keys()):
        held, came = totals.get(asset, 0), engine.net_inflow.get(asset, 0)
        if held != came:
            result.violations.append(f"{asset}: accounts and fees hold {held}, came in {came}")
