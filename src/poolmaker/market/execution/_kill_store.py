"""Rows of the kill switch. A latch holds while ``released_us`` is 0; rows are never removed."""

from __future__ import annotations

from typing import Final

from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.market.execution.kill import KillLatch

_COLUMNS: Final = "id, scope, set_by, reason, set_us, asked_by, asked_us"
_HELD: Final = f"""
SELECT {_COLUMNS} FROM market.kill_latch WHERE released_us = 0 ORDER BY set_us
"""  # noqa: S608 - the parts are constants of this module
_ADD: Final = """
INSERT INTO market.kill_latch (id, scope, set_by, reason, set_us) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING
"""
_ASK: Final = """
UPDATE market.kill_latch SET asked_by = $2, asked_us = $3 WHERE id = $1 AND released_us = 0
"""
_RELEASE: Final = """
UPDATE market.kill_latch SET released_by = $2, release_reason = $3, released_us = $4
WHERE id = ANY ($1::text[]) AND released_us = 0
"""
_RELEASED: Final = """
SELECT id FROM market.kill_latch WHERE released_us > 0 AND id = ANY ($1::text[])
"""


class PgKillLatches:
    """The rows. Every method runs in the caller's transaction."""

    async def held(self, tx: Tx) -> list[KillLatch]:
        """Every latch that holds, the oldest first."""
        rows = await connection_of(tx).fetch(_HELD)
        return [KillLatch(**dict(row.items())) for row in rows]

    async def add(self, tx: Tx, latch: KillLatch) -> None:
        """Hold; the same latch twice is one row."""
        said = latch.set_by, latch.reason, latch.set_us
        await connection_of(tx).execute(_ADD, latch.id, latch.scope, *said)

    async def ask(self, tx: Tx, latch_id: str, name: str, now_us: int) -> None:
        """Note that ``name`` asked to release it; an empty name takes that back."""
        await connection_of(tx).execute(_ASK, latch_id, name, now_us)

    async def release(self, tx: Tx, ids: list[str], name: str, reason: str, now_us: int) -> None:
        """Let go of these latches and of no others."""
        await connection_of(tx).execute(_RELEASE, ids, name, reason, now_us)

    async def released(self, tx: Tx, ids: list[str]) -> set[str]:
        """Those of the latches that were let go."""
        return {row[0] for row in await connection_of(tx).fetch(_RELEASED, ids)}
