"""A freeze of outgoing money: it holds until a person lifts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.infra.attention import AttentionItem, Remedy

FROZEN: Final = "frozen"


class FreezeAttention:
    """Reads the freeze."""

    def __init__(self, withdrawals: Withdrawals) -> None:
        self._withdrawals = withdrawals

    async def attention(self) -> Sequence[AttentionItem]:
        """One item while outgoing money is frozen."""
        freeze = await self._withdrawals.frozen()
        if freeze is None:
            return []
        return [
            AttentionItem(
                source="withdrawals",
                kind=FROZEN,
                subject="outgoing money",
                since_us=freeze.at_us,
                evidence={"by": freeze.by, "reason": freeze.reason},
                blocks=("withdraw", "transfer"),
                remedies=(
                    Remedy(
                        action="unfreeze",
                        command="poolmaker unfreeze --reason TEXT",
                        route="POST /api/v1/freeze/lift",
                    ),
                ),
            )
        ]
