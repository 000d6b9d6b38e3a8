"""Which asset of Mixin is which coin on which network of the venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from poolmaker.mixin.codec.ids import token_asset_id
from poolmaker.sandbox.mixin.catalog import BITCOIN, BSC, ETHEREUM, POLYGON, Chain


@dataclass(frozen=True, slots=True)
class Route:
    """One asset under both its names."""

    coin: str
    network: str
    asset_id: str


def _native(coin: str, network: str, chain: Chain) -> Route:
    return Route(coin, network, chain.chain_id)


def _token(coin: str, network: str, chain: Chain, asset_key: str) -> Route:
    return Route(coin, network, token_asset_id(chain.chain_id, asset_key))


ROUTES: Final = (
    _native("BTC", "BTC", BITCOIN),
    _native("ETH", "ETH", ETHEREUM),
    _native("BNB", "BSC", BSC),
    _token("USDT", "ETH", ETHEREUM, "0xdac17f958d2ee523a2206206994597c13d831ec7"),
    _token("USDT", "MATIC", POLYGON, "0xc2132d05d31c914a87c6611c10748aeb04b58e8f"),
    _token("HMT", "ETH", ETHEREUM, "0xd1ba9bac957322d6e8c07a160a3a8da11a0d2867"),
    _token("HMT", "MATIC", POLYGON, "0xc748b2a084f8efc47e086ccddd9b7e67aeb571bf"),
)
BY_ASSET: Final[Mapping[str, Route]] = MappingProxyType({one.asset_id: one for one in ROUTES})
BY_COIN: Final[Mapping[tuple[str, str], Route]] = MappingProxyType(
    {(one.coin, one.network): one for one in ROUTES}
)
