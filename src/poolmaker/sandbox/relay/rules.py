"""What the relay decides without asking anybody: the transaction id and the delay."""

from __future__ import annotations

import hashlib

from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.relay.model import Side, TxId, WithdrawalId


def transfer_id(side: Side, withdrawal_id: WithdrawalId) -> TxId:
    """The transaction that carries a withdrawal: the same one whenever it is tried again."""
    digest = hashlib.sha256(f"poolmaker relay/{side}/{withdrawal_id}".encode()).hexdigest()
    return TxId(f"0x{digest}")


def delay_us(rng: Rng, side: Side, withdrawal_id: WithdrawalId, mean_us: int) -> int:
    """How long a withdrawal is on its way: half of ``mean_us`` to one and a half times it.

    Depends only on the seed and the withdrawal, not on what was carried before.
    """
    drawn = rng.fork(f"{side}/{withdrawal_id}")
    return drawn.between(mean_us // 2, mean_us + mean_us // 2)
