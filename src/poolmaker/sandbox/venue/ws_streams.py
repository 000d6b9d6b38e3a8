"""The market stream wire: raw and combined sockets, subscriptions by path and by message."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from poolmaker.kernel.clock import SECOND_US
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.peers import Peer, converse
from poolmaker.sandbox.venue.streams import STREAMS_MAX, is_stream

MESSAGES_PER_SECOND: Final = 5
_JOINTS: Final = ("ws", "stream")


class StreamRequest(msgspec.Struct):
    """A control message of a market stream socket."""

    method: str
    id: int | str | None = None
    params: list[msgspec.Raw] = []


def streams_of_path(path: str, query_streams: str) -> tuple[bool, list[str]]:
    """Whether frames are wrapped, and the streams that an address names."""
    segments = [segment for segment in path.split("/") if segment]
    joints = [segment for segment in segments if segment in _JOINTS]
    named = [segment for segment in segments if "@" in segment or segment.startswith("!")]
    named += [name for name in query_streams.split("/") if name]
    return bool(joints) and joints[-1] == "stream", named


class StreamWire:
    """Serves ``/ws``, ``/ws/<stream>``, ``/stream`` and ``/stream/ws``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._decoder = msgspec.json.Decoder(StreamRequest)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until it ends."""
        exchange = self._exchange
        is_combined, names = streams_of_path(request.path, request.query.get("streams", ""))
        wrong = [name for name in names if not is_stream(name, exchange.engine.markets)]
        if wrong or len(names) > STREAMS_MAX:
            return web.Response(status=400, text="Invalid stream name.")
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        peer = Peer(socket, request, "market")
        peer.is_combined = is_combined
        exchange.peers.add(peer)
        exchange.hub.subscribe(peer, names)
        exchange.record("market", "connect", names, status=101)
        window = [0, 0]
        try:
            await converse(
                peer, socket, exchange.clock, lambda text: self._on_text(peer, window, text)
            )
        finally:
            exchange.peers.discard(peer)
            exchange.hub.leave(peer)
        return socket

    def _on_text(self, peer: Peer, window: list[int], text: str) -> bool:
        second = self._exchange.clock.monotonic_us() // SECOND_US
        if window[0] != second:
            window[:] = [second, 0]
        window[1] += 1
        if window[1] > MESSAGES_PER_SECOND:
            return False
        try:
            message = self._decoder.decode(text)
        except msgspec.DecodeError as problem:
            self._refuse(peer, None, f"Invalid JSON: {problem}")
            return True
        self._exchange.record("market", message.method, [], status=200)
        self._obey(peer, message)
        return True

    def _obey(self, peer: Peer, message: StreamRequest) -> None:
        hub = self._exchange.hub
        match message.method:
            case "SUBSCRIBE" | "UNSUBSCRIBE":
                names = self._names(message)
                if names is None or len(peer.streams) + len(names) > STREAMS_MAX:
                    self._refuse(peer, message.id, "Invalid request: unknown stream")
                    return
                act = hub.subscribe if message.method == "SUBSCRIBE" else hub.unsubscribe
                act(peer, names)
                peer.send_json({"result": None, "id": message.id})
            case "LIST_SUBSCRIPTIONS":
                peer.send_json({"result": sorted(peer.streams), "id": message.id})
            case "SET_PROPERTY":
                peer.is_combined = [bytes(raw) for raw in message.params][-1:] == [b"true"]
                peer.send_json({"result": None, "id": message.id})
            case "GET_PROPERTY":
                peer.send_json({"result": peer.is_combined, "id": message.id})
            case _:
                self._refuse(peer, message.id, f"Invalid request: unknown {message.method}")

    def _names(self, message: StreamRequest) -> list[str] | None:
        try:
            names = [msgspec.json.decode(raw, type=str) for raw in message.params]
        except msgspec.DecodeError:
            return None
        markets = self._exchange.engine.markets
        return names if names and all(is_stream(name, markets) for name in names) else None

    @staticmethod
    def _refuse(peer: Peer, request_id: int | str | None, message: str) -> None:
        peer.send_json({"error": {"code": 2, "msg": message}, "id": request_id})
