"""Whoever holds places, the staff's are kept: on a running server with real sockets (found_34)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from poolmaker.api.access import ROLE_SCOPES, Role
from poolmaker.api.ports import ActionRefused, KillView, WithoutEngines
from poolmaker.api.server import bind, create_api, serve
from poolmaker.infra.clock import SystemClock
from tests.api.test_access import token
from tests.e2e.world import OPERATOR_TOKEN, FakeWorld

ADDRESSES = ("127.0.0.1", "127.0.0.2")
LIMIT_S = 60


class Kills(WithoutEngines):
    """A kill switch that holds at once."""

    async def kill(self, scope: str, name: str, reason: str) -> KillView | ActionRefused:
        return KillView(scope=scope, file=True, row=True, proven=True, accounts=())


@contextlib.asynccontextmanager
async def running(world: FakeWorld) -> AsyncIterator[int]:
    """The API of ``world`` on a port of this machine."""
    listener = bind("127.0.0.1", 0)
    stopping = asyncio.Event()
    api = create_api(replace(world.platform(), safety=Kills()))
    serving = asyncio.create_task(serve(api, listener, stopping))
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        await serving
        listener.close()


def head(method: str, path: str, of: str, length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += ["Content-Type: application/json", "Connection: close"]
    if of:
        lines += [f"Authorization: Bearer {of}", f"Idempotency-Key: key-of-{path}-{of}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextlib.asynccontextmanager
async def slow_bodies(port: int, path: str, tokens: Sequence[str]) -> AsyncIterator[None]:
    """Open requests, one for each token, that never send more of their bodies than a sign."""
    opened = []
    try:
        for number, of in enumerate(tokens):
            local = (ADDRESSES[number % len(ADDRESSES)], 0)
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local)
            opened.append(writer)
            writer.write(head("POST", path, of, 60_000) + b"{")
            await writer.drain()
        yield
    finally:
        for writer in opened:
            writer.transport.abort()


async def ask(port: int, method: str, path: str, body: bytes = b"") -> int:
    """The status that the operator gets."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(method, path, OPERATOR_TOKEN, len(body)) + body)
        status = int((await reader.readline()).split()[1])
        writer.transport.abort()
    return status


async def staff_are_answered(port: int) -> None:
    for _ in range(5):
        assert await ask(port, "GET", "/api/v1/health") == 200
        assert await ask(port, "GET", "/api/v1/users") == 200
    assert await ask(port, "POST", "/api/v1/kill", b'{"scope":"platform","reason":"found"}') == 201


async def test_found_34_two_hundred_slow_bodies_of_nobody_keep_no_place() -> None:
    world = FakeWorld(SystemClock())
    async with (
        running(world) as port,
        slow_bodies(port, "/api/v1/orders", [""] * 200),
    ):
        await staff_are_answered(port)


async def test_found_34_two_hundred_slow_bodies_of_unknown_tokens_keep_no_place() -> None:
    world = FakeWorld(SystemClock())
    tokens = [f"pm_nobody_issued_number_{number:04}" for number in range(200)]
    async with running(world) as port, slow_bodies(port, "/api/v1/orders", tokens):
        await staff_are_answered(port)


async def test_found_34_slow_bodies_of_many_users_leave_the_staff_its_places() -> None:
    world = FakeWorld(SystemClock())
    tokens = [token(world, Role.USER, ROLE_SCOPES[Role.USER], f"user{n}") for n in range(25)] * 8
    for path in ("/api/v1/orders", "/api/v1/kill"):
        async with running(world) as port, slow_bodies(port, path, tokens):
            await staff_are_answered(port)
