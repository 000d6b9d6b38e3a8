"""Every part of the platform made and plugged into the others; nothing runs yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from poolmaker import __version__
from poolmaker.api.interventions import Interventions
from poolmaker.api.ports import Platform
from poolmaker.api.service import open_store as open_api_store
from poolmaker.app.attention import AttentionRooms, open_attention
from poolmaker.app.business import (
    Business,
    BusinessPorts,
    mixin_forms,
    open_business,
    pool_configs,
)
from poolmaker.app.commands import OrderCommands, PayoutCommands, UserCommands
from poolmaker.app.data import Data, open_writer
from poolmaker.app.engines import DeskPorts, EngineHandle, open_desks
from poolmaker.app.evidence import PlaceHistories, coin_history
from poolmaker.app.figures import AssetRegistry
from poolmaker.app.interventions import (
    InterventionRooms,
    LedgerInterventions,
    RoomInterventions,
    SagaInterventions,
    StreamInterventions,
)
from poolmaker.app.limits import LimitCommands, limits_of
from poolmaker.app.live import EngineLive, LivePorts
from poolmaker.app.money import MoneyPorts, MoneyReading
from poolmaker.app.outgoing import OutgoingCommands
from poolmaker.app.outside import (
    MIXIN_HEAD,
    ChainPorts,
    ChainSide,
    OutgoingFreeze,
    chain_wallet_of,
    mixin_forms_of,
    open_bot,
)
from poolmaker.app.payouts import VENUE_HEAD, Providers, VenuePayouts
from poolmaker.app.people import UserDirectory, UserDirectoryPorts
from poolmaker.app.places import MixinPlace, Settled, VenuePlace
from poolmaker.app.reading import PlatformReading, ReadingPorts
from poolmaker.app.routes import NoRoutes, RoutePorts, TransferRoutes
from poolmaker.app.safety import EngineWatch, SafetyCommands, facts_of
from poolmaker.app.stage import MemoryStage
from poolmaker.app.tokens import FileTokens, token_files
from poolmaker.app.treasury import TreasuryCommands, TreasuryDeskPorts
from poolmaker.bus.service import open_bus
from poolmaker.business.ledger.attention import LedgerAttention
from poolmaker.business.ledger.history import open_history
from poolmaker.business.ledger.service import Ledger, LedgerWriter, open_rows, open_store
from poolmaker.business.pools.progress import AccountProgress
from poolmaker.infra.approvals.alone import LoneActs
from poolmaker.infra.approvals.attention import ApprovalAttention
from poolmaker.infra.approvals.service import ApprovalService, ApprovalTimes
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.holder import own_holder
from poolmaker.infra.leases import LeaseCheck, NoLease
from poolmaker.infra.machine import MachineWatch
from poolmaker.infra.sagas.service import RunnerOptions, SagaRunner, Tools, open_sagas
from poolmaker.infra.settings.model import Settings
from poolmaker.infra.transactions import patiently
from poolmaker.infra.wakeup import Wakeup
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.ids import Ids, VenueAccountId
from poolmaker.kernel.rng import Rng
from poolmaker.market.connectors.binance.client import Transport
from poolmaker.market.connectors.binance.wallet import VenueWallet
from poolmaker.market.execution.kill import KillFiles
from poolmaker.market.execution.killing import KillSwitchService
from poolmaker.mixin.model import MixinForm
from poolmaker.mixin.service import Mixin, MixinPorts
from poolmaker.recon.attention import AttentionList
from poolmaker.recon.custody import CustodyWatch, CustodyWatchPorts
from poolmaker.recon.ports import CustodyPlace
from poolmaker.views.model import Check, HealthView, WorldMode

RUNNER: Final = RunnerOptions(poll_us=2 * SECOND_US)
"""What is due rings; without a hint somebody looks this often."""


@dataclass(slots=True)
class Context:
    """What every part is made of.

    ``wake`` rings when something may have happened, ``control`` when engines may have been asked
    for something.
    """

    settings: Settings
    clock: Clock
    ids: Ids
    rng: Rng
    health: HealthBoard
    stopping: asyncio.Event
    wake: Wakeup
    control: Wakeup
    holder: str = field(default_factory=own_holder)
    """Names this start of this process wherever it holds a lease."""
    lease: LeaseCheck = field(default_factory=NoLease)
    machine: MachineWatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The parts of a process once they are wired. ``mixin`` and ``chain`` may be none."""

    data: Data
    writer: LedgerWriter
    business: Business
    desks: dict[VenueAccountId, EngineHandle]
    mixin: Mixin | None
    routes: TransferRoutes | None
    chain: ChainSide | None
    runner: SagaRunner
    live: EngineLive
    custody: CustodyWatch
    attention: AttentionList
    scales: AssetRegistry
    platform: Platform
    kill: KillSwitchService
    engines: EngineWatch

    async def learn_assets(self, clock: Clock) -> None:
        """Make assets known that appeared since, as the shares of a new epoch do."""
        known = await open_store(self.data.app, clock).assets()
        self.scales.assets.update((asset.code, asset) for asset in known)


async def wire(root: Context, data: Data, session: aiohttp.ClientSession) -> Container:
    """Take the ledger and make every part. Raises EnvironmentProblem for what does not fit."""
    settings, clock = root.settings, root.clock
    writer = await open_writer(data, settings, clock, root.holder)
    scales = AssetRegistry({a.code: a for a in await open_store(data.app, clock).assets()})
    kill = await _kill_switch(root, data)
    desks = _desks(root, data, scales, kill)
    outside = _outside(root, data, session, desks, scales)
    business = open_business(settings, scales, _business_ports(root, data, writer, outside))
    pools = pool_configs(settings, scales)
    await patiently(lambda: business.rooms.pools.configure(pools), clock)
    await patiently(business.rooms.netting.start, clock)
    outside.gate.plug(business.rooms.withdrawals)
    if outside.mixin is not None:
        outside.mixin.walker.plug(business.rooms.reception)
    chain = _chain(root, data, session, scales, outside, business)
    settled = _settled(desks, business.rooms.progress)
    places: list[CustodyPlace] = [
        *(VenuePlace(*named, scales, settled) for named in outside.wallets.items()),
        *([MixinPlace(outside.mixin, outside.forms)] if outside.mixin is not None else []),
        *([chain] if chain is not None else []),
    ]
    tools = Tools(clock, root.rng.fork("sagas"), root.health, root.lease, root.wake.ring)
    live = _live(root, data, desks, scales)
    custody = CustodyWatch(
        CustodyWatchPorts(
            places=places,
            treasury=business.rooms.treasury,
            records=business.rooms.custody,
            health=root.health,
            clock=clock,
        ),
        settings.treasury.silence_s * SECOND_US,
    )
    engines = EngineWatch(desks, kill, root.health, clock)
    rooms = AttentionRooms(
        business, engines, outside.mixin, chain, root.machine, _waiting(root, data), scales.text
    )
    attention = open_attention(data.app, rooms, root.health, clock)
    surfaces = _Surfaces(
        business,
        live,
        custody,
        scales,
        writer.head.epoch,
        outside.mixin,
        chain,
        desks,
        kill,
        attention,
        Ledger(open_rows(), writer),
    )
    return Container(
        data=data,
        writer=writer,
        business=business,
        desks=desks,
        mixin=outside.mixin,
        routes=outside.routes,
        chain=chain,
        runner=SagaRunner(business.handlers(), open_sagas(), data.app, tools, root.holder, RUNNER),
        live=live,
        custody=custody,
        attention=attention,
        scales=scales,
        platform=_platform(root, data, surfaces),
        kill=kill,
        engines=engines,
    )


def _settled(desks: Mapping[VenueAccountId, EngineHandle], progress: AccountProgress) -> Settled:
    async def settled(account: VenueAccountId) -> bool:
        desk = desks.get(account)
        compared = desk is not None and desk.engine.health().reconciled
        return compared and await progress.is_caught_up(account)

    return settled


async def _kill_switch(root: Context, data: Data) -> KillSwitchService:
    """The latches of this home, read before any engine is made."""
    files = KillFiles(root.settings.home)
    files.open()
    kill = KillSwitchService(files, data.app, root.clock, root.rng.fork("kill"))
    await patiently(kill.sync, root.clock)
    return kill


def _desks(
    root: Context, data: Data, scales: AssetRegistry, kill: KillSwitchService
) -> dict[VenueAccountId, EngineHandle]:
    ports = DeskPorts(
        transactions=data.app,
        bus=open_bus(),
        clock=root.clock,
        ids=root.ids,
        rng=root.rng.fork("engines"),
        lease=root.lease,
        kill=kill.switch,
        wake=root.control,
    )
    return open_desks(root.settings, scales.assets, ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outside:
    """The places outside, before business knows them."""

    wallets: dict[VenueAccountId, VenueWallet]
    trading: dict[VenueAccountId, Transport]
    providers: Providers
    evidence: PlaceHistories
    mixin: Mixin | None
    gate: OutgoingFreeze
    forms: tuple[MixinForm, ...]
    routes: TransferRoutes | None


def _outside(
    root: Context,
    data: Data,
    session: aiohttp.ClientSession,
    desks: dict[VenueAccountId, EngineHandle],
    scales: AssetRegistry,
) -> _Outside:
    settings, clock = root.settings, root.clock
    wallets = {account: desk.venue.wallet for account, desk in desks.items()}
    providers = Providers({VENUE_HEAD: VenuePayouts(wallets, scales)})
    gate = OutgoingFreeze()
    tools = MixinPorts(
        session=session,
        transactions=data.app,
        clock=clock,
        rng=root.rng.fork("mixin"),
        gate=gate,
    )
    mixin = open_bot(settings, scales, tools)
    routes = None
    if mixin is not None:
        providers.plug(MIXIN_HEAD, mixin.wallet)
        ports = RoutePorts(
            venues=wallets,
            mixin=mixin.desk,
            chain_wallet=chain_wallet_of(settings),
            health=root.health,
            clock=clock,
        )
        routes = TransferRoutes(settings, scales, ports)
    return _Outside(
        wallets=wallets,
        trading={account: desk.venue.transport for account, desk in desks.items()},
        providers=providers,
        evidence=PlaceHistories(
            wallets,
            coin_history(settings.evm, chain_wallet_of(settings), scales, session),
            scales,
            clock,
        ),
        mixin=mixin,
        gate=gate,
        forms=mixin_forms_of(settings, scales),
        routes=routes,
    )


def _business_ports(
    root: Context, data: Data, writer: LedgerWriter, outside: _Outside
) -> BusinessPorts:
    return BusinessPorts(
        transactions=data.app,
        ledger=Ledger(open_rows(), writer),
        sagas=open_sagas(),
        providers=outside.providers,
        evidence=outside.evidence,
        routes=outside.routes or NoRoutes(),
        clock=root.clock,
        ids=root.ids,
    )


def _chain(
    root: Context,
    data: Data,
    session: aiohttp.ClientSession,
    scales: AssetRegistry,
    outside: _Outside,
    business: Business,
) -> ChainSide | None:
    evm = root.settings.evm
    if evm is None or outside.routes is None:
        return None
    ports = ChainPorts(
        session=session,
        transactions=data.app,
        business=business,
        providers=outside.providers,
        gate=outside.gate,
        routes=outside.routes,
        trading=outside.trading,
        health=root.health,
        clock=root.clock,
    )
    return ChainSide(root.settings, evm, scales, ports)


def _live(
    root: Context, data: Data, desks: dict[VenueAccountId, EngineHandle], scales: AssetRegistry
) -> EngineLive:
    targets = {pool.pool: pool.strategy.inventory_target_ppm for pool in root.settings.pools}
    engines = {account: desk.engine for account, desk in desks.items()}
    ports = LivePorts(transactions=data.app, bus=open_bus(), clock=root.clock)
    return EngineLive(engines, targets, scales, ports)


@dataclass(frozen=True, slots=True)
class _Surfaces:
    business: Business
    live: EngineLive
    custody: CustodyWatch
    scales: AssetRegistry
    epoch: int
    mixin: Mixin | None
    chain: ChainSide | None
    desks: dict[VenueAccountId, EngineHandle]
    kill: KillSwitchService
    attention: AttentionList
    ledger: Ledger


def _platform(root: Context, data: Data, parts: _Surfaces) -> Platform:
    mode = WorldMode(root.settings.mode.value)
    business, scales = parts.business, parts.scales
    people = UserDirectory(
        UserDirectoryPorts(
            transactions=data.app,
            orders=business.rooms.orders,
            withdrawals=business.rooms.withdrawals,
            history=open_history(),
        )
    )
    money = _money_reading(root, parts, people)
    reading = PlatformReading(
        ReadingPorts(
            transactions=data.app,
            history=open_history(),
            pools=business.rooms.pools,
            people=people,
            live=parts.live,
            money=money,
            custody=parts.custody,
            health=_health(root, mode, parts.epoch, parts.desks),
        ),
        scales,
    )
    times = _approval_times(root)
    api_store = open_api_store(data.app, root.clock, times.delay_us)
    return Platform(
        mode=mode,
        clock=root.clock,
        ids=root.ids,
        rng=root.rng.fork("tokens"),
        tokens=FileTokens(token_files(root.settings), api_store),
        requests=api_store,
        people=UserCommands(business.rooms.orders.registry, money.wallet_link),
        treasury=_treasury_desk(root, parts),
        orders=OrderCommands(business.rooms.orders, reading, scales),
        payouts=PayoutCommands(
            business.rooms.withdrawals,
            people,
            money,
            scales,
            mixin_forms(root.settings) if parts.mixin is not None else {},
        ),
        outgoing=OutgoingCommands(
            business.rooms.withdrawals, business.rooms.carrier, parts.chain, scales
        ),
        approvals=ApprovalService(data.app, root.clock, root.ids, times),
        alone=LimitCommands(
            LoneActs(
                data.app,
                root.clock,
                root.ids,
                limits_of(root.settings.treasury, parts.scales),
            ),
            parts.scales,
        ),
        reading=reading,
        attention=parts.attention,
        interventions=_interventions(root, data, parts),
        live=parts.live,
        stage=MemoryStage(mode),
        stopping=root.stopping,
        safety=SafetyCommands(root.settings, parts.desks, parts.kill),
    )


def _approval_times(root: Context) -> ApprovalTimes:
    approvals = root.settings.approvals
    return ApprovalTimes(approvals.delay_s * SECOND_US, approvals.valid_s * SECOND_US)


def _waiting(root: Context, data: Data) -> ApprovalAttention:
    times = _approval_times(root)
    approvals = ApprovalService(data.app, root.clock, root.ids, times)
    return ApprovalAttention(approvals, root.clock, times.valid_us)


def _treasury_desk(root: Context, parts: _Surfaces) -> TreasuryCommands:
    rooms = parts.business.rooms
    desk_ports = TreasuryDeskPorts(
        treasury=rooms.treasury,
        records=rooms.custody,
        returns=parts.mixin.unlisted if parts.mixin is not None else None,
        clock=root.clock,
    )
    return TreasuryCommands(desk_ports, parts.scales)


def _interventions(root: Context, data: Data, parts: _Surfaces) -> Interventions:
    business, scales = parts.business, parts.scales
    rooms = InterventionRooms(
        withdrawals=business.rooms.withdrawals,
        reception=business.rooms.reception,
        rewards=business.rewards,
        campaigns=business.campaigns,
        ledger_attention=LedgerAttention(data.app),
    )
    return Interventions(
        sagas=SagaInterventions(data.app, open_sagas(), root.clock),
        streams=StreamInterventions(data.app, open_bus()),
        ledger=LedgerInterventions(parts.ledger, data.app, rooms, scales),
        rooms=RoomInterventions(rooms, root.clock),
    )


def _money_reading(root: Context, parts: _Surfaces, people: UserDirectory) -> MoneyReading:
    business = parts.business
    ports = MoneyPorts(
        business=business,
        people=people,
        mixin=parts.mixin.desk if parts.mixin is not None else None,
        chain=parts.chain,
        clock=root.clock,
    )
    names = {asset: form.name for asset, form in mixin_forms(root.settings).items()}
    assets = {form.name: form.asset for form in root.settings.forms}
    return MoneyReading(ports, parts.scales, names, assets)


def _health(
    root: Context, mode: WorldMode, epoch: int, desks: Mapping[VenueAccountId, EngineHandle]
) -> Callable[[], HealthView]:
    """Every start takes a new epoch of the ledger, so the epochs count the starts."""
    started_us = root.clock.now_us()

    def facts(component: str) -> dict[str, str]:
        head, _, account = component.partition(" ")
        desk = desks.get(VenueAccountId(account)) if head == "engine" else None
        return facts_of(desk.engine.health()) if desk is not None else {}

    def look() -> HealthView:
        checks = tuple(
            Check(part.component, part.ok, {"sentence": part.sentence} | facts(part.component))
            for part in root.health.parts()
        )
        return HealthView(mode, __version__, started_us, max(0, epoch - 1), checks)

    return look
