"""The places where we hold money, each telling what it has: venue accounts, Mixin, the chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from poolmaker.app.figures import AssetRegistry
from poolmaker.business.ledger.accounts import custody_evm, custody_mixin, custody_venue
from poolmaker.evm.model import GAS
from poolmaker.evm.service import Evm
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import Asset, parse_units
from poolmaker.market.connectors.binance.wallet import VenueWallet
from poolmaker.mixin.model import MixinForm
from poolmaker.mixin.rules import is_asset_id
from poolmaker.mixin.service import Mixin
from poolmaker.recon.ports import Holdings

Settled = Callable[[VenueAccountId], Awaitable[bool]]
"""Whether an account's engine has compared all with its venue, and what it told is booked."""


class VenuePlace:
    """An account at a venue."""

    def __init__(
        self, account: VenueAccountId, wallet: VenueWallet, scales: AssetRegistry, settled: Settled
    ) -> None:
        self.name = custody_venue(account)
        self._account = account
        self._wallet = wallet
        self._scales = scales
        self._settled = settled

    def covers(self, location: str) -> bool:
        return location == self.name

    async def holdings(self) -> Holdings:
        """Free and locked together."""
        found = await self._wallet.balances()
        return {
            (self.name, asset): self._sum(asset, free, locked)
            for asset, (free, locked) in found.items()
            if asset in self._scales.assets
        }

    async def is_caught_up(self) -> bool:
        return await self._settled(self._account)

    def _sum(self, asset: str, free: str, locked: str) -> int:
        scale = self._scales.of(asset)
        return parse_units(free, scale) + parse_units(locked, scale)


class MixinPlace:
    """The bot at Mixin, with all that it holds: also of assets that nobody has configured.

    What nobody has judged yet is not counted: it is not booked either.
    """

    name = custody_mixin("").rstrip(":")

    def __init__(self, mixin: Mixin, forms: Sequence[MixinForm]) -> None:
        self._mixin = mixin
        self._assets = {form.name: form.asset for form in forms}
        self._locations = frozenset(custody_mixin(name) for name in self._assets)

    def covers(self, location: str) -> bool:
        """See ``CustodyPlace.covers``; an asset without a form is named by its id at Mixin."""
        return location in self._locations or is_asset_id(location.removeprefix(f"{self.name}:"))

    async def holdings(self) -> Holdings:
        found = await self._mixin.desk.balances()
        listed = {
            (custody_mixin(name), self._assets[name]): balance.units - balance.unbooked_units
            for name, balance in found.items()
        }
        unlisted = {
            (custody_mixin(asset_id), asset_id): units
            for asset_id, units in (await self._mixin.unlisted.sums()).items()
        }
        return {**unlisted, **listed}

    async def is_caught_up(self) -> bool:
        """See ``CustodyPlace.is_caught_up``: what is not booked yet is not counted either."""
        return True


class EvmPlace:
    """Our wallet on the chain, as of its newest final block."""

    def __init__(self, evm: Evm, gas_asset: Asset) -> None:
        self.name = custody_evm(evm.wallet, "").rstrip(":")
        self._evm = evm
        self._gas = custody_evm(evm.wallet, GAS), gas_asset
        self._tokens = {
            token.form.name: (custody_evm(evm.wallet, token.form.name), token.form.asset.code)
            for token in evm.tokens
        }

    def covers(self, location: str) -> bool:
        return location in {self._gas[0], *(place for place, _ in self._tokens.values())}

    async def holdings(self) -> Holdings:
        found = await self._evm.balances()
        location, asset = self._gas
        units = {pair: found.units[form] for form, pair in self._tokens.items()}
        return {**units, (location, asset.code): found.gas_wei}
