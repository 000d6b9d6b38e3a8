"""Statements that page through the log for those who look at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.ledger._store.reading import (
    accounts_of,
    head_of,
    newest_transactions,
    transactions_after,
)
from poolmaker.business.ledger.accounts import Normal, normal_of
from poolmaker.business.ledger.model import EntryRow, Flow, LedgerHead, LedgerTransaction, Leg
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey, LedgerId

_ENTRIES: Final = """
WITH mine AS (
    SELECT e.seq, e.line, a.code, s.code AS asset, e.units, e.balance_after
    FROM ledger.entry e
    JOIN ledger.account a USING (ledger_id, account_id)
    JOIN ledger.asset s ON s.ledger_id = e.ledger_id AND s.asset_id = e.asset_id
    WHERE e.ledger_id = $1 AND a.code = ANY ($2) AND e.seq > $3
    ORDER BY e.seq
    FETCH FIRST $4 ROWS WITH TIES
)
SELECT mine.seq, t.at_us, t.key, t.kind, mine.code, mine.asset, mine.units, mine.balance_after
FROM mine JOIN ledger.tx t ON t.ledger_id = $1 AND t.seq = mine.seq
ORDER BY mine.seq, mine.line
"""
_FLOWS: Final = """
SELECT a.code, t.kind, s.code AS asset, sum(e.units) AS units
FROM ledger.account AS a
JOIN ledger.entry AS e USING (ledger_id, account_id)
JOIN ledger.tx AS t ON t.ledger_id = e.ledger_id AND t.seq = e.seq
JOIN ledger.asset AS s ON s.ledger_id = a.ledger_id AND s.asset_id = a.asset_id
WHERE a.ledger_id = $1 AND a.code = ANY ($2)
GROUP BY a.code, t.kind, s.code ORDER BY a.code, t.kind, s.code
"""
_SEQ_OF: Final = "SELECT seq FROM ledger.idem WHERE ledger_id = $1 AND key = $2"


class PgLedgerHistory:
    """``LedgerHistory`` over the schema ``ledger``."""

    def __init__(self, ledger: LedgerId) -> None:
        self._ledger = ledger

    async def head(self, tx: Tx) -> LedgerHead:
        return await head_of(connection_of(tx), self._ledger)

    async def balances(self, tx: Tx) -> list[Leg]:
        rows = await accounts_of(connection_of(tx), self._ledger)
        legs = [Leg(row["code"], row["asset"], row["raw"]) for row in rows if row["raw"]]
        return sorted(legs, key=lambda leg: (leg.account, leg.asset))

    async def entries(
        self, tx: Tx, accounts: Sequence[str], after_seq: int, limit: int
    ) -> list[EntryRow]:
        rows = await connection_of(tx).fetch(
            _ENTRIES, self._ledger, list(accounts), after_seq, limit
        )
        return [_entry(row) for row in rows]

    async def flows(self, tx: Tx, accounts: Sequence[str]) -> list[Flow]:
        rows = await connection_of(tx).fetch(_FLOWS, self._ledger, list(accounts))
        return [
            Flow(row["code"], row["kind"], row["asset"], _normal(row["code"], int(row["units"])))
            for row in rows
        ]

    async def newest(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        return await newest_transactions(connection_of(tx), self._ledger, after_seq, limit)

    async def following(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        return await transactions_after(connection_of(tx), self._ledger, after_seq, limit)

    async def seq_of(self, tx: Tx, key: CommandKey) -> int:
        return int(await connection_of(tx).fetchval(_SEQ_OF, self._ledger, key) or 0)

    async def at(self, tx: Tx, seq: int) -> LedgerTransaction | None:
        found = await transactions_after(connection_of(tx), self._ledger, seq - 1, 1)
        return found[0] if found and found[0].seq == seq else None


def _normal(account: str, raw_units: int) -> int:
    return raw_units if normal_of(account) is Normal.HELD else -raw_units


def _entry(row: Record) -> EntryRow:
    return EntryRow(
        seq=row["seq"],
        at_us=row["at_us"],
        key=CommandKey(row["key"]),
        kind=row["kind"],
        account=row["code"],
        asset=row["asset"],
        units=_normal(row["code"], row["units"]),
        balance_units=_normal(row["code"], row["balance_after"]),
    )
