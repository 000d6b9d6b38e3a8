"""Statements for what needs a person in the ledger. Each is bounded and counts the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey, LedgerId

_BALANCES: Final = """
SELECT a.code AS account, s.code AS asset, s.scale, b.raw, t.at_us, count(*) OVER () AS total
FROM ledger.account AS a
JOIN ledger.asset AS s USING (ledger_id, asset_id)
JOIN ledger.balance AS b USING (ledger_id, account_id)
JOIN ledger.tx AS t ON t.ledger_id = a.ledger_id AND t.seq = b.last_seq
WHERE a.ledger_id = $1 AND a.code >= $2 AND a.code < $3
    AND sign(CASE WHEN b.is_held THEN b.raw ELSE -b.raw END) = $4
ORDER BY a.code, s.code LIMIT $5
"""
_SINCE: Final = """
SELECT max(at_us) FROM ledger.incident WHERE ledger_id = $1 AND kind = $2 AND subject = $3
"""
_UNBOOKABLE: Final = """
SELECT i.key, i.subject, i.since_us, c.body, count(*) OVER () AS total
FROM (
    SELECT DISTINCT ON (o.key) o.key, o.subject, min(o.at_us) OVER (PARTITION BY o.key) AS since_us
    FROM ledger.incident AS o
    WHERE o.ledger_id = $1 AND o.kind = 'unbookable' AND NOT EXISTS (
        SELECT FROM ledger.idem AS d WHERE d.ledger_id = o.ledger_id AND d.key = o.key)
    ORDER BY o.key, o.at_us DESC, o.subject
) AS i
LEFT JOIN ledger.command AS c ON c.ledger_id = $1 AND c.key = i.key
ORDER BY i.since_us, i.key LIMIT $2
"""
_UNBOOKABLE_BODY: Final = """
SELECT c.body FROM ledger.command AS c
WHERE c.ledger_id = $1 AND c.key = $2 AND c.seq IS NULL AND c.reject IS NULL AND EXISTS (
    SELECT FROM ledger.incident AS i
    WHERE i.ledger_id = c.ledger_id AND i.kind = 'unbookable' AND i.key = c.key)
"""
_STANDS: Final = """
SELECT b.last_seq, CASE WHEN b.is_held THEN b.raw ELSE -b.raw END AS units
FROM ledger.account AS a
JOIN ledger.asset AS s USING (ledger_id, asset_id)
JOIN ledger.balance AS b USING (ledger_id, account_id)
WHERE a.ledger_id = $1 AND a.code = $2 AND s.code = $3
"""
_CONFLICTS: Final = """
SELECT c.key, encode(c.body_hash, 'hex') AS digest, c.at_us, count(*) OVER () AS total
FROM ledger.conflict AS c
WHERE c.ledger_id = $1 AND NOT EXISTS (
    SELECT FROM infra.attention_closing AS k
    WHERE k.item = $2 || c.key || ' ' || left(encode(c.body_hash, 'hex'), 16))
ORDER BY c.at_us, c.key, c.body_hash LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class OddBalance:
    """A balance that should not be there; ``raw`` units, since ``at_us``."""

    account: str
    asset: str
    scale: int
    raw: int
    at_us: int


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A command that was refused as a conflict; ``what`` says more of it."""

    key: str
    what: str
    at_us: int


@dataclass(frozen=True, slots=True)
class UnbookableRow:
    """A command that waits, why it does since when, and its body; empty where no row holds it."""

    key: CommandKey
    why: str
    since_us: int
    body: bytes


class PgLedgerAttention:
    """What needs a person, read page by page. Answers what is listed and how many there are."""

    def __init__(self, ledger: LedgerId) -> None:
        self._ledger = ledger

    async def balances(
        self, tx: Tx, prefix: str, limit: int, *, below_zero: bool
    ) -> tuple[list[OddBalance], int]:
        """Balances of accounts that begin with ``prefix``: those below zero, or those above it."""
        behind = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = await connection_of(tx).fetch(
            _BALANCES, self._ledger, prefix, behind, -1 if below_zero else 1, limit
        )
        found = [
            OddBalance(row["account"], row["asset"], row["scale"], int(row["raw"]), row["at_us"])
            for row in rows
        ]
        return found, rows[0]["total"] if rows else 0

    async def since_us(self, tx: Tx, kind: str, subject: str) -> int:
        """When an incident was last opened, 0 for never."""
        found = await connection_of(tx).fetchval(_SINCE, self._ledger, kind, subject)
        return int(found or 0)

    async def unbookable(self, tx: Tx, limit: int) -> tuple[list[UnbookableRow], int]:
        """Facts that wait: their incident is open while their key has no answer; oldest first."""
        rows = await connection_of(tx).fetch(_UNBOOKABLE, self._ledger, limit)
        found = [
            UnbookableRow(
                CommandKey(row["key"]), row["subject"], row["since_us"], row["body"] or b""
            )
            for row in rows
        ]
        return found, rows[0]["total"] if rows else 0

    async def unbookable_body(self, tx: Tx, key: CommandKey) -> bytes | None:
        """The body of a command row that waits under an open incident, or None."""
        body: bytes | None = await connection_of(tx).fetchval(_UNBOOKABLE_BODY, self._ledger, key)
        return body

    async def stands(self, tx: Tx, account: str, asset: str) -> tuple[int, int]:
        """The last entry of an account in an asset and its units then; zeros for none."""
        row = await connection_of(tx).fetchrow(_STANDS, self._ledger, account, asset)
        return (row["last_seq"], int(row["units"])) if row is not None else (0, 0)

    async def conflicts(self, tx: Tx, item: str, limit: int) -> tuple[list[OpenRecord], int]:
        """Keys that came with another body and that nobody has closed under ``item``."""
        rows = await connection_of(tx).fetch(_CONFLICTS, self._ledger, item, limit)
        found = [OpenRecord(row["key"], row["digest"], row["at_us"]) for row in rows]
        return found, rows[0]["total"] if rows else 0
