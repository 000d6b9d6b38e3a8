"""How a sandbox chain is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHAIN_ID: Final = 1338
MNEMONIC: Final = "test test test test test test test test test test test junk"
ACCOUNTS: Final = 20
MINE_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """What a chain is started with.

    Ports of 0 are chosen by the system. A ``block_ms`` of 0 mines a block for every transaction.
    Nothing on the chain is left to chance, so every ``seed`` gives the same one.
    ``packages`` is the folder of the node packages; None chooses one in the environment.
    """

    port: int = 0
    admin_port: int = 0
    seed: int = 1
    block_ms: int = 1_000
    packages: Path | None = None
