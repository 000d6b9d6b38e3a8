"""HuFi's table: ``hufi.participation``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.hufi.model import Participation, ParticipationState
from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Tx

_SAVE: Final = """
INSERT INTO hufi.participation AS known (
    campaign, state, reason, tries, due_us, asked_us, joined_us
)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (campaign) DO UPDATE
SET state = $2, reason = $3, tries = $4, due_us = $5, asked_us = $6, joined_us = $7
"""


class PgParticipationStore:
    """``ParticipationStore`` over PostgreSQL."""

    async def all(self, tx: Tx) -> Sequence[Participation]:
        rows = await connection_of(tx).fetch("SELECT * FROM hufi.participation ORDER BY campaign")
        return [
            Participation(**{**dict(row.items()), "state": ParticipationState(row["state"])})
            for row in rows
        ]

    async def save(self, tx: Tx, participation: Participation) -> None:
        one = participation
        await connection_of(tx).execute(
            _SAVE,
            one.campaign,
            one.state,
            one.reason,
            one.tries,
            one.due_us,
            one.asked_us,
            one.joined_us,
        )
