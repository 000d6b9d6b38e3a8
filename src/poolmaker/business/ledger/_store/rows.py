"""What clients read and write, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger._store.reading import (
    head_of,
    outcome_of,
    transactions_after,
    transactions_of,
)
from poolmaker.business.ledger.model import LedgerTransaction, Outcome
from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, LedgerId, content_hash

KEY_CONFLICT: Final = "LE005"

_ASK: Final = "SELECT ledger.ask($1, $2, $3)"
# A command row has the answer to its own body; the key's first body may have been another.
_OUTCOME: Final = """
SELECT coalesce(q.seq, i.seq) AS seq, coalesce(i.at_us, 0) AS at_us,
    CASE WHEN q.seq IS NULL THEN coalesce(q.reject, i.reject) END AS reject
FROM (SELECT $1::text AS ledger_id, $2::text AS key) AS asked
LEFT JOIN ledger.command q USING (ledger_id, key)
LEFT JOIN ledger.idem i USING (ledger_id, key)
"""
_BALANCE: Final = """
SELECT b.raw
FROM ledger.account a
JOIN ledger.asset s USING (ledger_id, asset_id)
JOIN ledger.balance b USING (ledger_id, account_id)
WHERE a.ledger_id = $1 AND a.code = $2 AND s.code = $3
"""
_CUSTODY: Final = """
SELECT a.code, s.code AS asset, b.raw
FROM ledger.account a
JOIN ledger.asset s USING (ledger_id, asset_id)
JOIN ledger.balance b USING (ledger_id, account_id)
WHERE a.ledger_id = $1 AND a.code LIKE 'custody:%' AND b.raw <> 0
"""
_SCALE: Final = "SELECT scale FROM ledger.asset WHERE ledger_id = $1 AND code = $2"


class PgCommandStore:
    """``CommandStore`` over the schema ``ledger``."""

    def __init__(self, ledger: LedgerId = MAIN_LEDGER) -> None:
        self._ledger = ledger

    async def ask(self, tx: Tx, key: CommandKey, body: bytes, body_hash: bytes) -> None:
        ensure(body_hash == content_hash(body), f"{key}: the hash is not the body's")
        try:
            await connection_of(tx).execute(_ASK, self._ledger, key, body)
        except asyncpg.PostgresError as error:
            if error.sqlstate == KEY_CONFLICT:
                raise KeyConflict(str(error)) from error
            raise

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        row = await connection_of(tx).fetchrow(_OUTCOME, self._ledger, key)
        if row is None or (row["seq"] is None and row["reject"] is None):
            return None
        return outcome_of(row["seq"], row["at_us"], row["reject"])

    async def raw_balance(self, tx: Tx, account: str, asset: str) -> int:
        raw = await connection_of(tx).fetchval(_BALANCE, self._ledger, account, asset)
        return int(raw or 0)

    async def custody(self, tx: Tx) -> Mapping[tuple[str, str], int]:
        rows = await connection_of(tx).fetch(_CUSTODY, self._ledger)
        return {(row["code"], row["asset"]): int(row["raw"]) for row in rows}

    async def scale(self, tx: Tx, asset: str) -> int | None:
        found = await connection_of(tx).fetchval(_SCALE, self._ledger, asset)
        return int(found) if found is not None else None

    async def transaction(self, tx: Tx, key: CommandKey) -> LedgerTransaction | None:
        found = await transactions_of(connection_of(tx), self._ledger, [key])
        return found.get(key)

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        return await transactions_after(connection_of(tx), self._ledger, after_seq, limit)

    async def head(self, tx: Tx) -> int:
        return (await head_of(connection_of(tx), self._ledger)).seq
