"""The stream of server-sent events: transactions for staff, own orders for a user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from poolmaker.api.calls import EVERYBODY, Allow, platform_of
from poolmaker.api.ports import Platform, Principal, Role
from poolmaker.api.problems import Problem
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import PoolmakerError

STREAMS_MAX: Final = 200
BATCH: Final = 200
LOOK_US: Final = SECOND_US // 2
QUIET_LOOKS: Final = 20

router = APIRouter(prefix="/api/v1")


def _event(name: str, identity: str, value: object) -> str:
    return f"event: {name}\nid: {identity}\ndata: {msgspec.json.encode(value).decode()}\n\n"


class Streams:
    """Counts the open streams of one application, which are bounded."""

    def __init__(self) -> None:
        self.open = 0


@router.get("/stream", response_class=StreamingResponse)
async def stream(
    request: Request, principal: Annotated[Principal, Depends(Allow(EVERYBODY))]
) -> Response:
    """What happens from now on, or from Last-Event-ID on where it is a transaction's number."""
    streams: Streams = request.app.state.streams
    if streams.open >= STREAMS_MAX:
        raise Problem("busy")
    platform = platform_of(request)
    last = request.headers.get("last-event-id", "")
    events = (
        _orders(platform, principal)
        if principal.role is Role.USER
        else _transactions(platform, int(last) if last.isascii() and last.isdecimal() else None)
    )
    return StreamingResponse(
        _counted(streams, events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _counted(streams: Streams, events: AsyncIterator[str]) -> AsyncIterator[str]:
    streams.open += 1
    try:
        async for event in events:
            yield event
    finally:
        streams.open -= 1


async def _transactions(platform: Platform, after: int | None) -> AsyncIterator[str]:
    if after is None:
        after = (await platform.reading.trial_balance()).seq
    async for quiet in _looks(platform):
        try:
            newest = await platform.reading.happenings(after, BATCH)
        except PoolmakerError:
            newest = ()
        for happening in reversed(newest):
            after = happening.seq
            yield _event("transaction", str(happening.seq), happening)
        if quiet and not newest:
            yield ": quiet\n\n"


async def _orders(platform: Platform, principal: Principal) -> AsyncIterator[str]:
    seen: dict[str, bytes] = {}
    async for quiet in _looks(platform):
        try:
            orders = await platform.reading.orders(principal.user_id)
        except PoolmakerError:
            orders = ()
        for order in orders:
            body = msgspec.json.encode(order)
            if seen.get(order.order_id) != body:
                seen[order.order_id] = body
                yield _event("order", order.order_id, order)
        if quiet:
            yield ": quiet\n\n"


async def _looks(platform: Platform) -> AsyncIterator[bool]:
    """Ticks until the platform stops; true once in a while, when a sign of life is due."""
    count = 0
    while not platform.stopping.is_set():
        yield count % QUIET_LOOKS == 0
        count += 1
        await platform.clock.sleep_us(LOOK_US)
