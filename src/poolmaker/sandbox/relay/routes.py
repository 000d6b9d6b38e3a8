"""Which asset of Mixin is which coin on which network of the venue, and what it is on the chain.

The sandbox chain stands for Polygon: its test tokens are Polygon's, its own coin is POL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from poolmaker.mixin.codec.ids import token_asset_id
from poolmaker.sandbox.chain.model import HMT, NATIVE, USDT, Token
from poolmaker.sandbox.mixin.catalog import BITCOIN, BSC, ETHEREUM, POLYGON, CatalogChain


@dataclass(frozen=True, slots=True)
class RelayRoute:
    """One asset under its names; ``token`` is what the sandbox chain holds of it, if anything."""

    coin: str
    network: str
    chain_id: str
    asset_id: str
    token: Token | None = None


def _native(
    coin: str, network: str, chain: CatalogChain, on_chain: Token | None = None
) -> RelayRoute:
    return RelayRoute(coin, network, chain.chain_id, chain.chain_id, on_chain)


def _token(
    coin: str, network: str, chain: CatalogChain, asset_key: str, on_chain: Token | None = None
) -> RelayRoute:
    asset_id = token_asset_id(chain.chain_id, asset_key)
    return RelayRoute(coin, network, chain.chain_id, asset_id, on_chain)


POL: Final = _native("POL", "MATIC", POLYGON, NATIVE)
"""The venue does not list it: it goes between Mixin and the chain alone."""
ROUTES: Final = (
    POL,
    _native("BTC", "BTC", BITCOIN),
    _native("ETH", "ETH", ETHEREUM),
    _native("BNB", "BSC", BSC),
    _token("USDT", "ETH", ETHEREUM, "0xdac17f958d2ee523a2206206994597c13d831ec7"),
    _token("USDT", "MATIC", POLYGON, "0xc2132d05d31c914a87c6611c10748aeb04b58e8f", USDT),
    _token("HMT", "ETH", ETHEREUM, "0xd1ba9bac957322d6e8c07a160a3a8da11a0d2867"),
    _token("HMT", "MATIC", POLYGON, "0xc748b2a084f8efc47e086ccddd9b7e67aeb571bf", HMT),
)
BY_ASSET: Final[Mapping[str, RelayRoute]] = MappingProxyType({one.asset_id: one for one in ROUTES})
BY_COIN: Final[Mapping[tuple[str, str], RelayRoute]] = MappingProxyType(
    {(one.coin, one.network): one for one in ROUTES}
)
ON_CHAIN: Final = tuple(one for one in ROUTES if one.token is not None)
