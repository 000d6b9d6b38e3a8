"""Consumes the control stream: a wish takes effect in the transaction that moves the cursor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, assert_never

from poolmaker.bus.guard import StreamGuard
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import PoolId
from poolmaker.market.engine._store import EngineReplaced
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.latches import LatchKind
from poolmaker.market.engine.model import PoolInstructions
from poolmaker.market.engine.ports import EngineStores
from poolmaker.market.engine.rules import wish_after
from poolmaker.market.engine.state import EngineState
from poolmaker.messages.base import Envelope, decode
from poolmaker.messages.market import (
    BarrierWanted,
    BarrierWantedV1,
    CapitalSet,
    Control,
    DrainLifted,
    DrainTo,
    StartQuoting,
    StopQuoting,
    control_stream,
)

_LOG: Final = get_logger("market")
_BATCH_MAX: Final = 200


@dataclass(slots=True)
class _Batch:
    """What a batch of messages changes, before it is committed."""

    wishes: dict[PoolId, PoolInstructions] = field(default_factory=dict)
    barriers: list[BarrierWanted] = field(default_factory=list)


class ControlConsumer:
    """Reads wishes of one account."""

    def __init__(
        self, state: EngineState, stores: EngineStores, journal: Journal, clock: Clock
    ) -> None:
        self._state = state
        self._stores = stores
        self._journal = journal
        self._clock = clock
        self._account = state.config.account
        self._consumer = f"engine:{self._account}"
        self._applied_seq = 0
        # An engine that was replaced ends; that is no event's fault.
        self._guard = StreamGuard(
            self._consumer, stores.transactions, stores.bus, clock, (EngineReplaced,)
        )

    async def run(self) -> None:
        """Consume until cancelled."""
        wake, config = self._stores.wake, self._state.config
        while True:
            seen = wake.rung if wake is not None else 0
            if await self.consume():
                continue
            if wake is None:
                await self._clock.sleep_us(config.control_poll_ms * 1_000)
            else:
                await wake.wait(seen, config.control_idle_ms * 1_000)

    async def consume(self) -> bool:
        """Apply one batch; whether there was anything."""
        stream = control_stream(self._account)
        if not await self._anything_new(stream):
            return False
        done = await self._guard.apply(stream, _BATCH_MAX, self._apply)
        self._halt(self._guard.why_stopped(stream))
        return bool(done)

    def _halt(self, reason: str) -> None:
        """What cannot be read may have been a stop: nothing is created until a person looked."""
        kind, latches = LatchKind.CONTROL_STOPPED, self._state.latches
        if reason:
            latches.set(kind, self._account, reason, self._clock.now_us())
        else:
            latches.clear(kind, self._account)

    async def _apply(self, limit: int) -> int:
        stream, batch = control_stream(self._account), _Batch()
        async with self._journal.begin("engine control") as tx:
            bus = self._stores.bus
            cursor = await bus.cursor(tx, self._consumer, stream)
            events = await bus.read(tx, stream, cursor, limit)
            if not events:
                self._applied_seq = cursor
                return 0
            for envelope in events:
                self._read(envelope, batch)
            await self._save(tx, batch)
            await bus.move_cursor(tx, self._consumer, stream, cursor, events[-1].seq)
        self._take_effect(batch)
        self._applied_seq = events[-1].seq
        return len(events)

    async def _anything_new(self, stream: str) -> bool:
        """A look without locks, because most looks find nothing."""
        async with self._stores.transactions.look("engine control look") as tx:
            return await self._stores.bus.head(tx, stream) > self._applied_seq

    def _read(self, envelope: Envelope, batch: _Batch) -> None:
        message: Control = decode(envelope.body, Control)  # type: ignore[arg-type]
        match message:
            case StartQuoting() | StopQuoting() | CapitalSet() | DrainTo() | DrainLifted():
                before = batch.wishes.get(message.pool) or self._state.pool(message.pool).wish
                batch.wishes[message.pool] = wish_after(before, message)
            case BarrierWanted():
                batch.barriers.append(message)
            case BarrierWantedV1():
                account, barrier_id = message.account, message.barrier_id
                batch.barriers.append(
                    BarrierWanted(account=account, barrier_id=barrier_id, depths=())
                )
            case _:
                assert_never(message)

    async def _save(self, tx: Tx, batch: _Batch) -> None:
        engine = self._stores.engine
        for wish in batch.wishes.values():
            await engine.save_wish(tx, self._account, wish)
        now_us = self._clock.now_us()
        batch.barriers = [
            wanted
            for wanted in batch.barriers
            if await engine.add_barrier(tx, self._account, wanted, now_us)
        ]

    def _take_effect(self, batch: _Batch) -> None:
        """From here on, orders decided under another wish do not leave any more."""
        for pool, wish in batch.wishes.items():
            desk = self._state.pool(pool)
            before, desk.wish = desk.wish, wish
            if (before.start, before.quoting, before.drain) != (
                wish.start,
                wish.quoting,
                wish.drain,
            ):
                desk.fenced_us = self._clock.now_us()
                _LOG.info("pool wish changed", pool=pool, quoting=wish.quoting)
            desk.forget_booked()
        for wanted in batch.barriers:
            self._state.want_barrier(wanted)
