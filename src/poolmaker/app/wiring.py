"""Every part of the platform made and plugged into the others; nothing runs yet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from poolmaker import __version__
from poolmaker.api.calls import fresh_token, token_hash
from poolmaker.api.ports import Platform
from poolmaker.api.service import open_store as open_api_store
from poolmaker.app.business import Business, BusinessPorts, open_business, pool_configs
from poolmaker.app.commands import OrdersDesk, PeopleDesk, TreasuryDesk
from poolmaker.app.custody import CustodyWatch
from poolmaker.app.data import Data, open_writer
from poolmaker.app.engines import Desk, DeskPorts, open_desks
from poolmaker.app.figures import Scales
from poolmaker.app.live import EngineLive, LivePorts
from poolmaker.app.payouts import VenuePayouts
from poolmaker.app.people import People, PeoplePorts
from poolmaker.app.reading import PlatformReading, ReadingPorts
from poolmaker.app.stage import MemoryStage
from poolmaker.bus.service import open_bus
from poolmaker.business.ledger.history import open_history
from poolmaker.business.ledger.service import Ledger, LedgerWriter, open_rows, open_store
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.postgres.passwords import write_private
from poolmaker.infra.sagas.service import SagaRunner, Tools, open_sagas
from poolmaker.infra.settings.model import Settings
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.ids import Ids, VenueAccountId
from poolmaker.kernel.rng import Rng
from poolmaker.views.model import Check, Health, Mode

OPERATOR_TOKEN_FILE: Final = "operator.token"  # noqa: S105 - the name of a file


@dataclass(slots=True)
class Root:
    """What every part is made of. ``wake`` is set when something may have happened."""

    operator_token: str = field(repr=False)

    settings: Settings
    clock: Clock
    ids: Ids
    rng: Rng
    health: HealthBoard
    stopping: asyncio.Event
    wake: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """The parts of a process once they are wired."""

    data: Data
    writer: LedgerWriter
    business: Business
    desks: dict[VenueAccountId, Desk]
    runner: SagaRunner
    live: EngineLive
    custody: CustodyWatch
    scales: Scales
    platform: Platform

    async def learn_assets(self, clock: Clock) -> None:
        """Make assets known that appeared since, as the shares of a new epoch do."""
        known = await open_store(self.data.app, clock).assets()
        self.scales.assets.update((asset.code, asset) for asset in known)


async def wire(root: Root, data: Data) -> Wired:
    """Take the ledger and make every part. Raises EnvironmentProblem for what does not fit."""
    settings, clock = root.settings, root.clock
    holder = f"{os.uname().nodename}:{os.getpid()}"
    writer = await open_writer(data, settings, clock, holder)
    scales = Scales({a.code: a for a in await open_store(data.app, clock).assets()})
    desks = open_desks(
        settings,
        scales.assets,
        DeskPorts(
            transactions=data.app,
            bus=open_bus(),
            clock=clock,
            ids=root.ids,
            rng=root.rng.fork("engines"),
        ),
    )
    wallets = {account: desk.venue.wallet for account, desk in desks.items()}
    ports = BusinessPorts(
        transactions=data.app,
        ledger=Ledger(open_rows(), writer),
        sagas=open_sagas(),
        payouts=VenuePayouts(wallets, scales),
        clock=clock,
        ids=root.ids,
    )
    business = open_business(settings, ports)
    await business.pools.configure(pool_configs(settings, scales))
    tools = Tools(clock, root.rng.fork("sagas"), root.health)
    runner = SagaRunner(business.handlers(), open_sagas(), data.app, tools, holder)
    live = _live(root, data, desks, scales)
    custody = CustodyWatch(wallets, business.treasury, scales, root.health, clock)
    surfaces = _Surfaces(business, live, custody, scales, writer.head.epoch)
    return Wired(
        data=data,
        writer=writer,
        business=business,
        desks=desks,
        runner=runner,
        live=live,
        custody=custody,
        scales=scales,
        platform=_platform(root, data, surfaces),
    )


def _live(root: Root, data: Data, desks: dict[VenueAccountId, Desk], scales: Scales) -> EngineLive:
    targets = {pool.pool: pool.strategy.inventory_target_ppm for pool in root.settings.pools}
    engines = {account: desk.engine for account, desk in desks.items()}
    ports = LivePorts(transactions=data.app, bus=open_bus(), clock=root.clock)
    return EngineLive(engines, targets, scales, ports)


@dataclass(frozen=True, slots=True)
class _Surfaces:
    business: Business
    live: EngineLive
    custody: CustodyWatch
    scales: Scales
    epoch: int


def _platform(root: Root, data: Data, parts: _Surfaces) -> Platform:
    mode = Mode(root.settings.mode.value)
    business, scales = parts.business, parts.scales
    people = People(
        PeoplePorts(
            transactions=data.app,
            orders=business.orders,
            withdrawals=business.withdrawals,
            history=open_history(),
        )
    )
    reading = PlatformReading(
        ReadingPorts(
            transactions=data.app,
            history=open_history(),
            pools=business.pools,
            people=people,
            live=parts.live,
            custody=parts.custody,
            health=_health(root, mode, parts.epoch),
        ),
        scales,
    )
    api_store = open_api_store(data.app, root.clock)
    return Platform(
        mode=mode,
        clock=root.clock,
        ids=root.ids,
        rng=root.rng.fork("tokens"),
        operator_token_hash=token_hash(root.operator_token),
        tokens=api_store,
        requests=api_store,
        people=PeopleDesk(business.orders, people),
        treasury=TreasuryDesk(business.treasury, scales, root.clock),
        orders=OrdersDesk(business.orders, reading, scales),
        reading=reading,
        live=parts.live,
        stage=MemoryStage(mode),
        stopping=root.stopping,
    )


def _health(root: Root, mode: Mode, epoch: int) -> Callable[[], Health]:
    """Every start takes a new epoch of the ledger, so the epochs count the starts."""
    started_us = root.clock.now_us()

    def look() -> Health:
        checks = tuple(
            Check(part.component, part.ok, {"sentence": part.sentence})
            for part in root.health.parts()
        )
        return Health(mode, __version__, started_us, max(0, epoch - 1), checks)

    return look


def operator_token(settings: Settings, rng: Rng) -> str:
    """The operator's token from its file, made with the first start. Never logged."""
    file = settings.tokens.operator_token_file or settings.home / OPERATOR_TOKEN_FILE
    if file.is_file():
        return _read(file)
    token = fresh_token(rng.fork("operator"))
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(file, token + "\n")
    except OSError as error:
        raise EnvironmentProblem(
            f"the operator token cannot be written to {file} ({error.strerror}); give this user "
            "the right to write there, or name another folder with POOLMAKER_HOME"
        ) from None
    return token


def _read(file: Path) -> str:
    try:
        token = file.read_text("utf-8").strip()
    except OSError as error:
        raise EnvironmentProblem(
            f"the operator token {file} cannot be read ({error.strerror}); run the platform as "
            "the user who owns it, or remove it to have a new one made"
        ) from None
    if not token:
        raise EnvironmentProblem(f"the operator token {file} is empty; remove it to have one made")
    return token
