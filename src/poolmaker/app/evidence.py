"""What the places' own histories say of what came: venue accounts, and the chain's coin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from poolmaker.app.figures import AssetRegistry
from poolmaker.business.ledger.accounts import custody_evm, venue_account_of
from poolmaker.business.treasury.booking import ReportedDeposit
from poolmaker.evm.chain import Chain
from poolmaker.evm.model import GAS
from poolmaker.evm.rpc import Rpc
from poolmaker.infra.settings.outside import EvmSettings
from poolmaker.kernel.clock import MINUTE_US, Clock
from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.kernel.money import parse_units, power_of_ten
from poolmaker.market.connectors.binance.wallet import VenueDeposit, VenueWallet

LOOK_BACK_MS: Final = 80 * 24 * 60 * MINUTE_US // 1_000
"""How old a deposit may be that is still found: venues answer for at most 90 days at once. What we
missed while we were down for longer than this is never seen at its venue."""
COIN_DECIMALS: Final = 18


@dataclass(frozen=True, slots=True)
class CoinHistory:
    """Payments of the chain's own coin to our wallet; of those nothing is watched."""

    chain: Chain
    wallet: str
    asset: str
    scale: int

    @property
    def place(self) -> tuple[str, str]:
        """The custody account and asset of the coin."""
        return custody_evm(self.wallet, GAS), self.asset

    async def deposit(self, reference: str) -> ReportedDeposit | None:
        """What a transaction brought, None unless it is final and paid to our wallet."""
        units = self._units(await self.chain.coin_received(reference, self.wallet))
        if not units:
            return None
        known_as = reference.lower()
        others = (reference,) if reference != known_as else ()
        return ReportedDeposit(reference=known_as, units=units, other_names=others)

    async def held_units(self) -> int:
        """What the wallet has of the coin as of the newest final block."""
        return self._units(await self.chain.coin_held(self.wallet))

    def _units(self, wei: int) -> int:
        return wei * power_of_ten(self.scale) // power_of_ten(COIN_DECIMALS)


def coin_history(
    settings: EvmSettings | None, wallet: str, scales: AssetRegistry, session: aiohttp.ClientSession
) -> CoinHistory | None:
    """The history of the chain's coin, None without a chain. Nothing is asked yet."""
    if settings is None:
        return None
    chain = Chain(Rpc(session, settings.rpc_url), settings.chain_id, settings.finality_blocks)
    return CoinHistory(chain, wallet, settings.gas_asset, scales.of(settings.gas_asset))


class PlaceHistories:
    """``treasury.ports.ArrivalEvidence`` over deposit histories of venues and the chain's coin."""

    def __init__(
        self,
        wallets: Mapping[VenueAccountId, VenueWallet],
        coin: CoinHistory | None,
        scales: AssetRegistry,
        clock: Clock,
    ) -> None:
        self._wallets = wallets
        self._coin = coin
        self._scales = scales
        self._clock = clock

    def knows(self, location: str, asset: str) -> bool:
        """See ``ArrivalEvidence.knows``: Mixin and the chain's tokens tell by themselves."""
        if self._coin is not None and (location, asset) == self._coin.place:
            return True
        return venue_account_of(location) in self._wallets

    async def deposit(self, location: str, asset: str, reference: str) -> ReportedDeposit | None:
        if self._coin is not None and (location, asset) == self._coin.place:
            return await self._coin.deposit(reference)
        found = await self._credited(location, asset)
        named = next(
            (row for row in found if reference in (row.transaction_id, row.deposit_id)), None
        )
        if named is None:
            return None
        known_as = named.transaction_id or named.deposit_id
        rows = [row for row in found if (row.transaction_id or row.deposit_id) == known_as]
        return ReportedDeposit(
            reference=known_as,
            units=sum(self._units(row) for row in rows),
            other_names=tuple(row.deposit_id for row in rows if row.deposit_id != known_as),
        )

    async def held_units(self, location: str, asset: str) -> int:
        """See ``ArrivalEvidence.held_units``; free and locked together."""
        if self._coin is not None and (location, asset) == self._coin.place:
            return await self._coin.held_units()
        found = await self._wallet(location).balances()
        free, locked = found.get(asset, ("0", "0"))
        scale = self._scales.of(asset)
        return parse_units(free, scale) + parse_units(locked, scale)

    async def arrived_units(self, target: str, asset: str, transaction_id: str) -> int | None:
        rows = [
            self._units(row)
            for row in await self._credited(target, asset)
            if row.transaction_id == transaction_id
        ]
        return sum(rows) if rows else None

    async def _credited(self, location: str, asset: str) -> Sequence[VenueDeposit]:
        since_ms = max(0, self._clock.now_us() // 1_000 - LOOK_BACK_MS)
        rows = await self._wallet(location).deposits(asset, since_ms)
        return [row for row in rows if row.is_credited]

    def _wallet(self, location: str) -> VenueWallet:
        account = venue_account_of(location)
        wallet = self._wallets.get(account) if account is not None else None
        if wallet is None:
            raise Unavailable(f"{location} is not configured here")
        return wallet

    def _units(self, row: VenueDeposit) -> int:
        return parse_units(row.amount_text, self._scales.of(row.asset))
