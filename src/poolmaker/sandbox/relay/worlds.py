"""Both sides, reached over their admin ports."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import aiohttp
import msgspec

from poolmaker.sandbox.relay.model import Arriving, Leaving, Place, RelaySide, TxId, WithdrawalId
from poolmaker.sandbox.relay.port import AdminPort
from poolmaker.sandbox.relay.routes import BY_ASSET, BY_COIN, ON_CHAIN
from poolmaker.sandbox.venue.units import to_text

_PROCESSING: Final = 4


class _Done(msgspec.Struct):
    repeated: bool


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


class _VenueAddress(msgspec.Struct):
    asset: str
    network: str
    address: str


class _VenueAddresses(msgspec.Struct):
    addresses: list[_VenueAddress]


class _MixinRow(msgspec.Struct):
    id: str
    asset_id: str
    amount: str
    destination: str
    tag: str


class _MixinRows(msgspec.Struct):
    withdrawals: list[_MixinRow]


class _MixinAddress(msgspec.Struct):
    chain_id: str
    address: str


class _MixinAddresses(msgspec.Struct):
    addresses: list[_MixinAddress]


class VenueWorld:
    """The venue, which must leave withdrawals to the outside world."""

    side: Final = RelaySide.VENUE

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._port = AdminPort(session, base, self.side)

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

    async def addresses(self) -> AbstractSet[Place]:
        """Every deposit address that was given out for what the chain holds."""
        found = await self._port.call("GET", "/addresses", _VenueAddresses)
        given = {(one.asset, one.network, one.address.lower()) for one in found.addresses}
        return {
            (route.asset_id, address)
            for coin, network, address in given
            if (route := BY_COIN.get((coin, network))) is not None and route.token is not None
        }

    async def receive(self, arriving: Arriving) -> bool:
        """Credit a deposit at an address that the venue gave out; False when it was known."""
        order = {
            "asset": arriving.route.coin, "network": arriving.route.network,
            "address": arriving.address, "amount": to_text(arriving.units),
            "tx_id": arriving.tx_id, "index": arriving.index,
        }  # fmt: skip
        return not (await self._port.call("POST", "/deposit", _Done, order)).repeated

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` as the transaction of the withdrawal."""
        await self._port.complete(leaving, tx_id)


class MixinWorld:
    """Mixin."""

    side: Final = RelaySide.MIXIN

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._port = AdminPort(session, base, self.side)

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

    async def addresses(self) -> AbstractSet[Place]:
        """Every deposit address that was given out for what the chain holds."""
        found = await self._port.call("GET", "/addresses", _MixinAddresses)
        return {
            (route.asset_id, one.address.lower())
            for one in found.addresses
            for route in ON_CHAIN
            if route.chain_id == one.chain_id
        }

    async def receive(self, arriving: Arriving) -> bool:
        """Credit a deposit at somebody's address on the asset's chain; False when it was known."""
        order = {
            "asset": arriving.route.asset_id, "destination": arriving.address,
            "tag": arriving.tag, "amount": to_text(arriving.units), "tx_id": arriving.tx_id,
            "index": arriving.index, "sender": arriving.sender,
        }  # fmt: skip
        return not (await self._port.call("POST", "/deposit", _Done, order)).repeated

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` as the transaction of the withdrawal."""
        await self._port.complete(leaving, tx_id)
