"""Chains and assets under their real ids, and what it costs to withdraw them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from poolmaker.mixin.codec.amounts import to_units
from poolmaker.mixin.codec.ids import kernel_asset_id, token_asset_id

_EVM: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_BASE58: Final = re.compile(r"[1-9A-HJ-NP-Za-km-z]{26,35}|bc1[0-9a-z]{39,59}")
_TRON: Final = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}")


@dataclass(frozen=True, slots=True)
class CatalogChain:
    """A chain: its own asset has the chain's id."""

    chain_id: str
    name: str
    confirmations: int
    address: re.Pattern[str]

    @property
    def is_evm(self) -> bool:
        """Whether addresses and token keys are hexadecimal."""
        return self.address is _EVM


@dataclass(slots=True, eq=False, kw_only=True)
class Asset:
    """An asset; ``fees`` holds per fee asset what a withdrawal costs, in units of 1e-8."""

    asset_id: str
    chain: CatalogChain
    symbol: str
    name: str
    asset_key: str
    price_usd: str
    precision: int = 8
    fees: dict[str, int] = field(default_factory=dict)
    suspended: int = 0
    """The code that withdrawals of it are refused with at present; 0 while they are taken."""

    @property
    def kernel_id(self) -> str:
        """What the network calls it."""
        return kernel_asset_id(self.asset_id).hex()


ETHEREUM: Final = CatalogChain("43d61dcd-e413-450d-80b8-101d5e903357", "Ethereum", 32, _EVM)
POLYGON: Final = CatalogChain("b7938396-3f94-4e0a-9179-d3440718156f", "Polygon", 128, _EVM)
BITCOIN: Final = CatalogChain("c6d0c728-2624-429b-8e0d-d9d19b6592fa", "Bitcoin", 2, _BASE58)
BSC: Final = CatalogChain("1949e683-6a08-49e2-b087-d6b72398588f", "BNB Smart Chain", 15, _EVM)
TRON: Final = CatalogChain("25dabac5-056a-48ff-b9f9-f67395dc407c", "TRON", 20, _TRON)
CHAINS: Final[Mapping[str, CatalogChain]] = {
    chain.chain_id: chain for chain in (ETHEREUM, POLYGON, BITCOIN, BSC, TRON)
}

_ZERO_ADDRESS: Final = "0x0000000000000000000000000000000000000000"


def _native(chain: CatalogChain, symbol: str, name: str, price: str, fee: str) -> Asset:
    return Asset(
        asset_id=chain.chain_id, chain=chain, symbol=symbol, name=name, asset_key=_ZERO_ADDRESS,
        price_usd=price, fees={chain.chain_id: to_units(fee)},
    )  # fmt: skip


def _token(native: Asset, symbol: str, name: str, key: str, price: str, fee: str) -> Asset:
    chain = native.chain
    asset_id = token_asset_id(chain.chain_id, key)
    return Asset(
        asset_id=asset_id, chain=chain, symbol=symbol, name=name, asset_key=key, price_usd=price,
        fees={asset_id: to_units(fee), **native.fees},
    )  # fmt: skip


def listed() -> dict[str, Asset]:
    """A fresh list of the assets that a server knows from its start."""
    ether = _native(ETHEREUM, "ETH", "Ether", "3000", "0.001")
    pol = _native(POLYGON, "POL", "Polygon", "0.5", "0.02")
    bnb = _native(BSC, "BNB", "BNB", "600", "0.0005")
    trx = _native(TRON, "TRX", "TRON", "0.3", "5")
    usdt = ("USDT", "Tether USD")
    hmt = ("HMT", "HUMAN")
    found = (
        ether, pol, bnb, trx,
        _native(BITCOIN, "BTC", "Bitcoin", "60000", "0.0001"),
        _token(ether, *usdt, "0xdac17f958d2ee523a2206206994597c13d831ec7", "1", "3.5"),
        _token(pol, *usdt, "0xc2132d05d31c914a87c6611c10748aeb04b58e8f", "1", "0.1"),
        _token(trx, *usdt, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "1", "1"),
        _token(ether, *hmt, "0xd1ba9bac957322d6e8c07a160a3a8da11a0d2867", "0.02", "100"),
        _token(pol, *hmt, "0xc748b2a084f8efc47e086ccddd9b7e67aeb571bf", "0.02", "2"),
        _token(ether, "XIN", "Mixin", "0xa974c709cfb4566686553a20790685a47aceaa33", "100", "0.02"),
    )  # fmt: skip
    return {asset.asset_id: asset for asset in found}


def new_token(native: Asset, symbol: str, asset_key: str, fee_units: int) -> Asset:
    """A token that nobody has heard of yet; anybody's contract can be deposited."""
    key = asset_key.lower() if native.chain.is_evm else asset_key
    asset_id = token_asset_id(native.chain.chain_id, key)
    return Asset(
        asset_id=asset_id, chain=native.chain, symbol=symbol, name=symbol, asset_key=key,
        price_usd="0", fees={asset_id: fee_units, **native.fees} if fee_units else {**native.fees},
    )  # fmt: skip
