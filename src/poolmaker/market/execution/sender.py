"""Sends what was decided: creates after they are stored, cancels first and at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.market.execution.model import CancelIntent, CreateIntent
from poolmaker.market.execution.ports import CreateJournal, OrderEntry, Outcomes
from poolmaker.market.execution.throttle import Throttle

CREATE_WEIGHTS: Final = {"orders": 1, "orders_per_day": 1, "weight": 1}
CANCEL_WEIGHTS: Final = {"weight": 1}
BATCH_MAX: Final = 64
SENDERS: Final = 8

Decided = TypeVar("Decided", CreateIntent, CancelIntent)
Fence = Callable[[CreateIntent], str]
"""Why a create must not leave any more; empty when it may. Asked last, right before the socket."""


@dataclass(frozen=True, slots=True)
class SenderPorts:
    """What sending needs."""

    entry: OrderEntry
    journal: CreateJournal
    outcomes: Outcomes
    throttle: Throttle


class Sender:
    """Queues of decided creates and cancels, and the tasks that empty them.

    A create leaves at most once, only after its intent is stored, and only while the fence still
    lets it. When storing fails nothing is sent and the failure ends ``run``: whoever supervises
    starts anew from what is stored.
    """

    def __init__(self, ports: SenderPorts, fence: Fence) -> None:
        self._ports = ports
        self._fence = fence
        self._decided: deque[CreateIntent] = deque()
        self._stored: deque[CreateIntent] = deque()
        self._cancels: deque[CancelIntent] = deque()
        self._wake = {name: asyncio.Event() for name in ("decided", "stored", "cancels")}

    def submit(self, creates: list[CreateIntent], cancels: list[CancelIntent]) -> None:
        """Take a tick's decisions. Cancels may leave now; creates wait for their commit."""
        if cancels:
            self._cancels.extend(cancels)
            self._wake["cancels"].set()
        if creates:
            self._decided.extend(creates)
            self._wake["decided"].set()

    @property
    def waiting(self) -> int:
        """Decisions that have not left yet."""
        return len(self._decided) + len(self._stored) + len(self._cancels)

    async def run(self) -> None:
        """Store and send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commit())
            for _ in range(SENDERS):
                tasks.create_task(self._drain("stored", self._stored, self._create))
                tasks.create_task(self._drain("cancels", self._cancels, self._cancel))

    async def _commit(self) -> None:
        while True:
            batch = await self._next_batch()
            await self._ports.journal.store_creates(batch)
            self._stored.extend(batch)
            self._wake["stored"].set()

    async def _next_batch(self) -> list[CreateIntent]:
        while not self._decided:
            self._wake["decided"].clear()
            await self._wake["decided"].wait()
        return [self._decided.popleft() for _ in range(min(BATCH_MAX, len(self._decided)))]

    async def _drain(
        self, name: str, queue: deque[Decided], send: Callable[[Decided], Awaitable[None]]
    ) -> None:
        while True:
            while not queue:
                self._wake[name].clear()
                await self._wake[name].wait()
            await send(queue.popleft())

    async def _create(self, intent: CreateIntent) -> None:
        await self._ports.throttle.take(CREATE_WEIGHTS)
        if reason := self._fence(intent):
            self._ports.outcomes.never_sent(intent, reason)
            return
        try:
            reply = await self._ports.entry.create(intent)
        except OutcomeUnknown:
            self._ports.outcomes.create_lost(intent)
        else:
            self._ports.outcomes.created(intent, reply)

    async def _cancel(self, cancel: CancelIntent) -> None:
        await self._ports.throttle.take(CANCEL_WEIGHTS, urgent=True)
        try:
            reply = await self._ports.entry.cancel(cancel)
        except OutcomeUnknown:
            self._ports.outcomes.cancel_lost(cancel)
        else:
            self._ports.outcomes.cancelled(cancel, reply)
