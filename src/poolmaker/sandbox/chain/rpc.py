"""JSON-RPC over HTTP to a chain."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final

import aiohttp
import msgspec

from poolmaker.kernel.errors import PoolmakerError, Unavailable

TIMEOUT_S: Final = 20
WORLD_HEADER: Final = "X-Sandbox-World"
"""Carried by the other worlds, so that a fault planned for the platform does not hit them."""


class RpcRefused(PoolmakerError):
    """The node answered with an error; ``number`` is JSON-RPC's code."""

    code = "rpc_refused"

    def __init__(self, number: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.data = data


class Rpc:
    """A client of one node. Every call has a timeout; nothing is repeated.

    ``world`` names the sandbox world that asks.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, world: str | None = None) -> None:
        self.url = url
        self._headers = {"Content-Type": "application/json"}
        if world is not None:
            self._headers[WORLD_HEADER] = world
        self._session = session
        self._ids = itertools.count(1)

    async def call(self, method: str, *params: object) -> Any:
        """The result of one call.

        Raises RpcRefused with the node's error, Unavailable when it does not answer.
        """
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.post(
                    self.url, data=msgspec.json.encode(body), headers=self._headers
                ) as reply,
            ):
                said = msgspec.json.decode(await reply.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, OSError) as problem:
            raise Unavailable(f"the chain at {self.url} does not answer: {problem}") from None
        if not isinstance(said, dict):
            raise Unavailable(f"the chain at {self.url} does not speak JSON-RPC")
        error = said.get("error")
        if isinstance(error, dict):
            raise RpcRefused(
                int(error.get("code", 0)), str(error.get("message", "")), error.get("data")
            )
        return said.get("result")

    async def number(self, method: str, *params: object) -> int:
        """The result of a call that answers with a quantity."""
        return int(await self.call(method, *params), 16)
