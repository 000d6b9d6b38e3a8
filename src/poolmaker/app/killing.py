"""The kill switch without a platform: the venues' own lists, until they show nothing of ours.

Nothing here needs the database, the engine or the API: only the configuration and the keys in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from poolmaker.app.engines import connector_config
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.settings.model import Settings, VenueAccountSettings
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import system_rng
from poolmaker.market.connectors.binance.service import open_account
from poolmaker.market.connectors.binance.sweep import Sweep
from poolmaker.market.execution.kill import PLATFORM, require_scope

TIMEOUT_US: Final = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class SweptAccount:
    """One account after the sweep; ``symbols`` are all of them where none is named."""

    account: str
    symbols: tuple[str, ...]
    sweep: Sweep

    def plain(self) -> dict[str, Any]:
        """As programs read it."""
        return {"account": self.account, "symbols": self.symbols, **asdict(self.sweep)}


Target = tuple[VenueAccountSettings, tuple[str, ...] | None]


def targets(
    settings: Settings, scope: str, known: Collection[tuple[str, str, str]] = ()
) -> list[Target]:
    """Accounts that a latch concerns, with the markets there; None for all of them.

    ``known`` are pools as (pool, account, symbol) that may be there although they are not
    configured, any more. Raises CallerFault for an account or a pool that is neither.
    """
    require_scope(scope)
    kind, _, name = scope.partition(":")
    if scope == PLATFORM:
        return [(account, None) for account in settings.venue_accounts]
    if kind == "account":
        found: list[Target] = [(one, None) for one in settings.venue_accounts if one.id == name]
    else:
        places = {(pool.id, pool.account, pool.symbol) for pool in settings.pools} | set(known)
        found = [
            (account, (symbol,))
            for pool, where, symbol in sorted(places)
            for account in settings.venue_accounts
            if pool == name and account.id == where
        ]
    require(found, f"{scope} is not known here")
    return found


async def sweep(
    settings: Settings, found: Sequence[Target], timeout_us: int = TIMEOUT_US
) -> list[SweptAccount]:
    """Cancel what is ours at these accounts, all at once, and prove it."""
    return list(await asyncio.gather(*(_swept(settings, one, timeout_us) for one in found)))


async def _swept(settings: Settings, target: Target, timeout_us: int) -> SweptAccount:
    account, symbols = target
    assets = {asset.code: Asset(asset.code, asset.scale) for asset in settings.assets}
    clock = SystemClock()
    venue = open_account(connector_config(account, assets), clock, system_rng())
    try:
        done = await venue.sweeper(clock).sweep(symbols, timeout_us)
    finally:
        await venue.close()
    return SweptAccount(account.id, symbols or (), done)


def is_proven(swept: Sequence[SweptAccount]) -> bool:
    """Whether nothing of ours stands at any of them, and one was looked at."""
    return bool(swept) and all(one.sweep.proven for one in swept)
