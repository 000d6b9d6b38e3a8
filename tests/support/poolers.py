"""A pooler as careless ones are: it drops what a connection asks for at its start."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager, suppress
from typing import cast

_SSL_REQUEST = 80_877_103
_HEAD = 8


@asynccontextmanager
async def dropping_pooler(port: int, dropped: Container[str]) -> AsyncIterator[int]:
    """Passes connections on to ``port`` without the named start-up parameters; its own port."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(OSError, asyncio.IncompleteReadError):
            await _pass_on(reader, writer, port, dropped)
        await _closed(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*serving, return_exceptions=True)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, dropped: Container[str]
) -> None:
    length, code = struct.unpack("!ii", await reader.readexactly(_HEAD))
    if code == _SSL_REQUEST:
        writer.write(b"N")
        length, code = struct.unpack("!ii", await reader.readexactly(_HEAD))
    body = await reader.readexactly(length - _HEAD)
    upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", port)
    kept = _without(body, dropped)
    upstream.write(struct.pack("!ii", len(kept) + _HEAD, code) + kept)
    try:
        await asyncio.gather(_copy(reader, upstream), _copy(upstream_reader, writer))
    finally:
        await _closed(upstream)


def _without(body: bytes, dropped: Container[str]) -> bytes:
    texts = body[:-1].split(b"\0")[:-1]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    kept = (name + b"\0" + value + b"\0" for name, value in pairs if name.decode() not in dropped)
    return b"".join(kept) + b"\0"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
