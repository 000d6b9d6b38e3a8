"""How a sandbox chain is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHAIN_ID: Final = 1338
MNEMONIC: Final = "test test test test test test test test test test test junk"
ACCOUNTS: Final = 20
MINE_MAX: Final = 64
FINALITY_BLOCKS: Final = 64
STATES_SPARE: Final = 30


def states_kept(finality_blocks: int) -> int:
    """How many blocks back a balance or a call may be asked: what is final, and some more.

    The node needs some 300 bytes for each block of the chain in each state that it keeps, so both
    must stay few for a chain that runs for hours. Blocks, receipts and logs are always kept.
    """
    return 2 * finality_blocks + STATES_SPARE


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """What a chain is started with.

    Ports of 0 are chosen by the system. A ``block_ms`` of 0 mines a block for every transaction.
    A block is final once ``finality_blocks``, an even number, stand on it.
    Nothing on the chain is left to chance, so every ``seed`` gives the same one.
    Transactions that tip less than ``tip_min_gwei`` are refused, as Polygon's pools do below 25.
    ``packages`` is the folder of the node packages; None chooses one in the environment.
    """

    port: int = 0
    admin_port: int = 0
    seed: int = 1
    block_ms: int = 1_000
    finality_blocks: int = FINALITY_BLOCKS
    packages: Path | None = None
    tip_min_gwei: int = 0
