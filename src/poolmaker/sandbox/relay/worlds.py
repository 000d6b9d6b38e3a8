"""Both sides, reached over their admin ports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, TypeVar

import aiohttp
import msgspec

from poolmaker.kernel.errors import CallerFault, Unavailable
from poolmaker.sandbox.relay.model import Leaving, Side, TxId, WithdrawalId
from poolmaker.sandbox.relay.routes import BY_ASSET, BY_COIN, Route
from poolmaker.sandbox.venue.units import to_text, to_units

TIMEOUT_S: Final = 10
_OK: Final = 200
_REFUSED: Final = 400
_PROCESSING: Final = 4

T = TypeVar("T", bound=msgspec.Struct)


class _Problem(msgspec.Struct):
    error: object = ""


class _Done(msgspec.Struct):
    """An answer of which only the status counts."""


class _Shown(msgspec.Struct):
    tx_id: str


class _VenueRow(msgspec.Struct):
    id: str
    asset: str
    network: str
    address: str
    tag: str
    sent: str
    status: int


class _VenueRows(msgspec.Struct):
    withdrawals: list[_VenueRow]


class _MixinRow(msgspec.Struct):
    id: str
    asset_id: str
    amount: str
    destination: str
    tag: str


class _MixinRows(msgspec.Struct):
    withdrawals: list[_MixinRow]


class _AdminPort:
    """Calls to one admin port."""

    def __init__(self, session: aiohttp.ClientSession, base: str, side: Side) -> None:
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
            raise CallerFault(f"{self._side} refuses: {why}")
        raise Unavailable(f"{self._side} answers {status} at {url}")

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` on a withdrawal, or learn that it has another one."""
        path = f"/withdrawals/{leaving.withdrawal_id}/complete"
        shown = await self.call("POST", path, _Shown, {"tx_id": tx_id})
        if shown.tx_id != tx_id:
            raise CallerFault(f"{self._side} has completed it as {shown.tx_id}")

    def units(self, text: str) -> int:
        """Units (1e-8) of an amount; exact, or Unavailable."""
        try:
            return to_units(text)
        except ValueError:
            raise Unavailable(f"{self._side} says an amount of {text!r}") from None


class VenueWorld:
    """The venue, which must leave withdrawals to the outside world."""

    side: Final = Side.VENUE

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._port = _AdminPort(session, base, self.side)

    async def pending(self) -> Sequence[Leaving]:
        """The withdrawals that have not been completed."""
        found = await self._port.call("GET", "/withdrawals", _VenueRows)
        return [self._leaving(one) for one in found.withdrawals if one.status == _PROCESSING]

    def _leaving(self, row: _VenueRow) -> Leaving:
        return Leaving(
            side=self.side, withdrawal_id=WithdrawalId(row.id),
            asset=f"{row.asset} on {row.network}", route=BY_COIN.get((row.asset, row.network)),
            units=self._port.units(row.sent), address=row.address, tag=row.tag,
        )  # fmt: skip

    async def receive(self, leaving: Leaving, route: Route, tx_id: TxId) -> None:
        """Credit a deposit at an address that the venue gave out."""
        order = {
            "asset": route.coin, "network": route.network, "address": leaving.address,
            "amount": to_text(leaving.units), "tx_id": tx_id,
        }  # fmt: skip
        await self._port.call("POST", "/deposit", _Done, order)

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` as the transaction of the withdrawal."""
        await self._port.complete(leaving, tx_id)


class MixinWorld:
    """Mixin."""

    side: Final = Side.MIXIN

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._port = _AdminPort(session, base, self.side)

    async def pending(self) -> Sequence[Leaving]:
        """The withdrawals that have not been completed."""
        found = await self._port.call("GET", "/withdrawals?state=pending", _MixinRows)
        return [self._leaving(one) for one in found.withdrawals]

    def _leaving(self, row: _MixinRow) -> Leaving:
        return Leaving(
            side=self.side, withdrawal_id=WithdrawalId(row.id), asset=row.asset_id,
            route=BY_ASSET.get(row.asset_id), units=self._port.units(row.amount),
            address=row.destination, tag=row.tag,
        )  # fmt: skip

    async def receive(self, leaving: Leaving, route: Route, tx_id: TxId) -> None:
        """Credit a deposit at somebody's address on the asset's chain."""
        order = {
            "asset": route.asset_id, "destination": leaving.address, "tag": leaving.tag,
            "amount": to_text(leaving.units), "tx_id": tx_id,
        }  # fmt: skip
        await self._port.call("POST", "/deposit", _Done, order)

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` as the transaction of the withdrawal."""
        await self._port.complete(leaving, tx_id)
