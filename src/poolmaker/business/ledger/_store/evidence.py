"""What proves the books: the log with its hashes, and sums that no rule was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from poolmaker.business.ledger._store.reading import accounts_of, image_of, transactions_of
from poolmaker.business.ledger.model import Audited, Checkpoint, LedgerTransaction, Leg, Line
from poolmaker.business.ledger.rules import TrialRow
from poolmaker.infra.database import Database, Record
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, LedgerId

_STRAYS_SHOWN: Final = 20

_AUDIT: Final = """
SELECT t.seq, t.key, t.kind, t.epoch, t.at_us, t.body, t.body_hash, t.chain_hash,
    i.seq AS idem_seq, i.body_hash AS idem_body_hash
FROM ledger.tx t LEFT JOIN ledger.idem i USING (ledger_id, key)
WHERE t.ledger_id = $1 AND t.seq > $2 ORDER BY t.seq LIMIT $3
"""
_LINES: Final = """
SELECT e.seq, a.code, s.code AS asset, e.units, e.balance_after
FROM ledger.entry e
JOIN ledger.account a USING (ledger_id, account_id)
JOIN ledger.asset s ON s.ledger_id = e.ledger_id AND s.asset_id = e.asset_id
WHERE e.ledger_id = $1 AND e.seq > $2 AND e.seq <= $3
ORDER BY e.seq, e.line
"""
_STRAYS: Final = """
SELECT 'transaction ' || t.seq || ' is beyond the head' AS sentence
FROM ledger.tx t JOIN ledger.head h USING (ledger_id)
WHERE t.ledger_id = $1 AND t.seq > h.last_seq
UNION ALL
SELECT 'entry ' || e.seq || '/' || e.line || ' belongs to no transaction'
FROM ledger.entry e LEFT JOIN ledger.tx t USING (ledger_id, seq)
WHERE e.ledger_id = $1 AND t.seq IS NULL
UNION ALL
SELECT 'key ' || i.key || ' names a transaction that is not there or not its own'
FROM ledger.idem i LEFT JOIN ledger.tx t USING (ledger_id, seq)
WHERE i.ledger_id = $1 AND i.seq IS NOT NULL AND t.key IS DISTINCT FROM i.key
UNION ALL
SELECT 'balance of ' || a.code || ' is not the sum of its entries'
FROM ledger.balance b
JOIN ledger.account a USING (ledger_id, account_id)
LEFT JOIN (
    SELECT ledger_id, account_id, sum(units) AS units FROM ledger.entry GROUP BY 1, 2
) AS sums USING (ledger_id, account_id)
WHERE b.ledger_id = $1 AND b.raw <> coalesce(sums.units, 0)
UNION ALL
SELECT 'command row ' || q.row_id || ' was answered otherwise than its key'
FROM ledger.command q LEFT JOIN ledger.idem i USING (ledger_id, key)
WHERE q.ledger_id = $1 AND (
    (q.seq IS NOT NULL AND q.seq IS DISTINCT FROM i.seq)
    OR (q.reject IS NOT NULL AND q.body_hash = i.body_hash AND q.reject IS DISTINCT FROM i.reject))
LIMIT $2
"""
_TRIAL: Final = """
SELECT s.code AS asset,
    coalesce(sum(e.units) FILTER (WHERE a.is_held), 0) AS held,
    coalesce(-sum(e.units) FILTER (WHERE NOT a.is_held), 0) AS owed
FROM ledger.entry e
JOIN ledger.account a USING (ledger_id, account_id)
JOIN ledger.asset s ON s.ledger_id = e.ledger_id AND s.asset_id = e.asset_id
WHERE e.ledger_id = $1
GROUP BY s.code ORDER BY s.code
"""


class PgAuditReader:
    """``AuditReader`` over the schema ``ledger``; any role that reads will do."""

    def __init__(self, database: Database, ledger: LedgerId = MAIN_LEDGER) -> None:
        self._database = database
        self._ledger = ledger

    async def load(self) -> Checkpoint:
        async with self._database.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            accounts = await accounts_of(connection, self._ledger)
            return await image_of(connection, self._ledger, accounts)

    async def audit(self, after_seq: int, limit: int) -> Sequence[Audited]:
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_AUDIT, self._ledger, after_seq, limit)
            last = rows[-1]["seq"] if rows else after_seq
            lines = await connection.fetch(_LINES, self._ledger, after_seq, last)
        by_seq: dict[int, list[Line]] = {}
        for row in lines:
            line = Line(Leg(row["code"], row["asset"], row["units"]), row["balance_after"])
            by_seq.setdefault(row["seq"], []).append(line)
        return [self._audited(row, tuple(by_seq.get(row["seq"], ()))) for row in rows]

    def _audited(self, row: Record, lines: tuple[Line, ...]) -> Audited:
        return Audited(
            transaction=LedgerTransaction(
                ledger=self._ledger,
                seq=row["seq"],
                key=CommandKey(row["key"]),
                kind=row["kind"],
                at_us=row["at_us"],
                body=row["body"],
                legs=tuple(line.leg for line in lines),
            ),
            epoch=row["epoch"],
            body_hash=row["body_hash"],
            chain_hash=row["chain_hash"],
            lines=lines,
            idem_seq=row["idem_seq"],
            idem_body_hash=row["idem_body_hash"],
        )

    async def recall(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, LedgerTransaction]:
        async with self._database.transaction() as connection:
            return await transactions_of(connection, self._ledger, keys)

    async def strays(self) -> Sequence[str]:
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_STRAYS, self._ledger, _STRAYS_SHOWN)
        return [row["sentence"] for row in rows]

    async def trial_balance(self) -> list[TrialRow]:
        """Per asset Σ held and Σ owed, summed from the entries by the database alone."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_TRIAL, self._ledger)
        return [TrialRow(row["asset"], int(row["held"]), int(row["owed"])) for row in rows]
