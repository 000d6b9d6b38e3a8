"""How a sandbox Mixin is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from poolmaker.mixin.codec.amounts import UNIT
from poolmaker.mixin.codec.ids import token_asset_id
from poolmaker.sandbox.mixin.catalog import BITCOIN, ETHEREUM, POLYGON

USERS: Final = 8
INITIAL: Final[Mapping[str, int]] = MappingProxyType({
    token_asset_id(POLYGON.chain_id, "0xc2132d05d31c914a87c6611c10748aeb04b58e8f"): 100_000 * UNIT,
    token_asset_id(ETHEREUM.chain_id, "0xdac17f958d2ee523a2206206994597c13d831ec7"): 100_000 * UNIT,
    token_asset_id(POLYGON.chain_id, "0xc748b2a084f8efc47e086ccddd9b7e67aeb571bf"): 100_000 * UNIT,
    BITCOIN.chain_id: 5 * UNIT,
    ETHEREUM.chain_id: 50 * UNIT,
    POLYGON.chain_id: 1_000 * UNIT,
})  # fmt: skip
"""What each user's wallet holds at the start: USDT on two chains, HMT, BTC, ETH, POL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixinOptions:
    """What a server is started with. Ports of 0 are chosen by the system; units are 1e-8.

    A transaction is final ``finality_ms`` after it was sent; 0 is at once.
    """

    port: int = 0
    admin_port: int = 0
    seed: int = 1
    users: int = USERS
    initial: Mapping[str, int] = field(default_factory=lambda: INITIAL)
    finality_ms: int = 0
