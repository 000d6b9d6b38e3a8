"""What is on the chain and who acts there, by number in the mnemonic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEPLOYER: Final = 0
LAUNCHER: Final = 1
EXCHANGE_ORACLE: Final = 2
RECORDING_ORACLE: Final = 3
REPUTATION_ORACLE: Final = 4
MIXIN_VAULT: Final = 18
VENUE_VAULT: Final = 19
VAULTS: Final = (MIXIN_VAULT, VENUE_VAULT)
"""Out of these the other worlds pay what is withdrawn to this chain."""


@dataclass(frozen=True, slots=True)
class Token:
    """A test token; ``decimals`` as on Polygon."""

    symbol: str
    title: str
    decimals: int
    address: str


NATIVE: Final = Token("ETH", "Ether", 18, "")
"""The chain's own coin, under the name that anvil gives it."""

HMT: Final = Token("HMT", "HUMAN Token", 18, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
USDT: Final = Token("USDT", "Tether USD", 6, "0x5FC8d32690cc91D4c39d9d3abcBD16989F875707")
TOKENS: Final = (HMT, USDT)
STAKING: Final = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
KVSTORE: Final = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"
FACTORY: Final = "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9"


def addresses() -> dict[str, str]:
    """What the ready line names."""
    return {
        "hmt": HMT.address, "usdt": USDT.address, "staking": STAKING, "kvstore": KVSTORE,
        "escrow_factory": FACTORY,
    }  # fmt: skip


def token_called(name: str) -> Token | None:
    """The token of a symbol or an address."""
    wanted = name.lower()
    return next(
        (one for one in TOKENS if wanted in {one.symbol.lower(), one.address.lower()}), None
    )
