"""Calls to one admin port."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import aiohttp
import msgspec

from poolmaker.kernel.errors import PreconditionError, Unavailable
from poolmaker.sandbox.relay.model import Leaving, RelaySide, TxId
from poolmaker.sandbox.venue.units import to_units

TIMEOUT_S: Final = 10
_OK: Final = 200
_REFUSED: Final = 400

T = TypeVar("T", bound=msgspec.Struct)


class _Problem(msgspec.Struct):
    error: object = ""


class _Shown(msgspec.Struct):
    tx_id: str


class AdminPort:
    """The admin port of a side."""

    def __init__(self, session: aiohttp.ClientSession, base: str, side: RelaySide) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._side = side

    async def call(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        """The answer; CallerFault with the side's own words when it refuses."""
        url = self._base + path
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.request(method, url, json=body) as reply,
            ):
                status, data = reply.status, await reply.read()
            if status == _OK:
                return msgspec.json.decode(data, type=kind)
            why = msgspec.json.decode(data, type=_Problem).error if status == _REFUSED else status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            why = str(problem) or type(problem).__name__
            raise Unavailable(f"{self._side} does not answer at {url}: {why}") from None
        if status == _REFUSED:
            raise PreconditionError(f"{self._side} refuses: {why}")
        raise Unavailable(f"{self._side} answers {status} at {url}")

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` on a withdrawal, or learn that it has another one."""
        path = f"/withdrawals/{leaving.withdrawal_id}/complete"
        shown = await self.call("POST", path, _Shown, {"tx_id": tx_id})
        if shown.tx_id != tx_id:
            raise PreconditionError(f"{self._side} has completed it as {shown.tx_id}")

    def units(self, text: str) -> int:
        """Units (1e-8) of an amount; exact, or Unavailable."""
        try:
            return to_units(text)
        except ValueError:
            raise Unavailable(f"{self._side} says an amount of {text!r}") from None
