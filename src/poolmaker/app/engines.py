"""Engines and wallets of the configured venue accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from poolmaker.bus.ports import StreamStore
from poolmaker.infra.leases import LEASE_LOST, LeaseCheck
from poolmaker.infra.settings.model import Settings, VenueAccountSettings
from poolmaker.infra.transactions import Transactions
from poolmaker.infra.wakeup import Wakeup
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import Ids, PoolId, VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.config import BinanceConfig
from poolmaker.market.connectors.binance.service import BinanceAccount, open_account
from poolmaker.market.engine.model import EngineConfig
from poolmaker.market.engine.ports import EnginePorts, EngineStores
from poolmaker.market.engine.service import AccountEngine, postgres_engine
from poolmaker.market.execution.ports import KillSwitch
from poolmaker.market.execution.service import postgres_intents
from poolmaker.market.tracking.account_stream import postgres_tracking


@dataclass(frozen=True, slots=True)
class EngineHandle:
    """One venue account of this process."""

    engine: AccountEngine
    venue: BinanceAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPorts:
    """What engines are given."""

    transactions: Transactions
    bus: StreamStore
    clock: Clock
    ids: Ids
    rng: Rng
    lease: LeaseCheck
    kill: KillSwitch
    wake: Wakeup


def open_desks(
    settings: Settings, assets: Mapping[str, Asset], ports: DeskPorts
) -> dict[VenueAccountId, EngineHandle]:
    """An engine and a wallet for every configured account. Nothing is dialled yet."""
    return {account.account: _desk(account, assets, ports) for account in settings.venue_accounts}


def connector_config(account: VenueAccountSettings, assets: Mapping[str, Asset]) -> BinanceConfig:
    """How an account's venue is reached."""
    return BinanceConfig(
        key=account.api_key.get_secret_value(),
        secret=account.secret.get_secret_value(),
        rest_url=account.rest_url,
        ws_url=account.ws_url,
        ws_api_url=account.ws_api_url,
        assets=assets,
    )


def _last_look(account: VenueAccountSettings, ports: DeskPorts) -> Callable[[PoolId], str]:
    """Why a pool's create must not leave although it is signed; empty when it may."""

    def barred(pool: PoolId) -> str:
        if killed := ports.kill.holds(account.account, pool):
            return f"killed: {killed}"
        return "" if ports.lease.holds() else LEASE_LOST

    return barred


def _desk(
    account: VenueAccountSettings, assets: Mapping[str, Asset], ports: DeskPorts
) -> EngineHandle:
    config, barred = connector_config(account, assets), _last_look(account, ports)
    venue = open_account(config, ports.clock, ports.rng.fork(account.id), barred)
    stores = EngineStores(
        transactions=ports.transactions,
        bus=ports.bus,
        engine=postgres_engine(),
        tracking=postgres_tracking(),
        intents=postgres_intents(),
        lease=ports.lease,
        wake=ports.wake,
    )
    engine = AccountEngine(
        EngineConfig(account=account.account, assets=assets, tick_ms=account.tick_ms),
        EnginePorts(
            venue=venue.venue,
            feeds=venue.feeds,
            entry=venue.venue,
            throttle=venue.throttle,
            stores=stores,
            clock=ports.clock,
            ids=ports.ids,
            kill=ports.kill,
        ),
    )
    return EngineHandle(engine, venue)
