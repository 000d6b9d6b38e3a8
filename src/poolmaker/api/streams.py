"""The stream of server-sent events: transactions for staff, own orders for a user.

One reader looks for all who watch, one query after the other, so a thousand watchers cost what the
things cost that they watch. There is no queue to grow: a watcher takes what is newest.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from poolmaker.api.access import LOOK_AT_OWN, Role
from poolmaker.api.calls import Allow
from poolmaker.api.ports import Platform
from poolmaker.api.tokens import Principal
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import PoolmakerError
from poolmaker.kernel.ids import UserId
from poolmaker.views.model import ActivityView

BATCH: Final = 200
KEPT: Final = 1_000
ORDERS_MAX: Final = 200
LOOK_US: Final = SECOND_US // 2
LOOKS_PER_TOKEN_CHECK: Final = 2
SILENCE_S: Final = 10
SEQ_DIGITS_MAX: Final = 18

router = APIRouter(prefix="/api/v1")


@router.get("/stream", response_class=StreamingResponse)
async def stream(
    request: Request, principal: Annotated[Principal, Depends(Allow(LOOK_AT_OWN))]
) -> Response:
    """What happens from now on, or from Last-Event-ID on where it is a transaction's number."""
    streams: Streams = request.app.state.streams
    last = request.headers.get("last-event-id", "")
    is_number = last.isascii() and last.isdecimal() and len(last) <= SEQ_DIGITS_MAX
    return StreamingResponse(
        streams.watch(principal, int(last) if is_number else None),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _event(name: str, identity: str, value: object) -> str:
    return f"event: {name}\nid: {identity}\ndata: {msgspec.json.encode(value).decode()}\n\n"


@dataclass(slots=True)
class _Watcher:
    """What one client already has."""

    principal: Principal
    after: int = 0
    orders: dict[str, bytes] = field(default_factory=dict)


def _transactions(watcher: _Watcher, known: Iterable[ActivityView]) -> list[str]:
    """The events of transactions that a client lacks; nothing is left out silently.

    What is not streamed any more is told as a gap: it can be listed.
    """
    newest = [one for one in known if one.seq > watcher.after]
    events = []
    if newest and newest[0].seq > watcher.after + 1:
        gap = {"after": watcher.after, "before": newest[0].seq}
        events.append(_event("gap", str(newest[0].seq - 1), gap))
    events += [_event("transaction", str(one.seq), one) for one in newest]
    watcher.after = max([watcher.after, *(one.seq for one in newest)])
    return events


class Streams:
    """Everything that is streamed, looked at once for all who watch."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._changed = asyncio.Condition()
        self._looks = 0
        self._tokens: Counter[str] = Counter()
        self._users: Counter[UserId] = Counter()
        self._staff = 0
        self._dead: frozenset[str] = frozenset()
        self._seq = -1
        self._happenings: deque[ActivityView] = deque(maxlen=KEPT)
        self._orders: dict[UserId, dict[str, bytes]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def watch(self, principal: Principal, after: int | None) -> AsyncIterator[str]:
        """The events of one client, until it leaves, its token ends or the platform stops."""
        self._count(principal, 1)
        try:
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read(), name="api-streams")
            yield ": open\n\n"
            watcher = _Watcher(principal, await self._begin(principal, after))
            for event in _transactions(watcher, await self._missed(principal, after)):
                yield event
            while not self._platform.stopping.is_set() and not self._has_ended(principal):
                seen = self._looks
                for event in self._news(watcher):
                    yield event
                if not await self._wait(seen):
                    yield ": quiet\n\n"
        finally:
            self._count(principal, -1)

    def _count(self, principal: Principal, number: int) -> None:
        self._tokens[principal.token_id] += number
        if principal.role is Role.USER and principal.user_id is not None:
            self._users[principal.user_id] += number
            if not self._users[principal.user_id]:
                del self._users[principal.user_id]
                self._orders.pop(principal.user_id, None)
        else:
            self._staff += number
        if not self._tokens[principal.token_id]:
            del self._tokens[principal.token_id]

    def _has_ended(self, principal: Principal) -> bool:
        return principal.token_id in self._dead

    async def _missed(self, principal: Principal, after: int | None) -> Sequence[ActivityView]:
        """What a client of the staff lacks, when it says what it has; oldest first."""
        if principal.role is Role.USER or after is None:
            return ()
        missed = await self._platform.reading.happenings(after, KEPT)
        return tuple(reversed(missed))

    async def _begin(self, principal: Principal, after: int | None) -> int:
        """Where a client of the staff begins: after what it has, or now."""
        if principal.role is Role.USER or after is not None:
            return after or 0
        while self._seq < 0 and not self._platform.stopping.is_set():
            await self._wait(self._looks)
        return self._seq

    def _news(self, watcher: _Watcher) -> list[str]:
        if watcher.principal.role is Role.USER:
            return self._orders_for(watcher)
        return _transactions(watcher, self._happenings)

    def _orders_for(self, watcher: _Watcher) -> list[str]:
        user_id = watcher.principal.user_id
        current = self._orders.get(user_id, {}) if user_id is not None else {}
        changed = {one: body for one, body in current.items() if watcher.orders.get(one) != body}
        watcher.orders = {**current}
        return [
            f"event: order\nid: {one}\ndata: {body.decode()}\n\n" for one, body in changed.items()
        ]

    async def _wait(self, seen: int) -> bool:
        """Until something newer than the look ``seen`` is there; False when it is long quiet."""
        try:
            async with asyncio.timeout(SILENCE_S), self._changed:
                await self._changed.wait_for(
                    lambda: self._looks != seen or self._platform.stopping.is_set()
                )
        except TimeoutError:
            return False
        return True

    async def _read(self) -> None:
        """Look until nobody watches."""
        count = 0
        while self._tokens and not self._platform.stopping.is_set():
            with suppress(PoolmakerError):
                await self._look(check_tokens=count % LOOKS_PER_TOKEN_CHECK == 0)
            count += 1
            await self._platform.clock.sleep_us(LOOK_US)
        async with self._changed:
            self._changed.notify_all()

    async def _look(self, *, check_tokens: bool) -> None:
        before = (self._seq, self._dead, {**self._orders})
        reading = self._platform.reading
        if check_tokens:
            watching = frozenset(self._tokens)
            self._dead = watching - await self._platform.tokens.alive(watching)
        if self._staff:
            await self._look_at_transactions()
        for user_id in [*self._users]:
            orders = await reading.orders(user_id, "", ORDERS_MAX)
            if user_id in self._users:
                encoded = {one.order_id: msgspec.json.encode(one) for one in orders}
                self._orders[user_id] = encoded
        if before != (self._seq, self._dead, self._orders):
            self._looks += 1
            async with self._changed:
                self._changed.notify_all()

    async def _look_at_transactions(self) -> None:
        reading = self._platform.reading
        if self._seq < 0:
            self._seq = (await reading.trial_balance()).seq
            self._looks += 1
            return
        newest = await reading.happenings(self._seq, BATCH)
        for happening in reversed(newest):
            self._happenings.append(happening)
            self._seq = happening.seq
