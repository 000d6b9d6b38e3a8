"""The sender: nothing leaves before it is stored, nothing leaves twice, nothing leaves a fence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.kernel.ids import IntentId
from poolmaker.market.execution.model import (
    CancelAccepted,
    CancelIntent,
    CancelReply,
    Created,
    CreateIntent,
    CreateReply,
)
from poolmaker.market.execution.sender import Sender, SenderPorts
from poolmaker.market.execution.throttle import Throttle
from tests.unit.market.makers import POOL, SYMBOL, create, intent_id


class Desk:
    """Journal, venue and outcomes in one, writing down what happens in which order."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.fence = ""
        self.storing = asyncio.Event()
        self.storing.set()
        self.venue_fails = False
        self.store_fails = False
        self.hang = asyncio.Event()
        self.hang.set()
        self.arrival_max_us = 0

    async def store_creates(self, intents: Sequence[CreateIntent]) -> None:
        await self.storing.wait()
        if self.store_fails:
            raise OutcomeUnknown("the commit's answer was lost")
        self.trace += [f"stored {int(i.intent, 16)}" for i in intents]

    async def create(self, intent: CreateIntent) -> CreateReply:
        self.trace.append(f"sent {int(intent.intent, 16)}")
        await self.hang.wait()
        if self.venue_fails:
            raise OutcomeUnknown("no answer")
        return Created("x")

    async def cancel(self, cancel: CancelIntent) -> CancelReply:
        self.trace.append(f"cancel {int(cancel.target, 16)}")
        return CancelAccepted("x", 0)

    def client_id(self, intent: IntentId) -> str:
        return intent

    def never_sent(self, intent: CreateIntent, reason: str) -> None:
        self.trace.append(f"never {int(intent.intent, 16)}: {reason}")

    def created(self, intent: CreateIntent, reply: CreateReply) -> None:
        self.trace.append(f"created {int(intent.intent, 16)}")

    def create_lost(self, intent: CreateIntent) -> None:
        self.trace.append(f"lost {int(intent.intent, 16)}")

    def cancelled(self, cancel: CancelIntent, reply: CancelReply) -> None:
        self.trace.append(f"cancelled {int(cancel.target, 16)}")

    def cancel_lost(self, cancel: CancelIntent) -> None:
        self.trace.append(f"cancel lost {int(cancel.target, 16)}")


@asynccontextmanager
async def sending(desk: Desk) -> AsyncIterator[Sender]:
    ports = SenderPorts(desk, desk, desk, Throttle(SystemClock(), []))
    sender = Sender(ports, lambda _intent: desk.fence)
    task = asyncio.create_task(sender.run())
    yield sender
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def cancel(number: int) -> CancelIntent:
    return CancelIntent(
        target=intent_id(number), pool=POOL, symbol=SYMBOL, exchange_order_id="x", client_id="c",
        decided_us=1,
    )  # fmt: skip


async def test_execution_invariant_1_a_create_leaves_only_after_it_is_stored() -> None:
    desk = Desk()
    desk.storing.clear()
    async with sending(desk) as sender:
        sender.submit([create(1)], [cancel(9)])
        await settle()
        assert desk.trace == ["cancel 9", "cancelled 9"]
        desk.storing.set()
        await settle()
    assert desk.trace[2:] == ["stored 1", "sent 1", "created 1"]


async def test_when_storing_is_uncertain_nothing_leaves_and_the_sender_ends() -> None:
    desk = Desk()
    desk.store_fails = True
    ports = SenderPorts(desk, desk, desk, Throttle(SystemClock(), []))
    sender = Sender(ports, lambda _intent: "")
    sender.submit([create(1)], [])
    with pytest.raises(ExceptionGroup):
        await sender.run()
    assert desk.trace == []


async def test_e4_a_create_whose_answer_is_lost_is_never_sent_again() -> None:
    """E4, E18: lost is told once; what comes next is another intent."""
    desk = Desk()
    desk.venue_fails = True
    async with sending(desk) as sender:
        sender.submit([create(1)], [])
        await settle()
    assert desk.trace == ["stored 1", "sent 1", "lost 1"]


async def test_p3_a_stop_fences_what_is_still_queued() -> None:
    """P3: tail intents do not trade after a stop."""
    desk = Desk()
    desk.storing.clear()
    async with sending(desk) as sender:
        sender.submit([create(1), create(2)], [])
        desk.fence = "stopped"
        desk.storing.set()
        await settle()
    assert desk.trace == ["stored 1", "stored 2", "never 1: stopped", "never 2: stopped"]


async def test_e6_a_stop_while_a_create_is_in_flight_does_not_call_it_cancelled() -> None:
    """E6: what is on the wire is answered by the venue, not by us."""
    desk = Desk()
    desk.hang.clear()
    async with sending(desk) as sender:
        sender.submit([create(1)], [])
        await settle()
        desk.fence = "stopped"
        desk.hang.set()
        await settle()
    assert desk.trace == ["stored 1", "sent 1", "created 1"]


async def test_p4_a_hung_create_blocks_neither_cancels_nor_other_creates() -> None:
    """P4."""
    desk = Desk()
    desk.hang.clear()
    async with sending(desk) as sender:
        sender.submit([create(1)], [])
        await settle()
        sender.submit([create(2)], [cancel(9)])
        await settle()
        assert {"sent 2", "cancelled 9"} <= set(desk.trace)
        desk.hang.set()
        await settle()
