"""Engines and wallets of the configured venue accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from poolmaker.bus.ports import Bus
from poolmaker.infra.settings.model import Settings, VenueAccountSettings
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import MINUTE_US, SECOND_US, Clock
from poolmaker.kernel.ids import Ids, VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.feeds import BinanceFeeds
from poolmaker.market.connectors.binance.venue import BinanceVenue
from poolmaker.market.connectors.binance.wallet import VenueWallet
from poolmaker.market.engine.model import EngineConfig
from poolmaker.market.engine.ports import EnginePorts, EngineStores
from poolmaker.market.engine.service import AccountEngine, postgres_engine
from poolmaker.market.execution.service import postgres_intents
from poolmaker.market.execution.throttle import Limit, Throttle
from poolmaker.market.tracking.account_stream import postgres_tracking

BINANCE_LIMITS: Final = (
    Limit("weight", 6_000, MINUTE_US),
    Limit("orders", 100, 10 * SECOND_US),
    Limit("orders_per_day", 200_000, 86_400 * SECOND_US),
)


@dataclass(frozen=True, slots=True)
class Desk:
    """One venue account of this process."""

    engine: AccountEngine
    wallet: VenueWallet
    transport: Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPorts:
    """What engines are given."""

    transactions: Transactions
    bus: Bus
    clock: Clock
    ids: Ids
    rng: Rng


def open_desks(
    settings: Settings, assets: Mapping[str, Asset], ports: DeskPorts
) -> dict[VenueAccountId, Desk]:
    """An engine and a wallet for every configured account. Nothing is dialled yet."""
    return {account.account: _desk(account, assets, ports) for account in settings.venue_accounts}


def _desk(account: VenueAccountSettings, assets: Mapping[str, Asset], ports: DeskPorts) -> Desk:
    throttle = Throttle(ports.clock, BINANCE_LIMITS)
    config = BinanceConfig(
        key=account.api_key.get_secret_value(),
        secret=account.secret.get_secret_value(),
        rest_url=account.rest_url,
        ws_url=account.ws_url,
        ws_api_url=account.ws_api_url,
        assets=assets,
    )
    transport = Transport(config, throttle)
    venue = BinanceVenue(transport, ports.clock)
    stores = EngineStores(
        transactions=ports.transactions,
        bus=ports.bus,
        engine=postgres_engine(),
        tracking=postgres_tracking(),
        intents=postgres_intents(),
    )
    engine = AccountEngine(
        EngineConfig(account=account.account, assets=assets, tick_ms=account.tick_ms),
        EnginePorts(
            venue=venue,
            feeds=BinanceFeeds(transport, venue, ports.clock, ports.rng.fork(account.id)),
            entry=venue,
            throttle=throttle,
            stores=stores,
            clock=ports.clock,
            ids=ports.ids,
        ),
    )
    return Desk(engine, VenueWallet(transport), transport)
