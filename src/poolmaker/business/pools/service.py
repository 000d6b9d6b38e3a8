"""Choreography of pools: facts into the ledger, the ledger's log to the engine, barriers.

``pump`` does what there is to do and answers how much it did; whoever runs it calls again at once
while it is above zero. Every part moves its cursor with its effect, so that a crash at any point
repeats nothing and loses nothing; several processes may pump at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from poolmaker.bus.guard import StreamGuard
from poolmaker.bus.ports import KeyConflict, NewEvent, StreamStore
from poolmaker.business.ledger.accounts import custody_venue
from poolmaker.business.ledger.commands import Fill, RechargeFee, SetAside, TradeFee
from poolmaker.business.ledger.model import LedgerTransaction
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.pools._store import PgPoolStore
from poolmaker.business.pools.attention import CoordinationFailures, overdue_barrier
from poolmaker.business.pools.facts import fee_assets, fee_of, fill_of
from poolmaker.business.pools.model import (
    BarrierMet,
    BarrierSettings,
    CoordinatorPlan,
    DealingRequest,
    DealingRequestEvent,
    DealingRequestState,
    Pool,
    PoolConfig,
    PooledAccountRow,
)
from poolmaker.business.pools.ports import PoolStore
from poolmaker.business.pools.rules import (
    configured,
    depths_wanted,
    is_restless,
    moved,
    plan,
    pool_of_leg,
    reask_due,
    wants_quoting,
    with_leg,
)
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.sagas.ports import SagaStore
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.money import Asset
from poolmaker.messages.base import Envelope, Message, decode
from poolmaker.messages.market import (
    VENUE_SCALE,
    AccountEvent,
    Barrier,
    BarrierV1,
    BarrierWanted,
    CapitalSet,
    DrainLifted,
    DrainTo,
    EngineEvent,
    ExposureReduced,
    FeeFact,
    FillFact,
    StartQuoting,
    StopQuoting,
    account_stream,
    barrier_of,
    control_stream,
    engine_stream,
)

CONSUMER: Final = "pools"
LEDGER_LOG: Final = "ledger"
"""Name under which this room's cursor on the ledger's log is kept."""

SET_ASIDE: Final = "SET_ASIDE"
_FACT_KINDS: Final[dict[str, type[Fill | TradeFee | RechargeFee]]] = {
    "FILL": Fill,
    "TRADE_FEE": TradeFee,
    "RECHARGE_FEE": RechargeFee,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPorts:
    """What pools reach the outside through."""

    transactions: Transactions
    store: PoolStore
    ledger: LedgerClient
    bus: StreamStore
    sagas: SagaStore


@dataclass(slots=True)
class _News:
    """What a look found: venue accounts, and those of them where something is to be done."""

    ledger: bool = False
    accounts: set[VenueAccountId] = field(default_factory=set)
    facts: set[VenueAccountId] = field(default_factory=set)
    reports: set[VenueAccountId] = field(default_factory=set)
    restless: set[VenueAccountId] = field(default_factory=set)


class PoolService:
    """Pools, their tickets and their barriers."""

    def __init__(self, ports: PoolPorts, clock: Clock, settings: BarrierSettings) -> None:
        self._transactions = ports.transactions
        self._store = ports.store
        self._ledger = ports.ledger
        self._bus = ports.bus
        self._sagas = ports.sagas
        self._clock = clock
        self._settings = settings
        # Only a hint, so that looking costs nothing; what counts is the cursor.
        self._applied: dict[str, int] = {}
        self._guard = StreamGuard(CONSUMER, ports.transactions, ports.bus, clock)
        self._failures = CoordinationFailures()
        self._registered: set[str] = set()
        self._unregistered: set[str] = set()

    # ------------------------------------------------------------------------------ the operator

    async def configure(self, configs: Sequence[PoolConfig]) -> None:
        """Make the pools that configuration names and take over what changed in it.

        Raises CallerFault when account or market of a pool changed, or its strategy did without a
        new version. A pool that configuration no longer names stays as it is: it may hold money.
        """
        async with self._transactions.begin("pools.configure") as tx:
            for account in sorted({config.account for config in configs}):
                await self._store.lock_account(tx, account)
            for config in configs:
                found = await self._store.pool(tx, config.id)
                pool = configured(config, found)
                await self._store.save_pool(tx, pool)
                if found is not None and found.quoting and found.strategy != pool.strategy:
                    await self._start(tx, pool)

    async def pause(self, pool_id: PoolId, reason: str) -> None:
        """The operator's stop: no quotes and no joins; leaves go on. Again is no error."""
        require(reason, "reason: expected a sentence")
        await self._set_paused(pool_id, reason)

    async def unpause(self, pool_id: PoolId) -> None:
        """Undo ``pause``."""
        await self._set_paused(pool_id, "")

    async def _set_paused(self, pool_id: PoolId, reason: str) -> None:
        async with self._transactions.begin("pools.pause") as tx:
            pool = await self._lock_pool(tx, pool_id)
            await self._store.save_pool(tx, replace(pool, paused=reason))

    # ----------------------------------------------------------- the desk that user orders stand at

    async def pool(self, tx: Tx, pool: PoolId) -> Pool | None:
        """The pool, or None."""
        return await self._store.pool(tx, pool)

    async def want_barrier(self, tx: Tx, ticket: DealingRequest) -> None:
        """Queue for the account's next barrier; the same ticket again changes nothing.

        The ticket's saga is woken when its barrier has come.
        """
        await self._store.add_ticket(tx, ticket)

    async def barrier_for(self, tx: Tx, ticket_id: str) -> BarrierMet | None:
        """The barrier that a ticket waited for, None while it has not come."""
        ticket = await self._store.ticket(tx, ticket_id)
        require(ticket is not None, f"ticket: {ticket_id} is unknown")
        if ticket is None or ticket.state is not DealingRequestState.MET:
            return None
        return await self._store.barrier(tx, ticket.account, ticket.barrier_id)

    async def close_ticket(self, tx: Tx, ticket_id: str, ledger_seq: int) -> None:
        """The saga is through: ``ledger_seq`` used the barrier, 0: it gave up. Again is fine."""
        found = await self._store.ticket(tx, ticket_id)
        require(found is not None, f"ticket: {ticket_id} is unknown")
        if found is not None:
            # The coordinator moves tickets under the same lock.
            await self._store.lock_account(tx, found.account)
        ticket = await self._store.ticket(tx, ticket_id)
        if ticket is None or ticket.state in (DealingRequestState.USED, DealingRequestState.GONE):
            return
        closed = replace(moved(ticket, DealingRequestEvent.CLOSED), ledger_seq=ledger_seq)
        done = await self._store.move_ticket(tx, ticket.state, closed)
        ensure(done, f"ticket {ticket_id}: moved under its account's lock")

    async def surplus(self, tx: Tx, account: VenueAccountId, asset: str) -> int | None:
        """Custody at the venue account beyond what its pools and leavers claim, atomic units.

        None while the ledger's log is not applied to its end: then nobody can say.
        """
        applied = await self._bus.cursor(tx, CONSUMER, LEDGER_LOG)
        if await self._ledger.read(tx, applied, 1):
            return None
        pools = [pool for pool in await self._store.pools(tx) if pool.account == account]
        custody = await self._ledger.balance(tx, custody_venue(account), asset)
        return custody - sum(pool.claim_units(asset) for pool in pools)

    async def pools(self, tx: Tx) -> Sequence[Pool]:
        """Every pool with its position, by id."""
        return await self._store.pools(tx)

    async def tickets(self, tx: Tx, account: VenueAccountId) -> Sequence[DealingRequest]:
        """Who waits for a barrier of the account, oldest first."""
        return await self._store.tickets(tx, account)

    # ---------------------------------------------------------------------------------- the pump

    async def pump(self) -> int:
        """Everything there is to do for every account; how many events and actions it was.

        Where nothing is to be done it only reads.
        """
        news = await self._look()
        done = 0
        for account in sorted(news.facts):
            done += await self.apply_account(account)
        if news.ledger or done:
            done += await self.apply_ledger()
        for account in sorted(news.reports):
            done += await self.apply_engine(account)
        for account in sorted(news.accounts if done else news.restless):
            done += await self._coordinate_alone(account)
        return done

    async def _coordinate_alone(self, account: VenueAccountId) -> int:
        """An account whose coordination fails stops no other; it is tried again and reported."""
        try:
            done = await self.coordinate(account)
        except (Unavailable, OutcomeUnknown):
            raise
        except Exception as error:  # supervisor
            self._failures.failed(account, error, self._clock.now_us())
            return 0
        self._failures.worked(account)
        return done

    async def attention(self) -> Sequence[AttentionItem]:
        """Accounts that are not coordinated, or whose engine emits no barrier.

        Stopped streams are reported by the bus.
        """
        async with self._transactions.begin("pools.attention") as tx:
            accounts = sorted({pool.account for pool in await self._store.pools(tx)})
            rows = [await self._store.lock_account(tx, account) for account in accounts]
        now_us, after_us = self._clock.now_us(), self._settings.overdue_us
        late = (overdue_barrier(row, now_us, after_us) for row in rows)
        return [*self._failures.items(), *(item for item in late if item is not None)]

    async def _look(self) -> _News:
        news = _News()
        async with self._transactions.begin("pools.look") as tx:
            pools = await self._store.pools(tx)
            news.ledger = bool(await self._ledger.read(tx, self._applied.get(LEDGER_LOG, 0), 1))
            for account in sorted({pool.account for pool in pools}):
                news.accounts.add(account)
                if await self._has_news(tx, account_stream(account)):
                    news.facts.add(account)
                if await self._has_news(tx, engine_stream(account)):
                    news.reports.add(account)
                tickets = await self._store.tickets(tx, account)
                here = [pool for pool in pools if pool.account == account]
                if is_restless(here, tickets):
                    news.restless.add(account)
        return news

    async def _has_news(self, tx: Tx, stream: str) -> bool:
        return await self._bus.head(tx, stream) > self._applied.get(stream, 0)

    async def apply_account(self, account: VenueAccountId) -> int:
        """Post a batch of facts to the ledger in their order and hand barriers to their tickets.

        A fee is booked in whatever asset the venue took it: one that is new here is registered
        before, so that no fact waits for a person to have thought of it.
        """
        stream = account_stream(account)

        async def once(limit: int) -> int:
            while (done := await self._apply_account(account, stream, limit)) is None:
                await self._register()
            return done

        return await self._guard.apply(stream, self._settings.batch, once)

    async def _apply_account(self, account: VenueAccountId, stream: str, limit: int) -> int | None:
        """How many events were applied; None when nothing was, for want of an asset."""
        async with self._transactions.begin("pools.account") as tx:
            row = await self._store.lock_account(tx, account)
            applied = await self._bus.cursor(tx, CONSUMER, stream)
            events = await self._bus.read(tx, stream, applied, limit)
            self._unregistered = fee_assets(events) - self._registered
            if self._unregistered:
                return None
            for envelope in events:
                row = await self._apply_account_event(tx, row, envelope)
            if events:
                await self._bus.move_cursor(tx, CONSUMER, stream, applied, events[-1].seq)
        self._applied[stream] = events[-1].seq if events else applied
        return len(events)

    async def _register(self) -> None:
        for code in sorted(self._unregistered):
            # One that is known has decimals of its own, in which its fees are told.
            with suppress(KeyConflict):
                await self._ledger.register_asset(Asset(code, VENUE_SCALE))
            self._registered.add(code)

    async def _apply_account_event(
        self, tx: Tx, row: PooledAccountRow, envelope: Envelope
    ) -> PooledAccountRow:
        event: AccountEvent = decode(envelope.body, AccountEvent)  # type: ignore[arg-type]
        ensure(event.account == row.account, f"{envelope.stream}: an event of {event.account}")
        match event:
            case FillFact():
                await self._ledger.ask(tx, fill_of(event, envelope))
            case FeeFact():
                await self._ledger.ask(tx, fee_of(event, envelope))
            case BarrierV1():
                return await self._meet(tx, row, BarrierMet(envelope.seq, barrier_of(event)))
            case Barrier():
                return await self._meet(tx, row, BarrierMet(envelope.seq, event))
            case _:
                assert_never(event)
        return row

    async def _meet(self, tx: Tx, row: PooledAccountRow, met: BarrierMet) -> PooledAccountRow:
        barrier_id = met.barrier.barrier_id
        await self._store.add_barrier(tx, row.account, barrier_id, met)
        for ticket in await self._store.tickets(tx, row.account):
            if ticket.state is DealingRequestState.ASKED and ticket.barrier_id == barrier_id:
                seen = moved(ticket, DealingRequestEvent.BARRIER_SEEN)
                if await self._store.move_ticket(tx, DealingRequestState.ASKED, seen):
                    await self._sagas.wake(tx, ticket.saga, self._clock.now_us())
        if row.open_barrier == barrier_id:
            row = replace(row, open_barrier="")
            await self._store.save_account(tx, row)
        return row

    async def apply_ledger(self) -> int:
        """Follow the ledger's log by a batch: move positions, tell the engine the new capital."""
        return await self._guard.apply(LEDGER_LOG, self._settings.batch, self._apply_ledger)

    async def _apply_ledger(self, limit: int) -> int:
        async with self._transactions.begin("pools.ledger") as tx:
            # Accounts are always locked before cursors.
            accounts = sorted({pool.account for pool in await self._store.pools(tx)})
            rows = {name: await self._store.lock_account(tx, name) for name in accounts}
            applied = await self._bus.cursor(tx, CONSUMER, LEDGER_LOG)
            log = await self._ledger.read(tx, applied, limit)
            if not log:
                self._applied[LEDGER_LOG] = applied
                return 0
            pools = {pool.id: pool for pool in await self._store.pools(tx)}
            before = dict(pools)
            told = _follow(log, pools, rows)
            for row in rows.values():
                await self._store.save_account(tx, row)
            for pool_id, pool in sorted(pools.items()):
                if pool_id in told:
                    await self._set_capital(tx, pool, rows)
                elif pool != before[pool_id]:
                    await self._store.save_pool(tx, pool)
            await self._bus.move_cursor(tx, CONSUMER, LEDGER_LOG, applied, log[-1].seq)
        self._applied[LEDGER_LOG] = log[-1].seq
        return len(log)

    async def _set_capital(
        self, tx: Tx, pool: Pool, rows: dict[VenueAccountId, PooledAccountRow]
    ) -> None:
        pool = replace(pool, capital_version=pool.capital_version + 1)
        await self._store.save_pool(tx, pool)
        message = CapitalSet(
            pool=pool.id,
            version=pool.capital_version,
            base_units=pool.base_units,
            quote_units=pool.quote_units,
            includes_stream_seq=rows[pool.account].booked_seq,
        )
        await self._tell(tx, pool.account, f"capital:{pool.id}:{pool.capital_version}", message)

    async def apply_engine(self, account: VenueAccountId) -> int:
        """Take note of what the engine reports; the coordinator acts on it."""
        stream = engine_stream(account)

        async def once(limit: int) -> int:
            return await self._apply_engine(account, stream, limit)

        return await self._guard.apply(stream, self._settings.batch, once)

    async def _apply_engine(self, account: VenueAccountId, stream: str, limit: int) -> int:
        async with self._transactions.begin("pools.engine") as tx:
            await self._store.lock_account(tx, account)
            applied = await self._bus.cursor(tx, CONSUMER, stream)
            events = await self._bus.read(tx, stream, applied, limit)
            for envelope in events:
                event: EngineEvent = decode(envelope.body, EngineEvent)  # type: ignore[arg-type]
                if isinstance(event, ExposureReduced):
                    await self._reduce(tx, event)
            if events:
                await self._bus.move_cursor(tx, CONSUMER, stream, applied, events[-1].seq)
        self._applied[stream] = events[-1].seq if events else applied
        return len(events)

    async def _reduce(self, tx: Tx, event: ExposureReduced) -> None:
        pool = await self._store.pool(tx, event.pool)
        if pool is not None and pool.reduced_version < event.version <= pool.drain_version:
            await self._store.save_pool(tx, replace(pool, reduced_version=event.version))

    # --------------------------------------------------------------------------- the coordinator

    async def coordinate(self, account: VenueAccountId) -> int:
        """Start and stop quoting, drain for leavers, ask for a barrier, lift; how many actions."""
        async with self._transactions.begin("pools.coordinate") as tx:
            row = await self._store.lock_account(tx, account)
            tickets = list(await self._store.tickets(tx, account))
            ledger_seq = await self._bus.cursor(tx, CONSUMER, LEDGER_LOG)
            pools = [pool for pool in await self._store.pools(tx) if pool.account == account]
            done, pools = await self._start_and_stop(tx, pools, tickets)
            todo = plan(row, pools, tickets, ledger_seq, self._clock.now_us(), self._settings)
            done += await self._move_tickets(tx, todo)
            done += await self._drain_and_lift(tx, {pool.id: pool for pool in pools}, todo)
            done += await self._ask(tx, row, todo, pools, tickets)
        return done

    async def _start_and_stop(
        self, tx: Tx, pools: Sequence[Pool], tickets: Sequence[DealingRequest]
    ) -> tuple[int, list[Pool]]:
        done, after = 0, []
        for pool in pools:
            wanted = wants_quoting(pool, tickets)
            if wanted and not pool.quoting:
                after.append(await self._start(tx, pool))
            elif pool.quoting and not wanted:
                after.append(await self._stop(tx, pool))
            else:
                after.append(pool)
            done += after[-1] != pool
        return done, after

    async def _start(self, tx: Tx, pool: Pool) -> Pool:
        pool = replace(pool, quoting=True, quoting_version=pool.quoting_version + 1)
        await self._store.save_pool(tx, pool)
        message = StartQuoting(
            pool=pool.id,
            account=pool.account,
            market=pool.market,
            strategy=pool.strategy,
            version=pool.quoting_version,
        )
        await self._tell(tx, pool.account, f"start:{pool.id}:{pool.quoting_version}", message)
        return pool

    async def _stop(self, tx: Tx, pool: Pool) -> Pool:
        pool = replace(pool, quoting=False)
        await self._store.save_pool(tx, pool)
        message = StopQuoting(pool=pool.id, reason=pool.paused or "the pool holds no capital")
        await self._tell(tx, pool.account, f"stop:{pool.id}:{pool.quoting_version}", message)
        return pool

    async def _move_tickets(self, tx: Tx, todo: CoordinatorPlan) -> int:
        done = 0
        for before, tickets in (
            (DealingRequestState.USED, todo.applied),
            (DealingRequestState.DRAINING, todo.reduced),
            (DealingRequestState.WAITING, todo.taken),
            (DealingRequestState.WAITING, todo.drained),
        ):
            for ticket in tickets:
                done += await self._store.move_ticket(tx, before, ticket)
        return done

    async def _drain_and_lift(
        self, tx: Tx, pools: dict[PoolId, Pool], todo: CoordinatorPlan
    ) -> int:
        for drain in todo.drains:
            pool = replace(pools[drain.pool], drain_version=drain.version)
            await self._store.save_pool(tx, pool)
            message = DrainTo(
                pool=drain.pool,
                version=drain.version,
                staying=drain.staying,
                issued=drain.issued,
            )
            await self._tell(tx, pool.account, f"drain:{pool.id}:{drain.version}", message)
        for pool in todo.lifts:
            await self._store.save_pool(tx, pool)
            lifted = DrainLifted(pool=pool.id, version=pool.lifted_version)
            await self._tell(tx, pool.account, f"lift:{pool.id}:{pool.lifted_version}", lifted)
        return len(todo.drains) + len(todo.lifts)

    async def _ask(
        self,
        tx: Tx,
        row: PooledAccountRow,
        todo: CoordinatorPlan,
        pools: Sequence[Pool],
        tickets: Sequence[DealingRequest],
    ) -> int:
        now_us = self._clock.now_us()
        if todo.taken or todo.drained:
            row = replace(row, rounds=row.rounds + 1, round_at_us=now_us)
            await self._store.save_account(tx, row)
        if todo.asked:
            barriers = row.barriers + 1
            barrier_id = f"{row.account}:{barriers}"
            for ticket in todo.asked:
                asked = replace(ticket, barrier_id=barrier_id)
                await self._store.move_ticket(tx, DealingRequestState.READY, asked)
            row = replace(
                row, barriers=barriers, barrier_at_us=now_us, open_barrier=barrier_id, asks=0
            )
        elif not reask_due(row, now_us, self._settings):
            return 0
        here = [one for one in tickets if one.barrier_id == row.open_barrier]
        row = replace(row, asks=row.asks + 1, asked_at_us=now_us)
        await self._store.save_account(tx, row)
        wanted = BarrierWanted(
            account=row.account,
            barrier_id=row.open_barrier,
            depths=depths_wanted(pools, todo.asked or here),
        )
        await self._tell(tx, row.account, f"barrier:{row.open_barrier}:{row.asks}", wanted)
        return 1

    # ------------------------------------------------------------------------------------ helpers

    async def _lock_pool(self, tx: Tx, pool_id: PoolId) -> Pool:
        found = await self._store.pool(tx, pool_id)
        require(found is not None, f"pool: {pool_id} is unknown")
        if found is not None:
            await self._store.lock_account(tx, found.account)
        pool = await self._store.pool(tx, pool_id)
        ensure(pool is not None, f"pool {pool_id} has vanished")
        return pool  # type: ignore[return-value]

    async def _tell(self, tx: Tx, account: VenueAccountId, key: str, message: Message) -> None:
        now_us = self._clock.now_us()
        event = NewEvent(key=key, message=message, occurred_at_us=now_us)
        await self._bus.append(tx, control_stream(account), [event], now_us)


def _follow(
    log: Iterable[LedgerTransaction],
    pools: dict[PoolId, Pool],
    rows: dict[VenueAccountId, PooledAccountRow],
) -> set[PoolId]:
    """Apply transactions to positions and to what is booked; the pools the engine must hear of."""
    told: set[PoolId] = set()
    for transaction in log:
        for leg in transaction.legs:
            pool_id = pool_of_leg(leg)
            if pool_id is not None and pool_id in pools:
                pools[pool_id] = with_leg(pools[pool_id], leg)
                # What only moves between an exit and its order is none of the engine's.
                told.update({pool_id} if leg.account.endswith(":capital") else ())
        if transaction.kind == SET_ASIDE:
            told |= _passed(decode(transaction.body, SetAside), pools, rows)
        kind = _FACT_KINDS.get(transaction.kind)
        if kind is None:
            continue
        fact = decode(transaction.body, kind)
        row = rows.get(fact.account)
        if row is not None and fact.stream == account_stream(fact.account):
            booked_seq = max(row.booked_seq, fact.stream_seq)
            rows[fact.account] = replace(row, booked_seq=booked_seq)
            # A pool whose fact moved nothing is told all the same, or it would wait for ever.
            told.update({fact.pool} & pools.keys())
    return told


def _passed(
    aside: SetAside, pools: dict[PoolId, Pool], rows: dict[VenueAccountId, PooledAccountRow]
) -> set[PoolId]:
    """A fact that is never booked counts as booked; the pools of its account hear of it."""
    for account, row in rows.items():
        if account_stream(account) == aside.stream:
            booked_seq = max(row.booked_seq, aside.stream_seq)
            rows[account] = replace(row, booked_seq=booked_seq)
            return {pool.id for pool in pools.values() if pool.account == account}
    return set()


def open_store() -> PoolStore:
    """Pools in PostgreSQL."""
    return PgPoolStore()
