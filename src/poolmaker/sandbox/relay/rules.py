"""What the relay decides without asking anybody: transaction ids, delays, units."""

from __future__ import annotations

import hashlib
from typing import Final

from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.relay.model import RelaySide, TxId, WithdrawalId

DECIMALS: Final = 8
"""Both sides count in 1e-8."""


def transfer_id(side: RelaySide, withdrawal_id: WithdrawalId) -> TxId:
    """The transaction that carries a withdrawal past the chain: the same one whenever tried."""
    digest = hashlib.sha256(f"poolmaker relay/{side}/{withdrawal_id}".encode()).hexdigest()
    return TxId(f"0x{digest}")


def delay_us(rng: Rng, side: RelaySide, name: str, mean_us: int) -> int:
    """How long something is on its way: half of ``mean_us`` to one and a half times it.

    Depends only on the seed and its name, not on what was carried before.
    """
    drawn = rng.fork(f"{side}/{name}")
    return drawn.between(mean_us // 2, mean_us + mean_us // 2)


def counted(units: int, decimals: int) -> tuple[int, int]:
    """Smallest units of a chain in 1e-8, rounded down, and the smallest units that are left."""
    if decimals <= DECIMALS:
        return units * int(10 ** (DECIMALS - decimals)), 0
    return divmod(units, int(10 ** (decimals - DECIMALS)))
