"""One account at a venue that speaks Binance spot: all that engine and treasury need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import PoolId
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.feeds import BinanceFeeds
from poolmaker.market.connectors.binance.sweep import Sweeper
from poolmaker.market.connectors.binance.venue import BinanceVenue
from poolmaker.market.connectors.binance.wallet import VenueWallet
from poolmaker.market.execution.throttle import Limit, Throttle

LIMITS: Final = (
    Limit("orders", 100, 10_000_000),
    Limit("orders_per_day", 200_000, 86_400_000_000),
    Limit("weight", 6_000, 60_000_000),
)


@dataclass(frozen=True, slots=True)
class BinanceAccount:
    """The parts of one account. ``venue`` answers questions and takes orders."""

    venue: BinanceVenue
    feeds: BinanceFeeds
    wallet: VenueWallet
    throttle: Throttle
    transport: Transport

    def sweeper(self, clock: Clock) -> Sweeper:
        """What cancels past the engine."""
        return Sweeper(self.transport, self.venue, clock)

    async def close(self) -> None:
        """Close every connection."""
        await self.transport.close()


def open_account(
    config: BinanceConfig, clock: Clock, rng: Rng, barred: Callable[[PoolId], str] | None = None
) -> BinanceAccount:
    """Make the parts; nothing is connected before it is used.

    ``barred`` says why a pool's create must not leave, asked after it was signed.
    """
    throttle = Throttle(clock, LIMITS)
    transport = Transport(config, throttle)
    venue = BinanceVenue(transport, clock, barred)
    feeds = BinanceFeeds(transport, venue, clock, rng)
    return BinanceAccount(venue, feeds, VenueWallet(transport, clock), throttle, transport)
