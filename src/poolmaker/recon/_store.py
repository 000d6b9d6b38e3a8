"""Closings in PostgreSQL: ``infra.attention_closing``, which only grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.recon.listing import Closing

_ADD: Final = """
INSERT INTO infra.attention_closing (item, fingerprint, closed_by, reason, at_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (item, fingerprint) DO NOTHING
"""
_OF_ITEMS: Final = """
SELECT item, fingerprint, closed_by, reason, at_us FROM infra.attention_closing
WHERE item = ANY ($1)
"""


class PgClosingStore:
    """What named persons have closed."""

    async def add(self, tx: Tx, closing: Closing) -> None:
        """Keep a closing; the first one of the same evidence stays."""
        await connection_of(tx).execute(
            _ADD, closing.item, closing.fingerprint, closing.by, closing.reason, closing.at_us
        )

    async def of_items(self, tx: Tx, items: Sequence[str]) -> list[Closing]:
        """Closings of these items, whatever their evidence was."""
        rows = await connection_of(tx).fetch(_OF_ITEMS, list(items))
        return [
            Closing(
                item=row["item"],
                fingerprint=row["fingerprint"],
                by=row["closed_by"],
                reason=row["reason"],
                at_us=row["at_us"],
            )
            for row in rows
        ]
