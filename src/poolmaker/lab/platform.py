"""One start of the platform inside a simulation: the real services over gated stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from poolmaker.bus.ports import CursorMoved, StreamStore
from poolmaker.business.ledger.ports import AuditReader, CommandStore, LedgerStore
from poolmaker.business.ledger.service import Ledger, LedgerWriter, WriterSettings
from poolmaker.business.pools.model import BarrierSettings, PoolConfig
from poolmaker.business.pools.ports import PoolStore
from poolmaker.business.rooms import RoomOutside, RoomSettings, RoomStores, open_rooms
from poolmaker.business.treasury.model import Arrival, Disposition, PaymentSettings
from poolmaker.business.treasury.ports import (
    ArrivalEvidence,
    Routes,
    SendingProvider,
    TreasuryStore,
)
from poolmaker.business.user_orders.model import MIXIN, OrderSettings
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.withdrawals.model import WithdrawalSettings
from poolmaker.business.withdrawals.ports import WithdrawalStore
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.sagas.ports import RunnerStore
from poolmaker.infra.sagas.service import RunnerOptions, SagaRunner, Tools
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import Ids
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import Rng
from poolmaker.lab.gate import FaultGate, GatedTransactions, SimProcess
from poolmaker.lab.loop import VirtualClock
from poolmaker.lab.memos import PlainMemos
from poolmaker.lab.wrapping import Hints, gated_calls, hinted

PUMP_POLL_S: Final = 15
WRITER: Final = WriterSettings(
    poll_us=15 * SECOND_US, lease_us=20 * SECOND_US, back_off_us=2 * SECOND_US
)
RUNNER: Final = RunnerOptions(poll_us=15 * SECOND_US, lease_us=60 * SECOND_US)
POOLS: Final = BarrierSettings(
    barrier_interval_us=10 * SECOND_US,
    drain_patience_us=5 * SECOND_US,
    barrier_reask_us=20 * SECOND_US,
)
NETWORKS: Final = {"BTC": "BTC", "ETH": "ETH", "USDT": "TRX"}


def room_settings(forms: Mapping[str, str]) -> RoomSettings:
    """Settings of a simulated world; ``forms`` are what Mixin holds, none in a world without it."""
    through_mixin = {MIXIN} if forms else set[str]()
    return RoomSettings(
        pools=POOLS,
        orders=OrderSettings(
            # Simulated payouts also go to chains, as they will from an address book.
            own_wallet_only=False,
            event_wait_us=15 * SECOND_US,
            mixin_forms=forms,
            deposit_wait_us=120 * SECOND_US,
            price_max_us=20 * SECOND_US,
            take_back_us=30 * SECOND_US,
        ),
        withdrawals=WithdrawalSettings(
            networks={
                asset: frozenset({network, *through_mixin}) for asset, network in NETWORKS.items()
            },
            doubt_after_us=90 * SECOND_US,
            poll_max_us=20 * SECOND_US,
        ),
        treasury=PaymentSettings(
            doubt_after_us=90 * SECOND_US,
            poll_max_us=20 * SECOND_US,
            net_us=15 * SECOND_US,
            evidence_us=120 * SECOND_US,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldStores:
    """Every store of a world, in memory or real.

    ``ledger_store`` makes one for each writer, because the real one remembers account numbers.
    """

    transactions: Transactions
    sagas: RunnerStore
    bus: StreamStore
    ledger_store: Callable[[], LedgerStore]
    ledger_rows: CommandStore
    evidence: AuditReader
    pools: PoolStore
    orders: OrderStore
    withdrawals: WithdrawalStore
    treasury: TreasuryStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a process of a world stands on."""

    clock: VirtualClock
    gate: FaultGate
    stores: WorldStores
    provider: SendingProvider
    evidence: ArrivalEvidence
    routes: Routes
    settings: RoomSettings
    hints: Hints
    rng: Rng
    pools: tuple[PoolConfig, ...]
    assets: tuple[Asset, ...]


class SimPlatform:
    """The services of one process. With ``writes`` it holds the ledger's writer as well."""

    def __init__(self, outside: Outside, process: SimProcess, *, writes: bool) -> None:
        self.process = process
        self._outside = outside
        gate, hints, stores = outside.gate, outside.hints, outside.stores
        self._transactions = transactions = GatedTransactions(stores.transactions, gate, process)
        sagas = hinted(stores.sagas, gate, ("start", "wake"), hints.about("sagas"))
        bus = hinted(stores.bus, gate, ("append",), hints.about("events"))
        rows = hinted(stores.ledger_rows, gate, ("ask",), hints.about("commands"))
        self._writer = self._new_writer() if writes else None
        ledger = Ledger(rows, self._writer)
        clock, ids = outside.clock, Ids(outside.clock, outside.rng.fork(f"ids {process.name}"))
        room_stores = RoomStores(
            transactions=transactions,
            ledger=ledger,
            bus=bus,
            sagas=sagas,
            pools=stores.pools,
            orders=stores.orders,
            withdrawals=stores.withdrawals,
            treasury=stores.treasury,
        )
        room_outside = RoomOutside(
            provider=outside.provider,
            evidence=outside.evidence,
            routes=outside.routes,
            memos=PlainMemos(),
            clock=clock,
            ids=ids,
        )
        self.rooms = open_rooms(room_stores, room_outside, outside.settings)
        self._runner = SagaRunner(
            self.rooms.handlers(),
            sagas,
            transactions,
            Tools(clock, outside.rng.fork(f"runner {process.name}"), HealthBoard(clock)),
            process.name,
            RUNNER,
        )
        self._something = asyncio.Event()
        self._command_came: Callable[[], None] = self._something.set

    def _new_writer(self) -> LedgerWriter:
        outside, hints = self._outside, self._outside.hints
        store = gated_calls(
            outside.stores.ledger_store(),
            "ledger",
            outside.gate,
            self.process,
            after={"append": hints.about("events")},
            instead={"listen": self._listen},
        )
        return LedgerWriter(store, outside.clock, self.process.name, WRITER)

    async def _listen(self, woken: Callable[[], None]) -> None:
        self._command_came = woken
        self._outside.hints.listen("commands", woken)

    async def main(self, ready: Callable[[], None]) -> None:
        """Start and work until something ends; what it raised is raised."""
        hints, something = self._outside.hints, self._something.set
        if self._writer is not None:
            await self._start(self._writer)
        parts: list[Coroutine[Any, Any, None]] = [self._runner.run(), self._pump()]
        if self._writer is not None:
            parts.append(self._writer.run())
        hints.listen("sagas", self._runner.wake_up)
        hints.listen("events", something)
        tasks = [asyncio.create_task(part) for part in parts]
        ready()
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            hints.forget("sagas", self._runner.wake_up)
            hints.forget("events", something)
            hints.forget("commands", self._command_came)
            await _end(tasks)

    async def _start(self, writer: LedgerWriter) -> None:
        stores, gate = self._outside.stores, self._outside.gate
        evidence = gated_calls(stores.evidence, "evidence", gate, self.process)
        # A whole verification at every start would be most of the run's time.
        verifies = self._outside.rng.fork(f"verify {self.process.name}").chance_ppm(250_000)
        while True:
            try:
                await writer.start(evidence if verifies else None)
                for asset in self._outside.assets:
                    await writer.register_asset(asset)
                await self.rooms.pools.configure(self._outside.pools)
                if self._outside.routes.routes():
                    await self.rooms.netting.start()
            except (OutcomeUnknown, Unavailable):
                await self._outside.clock.sleep_us(SECOND_US // 2)
            else:
                return

    async def arrive(self, arrival: Arrival) -> Disposition:
        """Mixin's room tells of an output; the answer is the commit."""
        async with self._transactions.begin("mixin.output") as tx:
            return await self.rooms.reception.arrived(tx, arrival)

    async def _pump(self) -> None:
        while True:
            self._something.clear()
            try:
                while await self.rooms.pools.pump():
                    pass
                for item in await self.rooms.pools.attention():
                    raise InvariantBroken(f"{item.id}: {item.evidence}")
            except (OutcomeUnknown, Unavailable, CursorMoved):
                await self._outside.clock.sleep_us(SECOND_US // 4)
                continue
            try:
                async with asyncio.timeout(PUMP_POLL_S):
                    await self._something.wait()
            except TimeoutError:
                continue


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
