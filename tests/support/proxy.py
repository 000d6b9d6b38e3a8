"""A TCP proxy on loopback that makes a wire slow: handshakes, packets, lost frames.

What it does to a connection is decided per direction and byte-exact except for lost frames: whole
WebSocket messages of the server that never arrive, as when a relay drops them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 1 << 16
_SMALL, _MEDIUM, _LARGE = 125, 126, 127


@dataclass(frozen=True, slots=True)
class Wire:
    """Seconds before a WebSocket's upgrade goes on, seconds for each packet, share lost."""

    handshake_s: float = 0.0
    packet_s: float = 0.0
    loss: float = 0.0


@dataclass
class SlowProxy:
    """Forwards to one port. ``sockets`` counts WebSockets by path, ``lost`` dropped frames."""

    host: str
    port: int
    wire: Wire
    chance: Random
    sockets: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    own_port: int = 0
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._forward(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def stop(self) -> None:
        """End every connection."""
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(_CHUNK)
        is_socket = b"upgrade: websocket" in first.lower()
        if is_socket:
            self.sockets[first.split(b" ")[1].decode("ascii").partition("?")[0]] += 1
            await asyncio.sleep(self.wire.handshake_s)
        upstream, downstream = await asyncio.open_connection(self.host, self.port)
        try:
            downstream.write(first)
            there = asyncio.create_task(self._pump(reader, downstream, frames=False))
            back = asyncio.create_task(self._pump(upstream, writer, frames=is_socket))
            done, left = await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            await asyncio.gather(*done, *left, return_exceptions=True)
        finally:
            downstream.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, frames: bool
    ) -> None:
        """Each packet arrives ``packet_s`` after it was sent, in order, however many there are."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=10_000)
        cutter = _Frames() if frames else None

        async def deliver() -> None:
            while True:
                due, packet = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                sink.write(packet)
                await sink.drain()

        delivery = asyncio.create_task(deliver())
        try:
            while chunk := await source.read(_CHUNK):
                due = loop.time() + self.wire.packet_s
                for packet in cutter.split(chunk) if cutter is not None else [chunk]:
                    if cutter is not None and cutter.may_be_lost(packet) and self._is_lost():
                        self.lost += 1
                        continue
                    await queue.put((due, packet))
        finally:
            delivery.cancel()
            await asyncio.gather(delivery, return_exceptions=True)

    def _is_lost(self) -> bool:
        return self.chance.random() < self.wire.loss


class _Frames:
    """Cuts a server's byte stream after the upgrade into whole WebSocket frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._upgraded = False

    def split(self, chunk: bytes) -> list[bytes]:
        """Everything that is whole by now; the answer to the upgrade is one piece."""
        self._rest += chunk
        pieces: list[bytes] = []
        if not self._upgraded:
            head, mark, rest = self._rest.partition(b"\r\n\r\n")
            if not mark:
                return []
            pieces.append(head + mark)
            self._rest, self._upgraded = rest, True
        while size := self._frame_size():
            pieces.append(self._rest[:size])
            self._rest = self._rest[size:]
        return pieces

    @staticmethod
    def may_be_lost(piece: bytes) -> bool:
        """Whether it is a text frame: neither the upgrade's answer nor a ping, pong or close."""
        return piece[:1] == b"\x81"

    def _frame_size(self) -> int:
        rest = self._rest
        if len(rest) < 2:
            return 0
        length, head = rest[1] & 0x7F, 2
        if length == _MEDIUM:
            length, head = int.from_bytes(rest[2:4], "big"), 4
        elif length == _LARGE:
            length, head = int.from_bytes(rest[2:10], "big"), 10
        return head + length if len(rest) >= head + length else 0


@contextlib.asynccontextmanager
async def slow_proxy(address: str, wire: Wire, seed: int = 1) -> AsyncIterator[SlowProxy]:
    """A proxy in front of an address, on a port of its own."""
    target = urlsplit(address)
    proxy = SlowProxy(target.hostname or "", target.port or 0, wire, Random(seed))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.own_port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
        await server.wait_closed()


def through(proxy: SlowProxy, info: dict[str, Any]) -> dict[str, Any]:
    """A venue's ready line with its public addresses behind the proxy; the admin port is not."""
    moved = dict(info)
    for name in ("rest", "ws", "ws_api"):
        parts = urlsplit(info[name])
        assert parts.port == proxy.port
        moved[name] = urlunsplit(parts._replace(netloc=f"127.0.0.1:{proxy.own_port}"))
    return moved
