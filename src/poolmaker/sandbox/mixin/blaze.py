"""Blaze: a WebSocket of gzip frames on which waiting messages are sent until acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import WSMsgType, web

from poolmaker.mixin.codec.encoding import Malformed
from poolmaker.mixin.codec.messages import (
    FRAME_BYTES_MAX,
    HANDSHAKE_PATH,
    SUBPROTOCOL,
    Action,
    decode_frame,
    encode_frame,
)
from poolmaker.mixin.codec.tokens import WireRequest
from poolmaker.sandbox.mixin.auth import Doorkeeper, MixinCaller
from poolmaker.sandbox.mixin.model import MixinPerson, uuid_from
from poolmaker.sandbox.mixin.post import Letter, Post
from poolmaker.sandbox.mixin.refusals import MixinError
from poolmaker.sandbox.mixin.world import MixinNetwork
from poolmaker.sandbox.venue.faults import EventFaults

FRAMES_MAX: Final = 12_000
PING_EVERY_S: Final = 10
SEND_TIMEOUT_S: Final = 30


class Reader:
    """One connection. ``send`` never waits; a reader who lags is cut."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, who: MixinPerson
    ) -> None:
        self.person = who
        self.is_listening = False
        self._socket = socket
        self._transport = request.transport
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(maxsize=FRAMES_MAX)

    def send(self, body: Mapping[str, Any]) -> None:
        """Queue a frame; cut the connection when its outbox is full."""
        try:
            self._outbox.put_nowait(encode_frame(body))
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        """Drop the TCP connection without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    async def pump(self) -> None:
        """Write the outbox until the connection ends."""
        try:
            while True:
                frame = await self._outbox.get()
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._socket.send_bytes(frame)
        except (ConnectionError, TimeoutError, RuntimeError):
            self.cut()


class BlazeWire:
    """Serves Blaze, for everybody's own session."""

    def __init__(self, world: MixinNetwork, post: Post, doorkeeper: Doorkeeper) -> None:
        self._world = world
        self._post = post
        self._doorkeeper = doorkeeper
        self._rng = world.rng.fork("frames")
        self._faults = EventFaults(world.faults, self._later)
        self.readers: set[Reader] = set()
        post.on_letter.append(self._tell)

    @staticmethod
    def _later(delay_ms: int, act: Any) -> None:
        asyncio.get_running_loop().call_later(delay_ms / 1_000, act)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        try:
            caller = self._caller(request)
        except MixinError as refusal:
            return web.json_response(refusal.body(), status=401)
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), heartbeat=PING_EVERY_S, max_msg_size=FRAME_BYTES_MAX
        )
        await socket.prepare(request)
        reader = Reader(socket, request, caller.person)
        self.readers.add(reader)
        pump = asyncio.create_task(reader.pump())
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    self._hear(reader, message.data)
        finally:
            self.readers.discard(reader)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        return socket

    def _caller(self, request: web.Request) -> MixinCaller:
        wire = WireRequest("GET", HANDSHAKE_PATH)
        header = request.headers.get("Authorization", "")
        found = self._doorkeeper.identify(header, wire, request.headers.get("X-Request-Id", ""))
        if found.permission is not None:
            raise MixinError(403, "Access denied.")
        return found

    def _hear(self, reader: Reader, data: bytes) -> None:
        try:
            frame = decode_frame(data)
        except Malformed:
            reader.cut()
            return
        try:
            said = self._act(reader, frame)
        except MixinError as refusal:
            said = {"action": str(Action.ERROR), **refusal.body()}
        reader.send({"id": frame.get("id", ""), "action": frame.get("action", ""), **said})
        if frame.get("action") == Action.LIST_PENDING:
            reader.is_listening = True
            for letter in self._post.pending(reader.person):
                self._deliver(reader, letter)

    def _act(self, reader: Reader, frame: Mapping[str, Any]) -> dict[str, Any]:
        params = frame.get("params")
        params = params if isinstance(params, dict) else {}
        match frame.get("action"):
            case Action.LIST_PENDING:
                return {}
            case Action.ACKNOWLEDGE:
                self._post.acknowledge(reader.person, str(params.get("message_id", "")))
                return {}
            case Action.CREATE:
                sent = self._post.send(reader.person, params)
                return {"data": {"message_id": sent.message_id, "status": "SENT"}}
            case _:
                raise MixinError(10002, "The request data has invalid field.")

    def _tell(self, letter: Letter) -> None:
        for reader in self.readers:
            if reader.is_listening and reader.person.user_id == letter.recipient_id:
                self._deliver(reader, letter)

    def _deliver(self, reader: Reader, letter: Letter) -> None:
        frame = {
            "id": uuid_from(self._rng), "action": str(Action.CREATE), "data": letter.shown(),
        }  # fmt: skip
        names = ("event:CREATE_MESSAGE", f"event:{letter.category}")
        self._faults.deliver(names, reader.person.number, lambda: reader.send(frame))
