"""WebSocket readers of the venue: each has a bounded outbox, and is cut when it falls behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from poolmaker.kernel.clock import SECOND_US, Clock

FRAMES_MAX: Final = 20_000
BYTES_MAX: Final = 32 * 1024 * 1024
SEND_TIMEOUT_S: Final = 30
PING_EVERY_US: Final = 20 * SECOND_US
PONG_WITHIN_US: Final = 60 * SECOND_US
LIFETIME_US: Final = 86_400 * SECOND_US

encode = msgspec.json.Encoder().encode


class Peer:
    """One WebSocket connection. ``send`` never waits; a reader who lags is cut."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, kind: str) -> None:
        self.kind = kind
        self.is_combined = False
        self.is_stalled = False
        self.streams: set[str] = set()
        self._socket = socket
        self._transport = request.transport
        self._outbox: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._is_cut = False

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent."""
        return not (self._is_cut or self._socket.closed)

    def send(self, frame: bytes) -> None:
        """Queue a text frame; cut the connection when its outbox is full."""
        if self.is_stalled or not self.is_open:
            return
        self._outbox.append(frame)
        self._size += len(frame)
        if len(self._outbox) > FRAMES_MAX or self._size > BYTES_MAX:
            self.cut()
            return
        self._wake.set()

    def send_json(self, body: object) -> None:
        """Queue ``body`` as a text frame."""
        self.send(encode(body))

    def announce_shutdown(self, time_ms: int) -> None:
        """Tell the reader that the server is about to shut down: connect anew."""
        event = {"e": "serverShutdown", "E": time_ms}
        self.send_json(event if self.kind == "market" else {"event": event})

    def cut(self) -> None:
        """Drop the TCP connection without a goodbye."""
        self._is_cut = True
        self._outbox.clear()
        self._size = 0
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    async def close(self, code: int) -> None:
        """Say goodbye with ``code``."""
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.close(code=code)

    async def pump(self) -> None:
        """Write the outbox until the connection ends."""
        try:
            while self.is_open:
                await self._wake.wait()
                self._wake.clear()
                await self._drain()
        except (ConnectionError, TimeoutError, RuntimeError):
            self.cut()

    async def _drain(self) -> None:
        while self._outbox and self.is_open:
            frame = self._outbox.popleft()
            self._size -= len(frame)
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._socket.send_frame(frame, WSMsgType.TEXT)

    async def heartbeat(self, clock: Clock, last_pong_us: Callable[[], int]) -> None:
        """Ping every 20 s, cut after a minute without a pong, end after 24 hours."""
        born_us = clock.monotonic_us()
        while self.is_open:
            await clock.sleep_us(PING_EVERY_US)
            now_us = clock.monotonic_us()
            if now_us - max(last_pong_us(), born_us) > PONG_WITHIN_US:
                self.cut()
                return
            if now_us - born_us > LIFETIME_US:
                await self.close(1001)
                return
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._socket.ping()
            except (ConnectionError, TimeoutError, RuntimeError):
                self.cut()


async def converse(
    peer: Peer, socket: web.WebSocketResponse, clock: Clock, on_text: Callable[[str], bool]
) -> None:
    """Serve one connection until it ends; ``on_text`` returns False to end it."""
    pong_us = [clock.monotonic_us()]
    tasks = [
        asyncio.create_task(peer.pump()),
        asyncio.create_task(peer.heartbeat(clock, lambda: pong_us[0])),
    ]
    try:
        while peer.is_open:
            message: WSMessage = await socket.receive()  # ended by the heartbeat's minute
            if message.type is WSMsgType.TEXT:
                if not on_text(message.data):
                    peer.cut()
            elif message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                pong_us[0] = clock.monotonic_us()
            elif message.type is not WSMsgType.BINARY:
                return
    except (ConnectionError, RuntimeError):
        peer.cut()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
