"""HTTP connections with limits: time for headers and bodies, a number per address and in all.

A connection that says nothing useful costs a socket, so it is cut after a deadline, and it is the
first to go when its address, or the server, has too many. One that is being answered is never cut
for another. So whoever opens a thousand sockets without a request closes only their own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S: Final = 10
BODY_S: Final = 20
WRITE_S: Final = 20
KEEP_ALIVE_S: Final = 15
PER_ADDRESS: Final = 256
IN_ALL: Final = 768
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class Connections:
    """The open connections of one server, the oldest first."""

    def __init__(self, per_address: int = PER_ADDRESS, in_all: int = IN_ALL) -> None:
        self._per_address = per_address
        self._in_all = in_all
        self._by_address: defaultdict[str, dict[LimitedProtocol, None]] = defaultdict(dict)
        self._count = 0

    def admit(self, connection: LimitedProtocol) -> bool:
        """Count a new connection; False when there is no room that an idle one could make."""
        address = connection.address
        mine = self._by_address[address]
        if len(mine) >= self._per_address and not _cut_idle(mine):
            return False
        if self._count >= self._in_all and not self._make_room():
            return False
        self._by_address[address][connection] = None
        self._count += 1
        return True

    def leave(self, connection: LimitedProtocol) -> None:
        """A connection has gone; one that was not admitted changes nothing."""
        mine = self._by_address.get(connection.address, {})
        if connection in mine:
            del mine[connection]
            self._count -= 1
        if not mine:
            self._by_address.pop(connection.address, None)

    def _make_room(self) -> bool:
        """Cut an idle connection of the address that has most."""
        greediest = sorted(self._by_address.values(), key=len, reverse=True)
        return any(_cut_idle(mine) for mine in greediest)


def _cut_idle(connections: Iterable[LimitedProtocol]) -> bool:
    oldest = next((one for one in connections if not one.is_busy), None)
    if oldest is not None:
        oldest.cut()
    return oldest is not None


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol of one connection, with deadlines for what the client has to do."""

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._phase = ""
        self._stuck: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """Where the client is."""
        return self.client[0] if self.client is not None else ""

    @property
    def is_busy(self) -> bool:
        """Whether a whole request has come that is not answered yet."""
        return self._phase == "busy"

    def cut(self) -> None:
        """End the connection at once."""
        self._connections.leave(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the client, or say that there is no room."""
        super().connection_made(transport)
        if self._connections.admit(self):
            self._judge()
            return
        transport.write(_BUSY)
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._connections.leave(self)
        self._end(self._deadline)
        self._end(self._stuck)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a deadline runs from the begin of a phase, not from the last byte."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._judge()

    def on_response_complete(self) -> None:
        """The client may ask again, or leave."""
        super().on_response_complete()
        self._judge()

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        self.flow.pause_writing()
        self._stuck = self.loop.call_later(WRITE_S, self.cut)

    def resume_writing(self) -> None:
        """It reads again."""
        self._end(self._stuck)
        self.flow.resume_writing()

    def _judge(self) -> None:
        phase = self._now()
        if phase == self._phase:
            return
        self._phase = phase
        self._end(self._deadline)
        allowed = {"header": HEADER_S, "body": BODY_S}.get(phase)
        self._deadline = self.loop.call_later(allowed, self._late) if allowed else None

    def _now(self) -> str:
        cycle: Any = self.cycle
        if cycle is None:
            return "header"
        if cycle.response_complete:
            return "idle" if not self.conn.trailing_data[0] else "header"
        return "body" if cycle.more_body else "busy"

    def _late(self) -> None:
        self._deadline = None
        self.cut()

    @staticmethod
    def _end(handle: asyncio.TimerHandle | None) -> None:
        if handle is not None:
            handle.cancel()
