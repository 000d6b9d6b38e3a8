"""Statements that read the ledger, shared by its stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.ledger.model import (
    Checkpoint,
    LedgerHead,
    LedgerRefusal,
    LedgerTransaction,
    Leg,
    Outcome,
    Posted,
    PostingRefused,
    State,
)
from poolmaker.infra.database import Connection, Record
from poolmaker.kernel.ids import CommandKey, LedgerId
from poolmaker.kernel.money import Asset

_HEAD: Final = """
SELECT epoch, last_seq, last_hash, last_at_us FROM ledger.head WHERE ledger_id = $1
"""
_ASSETS: Final = "SELECT code, scale FROM ledger.asset WHERE ledger_id = $1 ORDER BY asset_id"
_ACCOUNTS: Final = """
SELECT a.account_id, a.code, s.code AS asset, b.raw
FROM ledger.account a
JOIN ledger.asset s USING (ledger_id, asset_id)
JOIN ledger.balance b USING (ledger_id, account_id)
WHERE a.ledger_id = $1
"""
_STATES: Final = "SELECT kind, name, body FROM ledger.state WHERE ledger_id = $1"
_TRANSACTIONS: Final = """
SELECT seq, key, kind, at_us, body FROM ledger.tx
WHERE ledger_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
"""
_NEWEST: Final = """
SELECT seq, key, kind, at_us, body FROM ledger.tx
WHERE ledger_id = $1 AND seq > $2 ORDER BY seq DESC LIMIT $3
"""
_BY_KEYS: Final = """
SELECT t.seq, t.key, t.kind, t.at_us, t.body
FROM ledger.idem i JOIN ledger.tx t USING (ledger_id, seq)
WHERE i.ledger_id = $1 AND i.key = ANY ($2)
"""
_LEGS: Final = """
SELECT e.seq, a.code, s.code AS asset, e.units
FROM ledger.entry e
JOIN ledger.account a USING (ledger_id, account_id)
JOIN ledger.asset s ON s.ledger_id = e.ledger_id AND s.asset_id = e.asset_id
WHERE e.ledger_id = $1 AND e.seq = ANY ($2)
ORDER BY e.seq, e.line
"""
GENESIS: Final = LedgerHead(epoch=0, seq=0, hash=bytes(32), at_us=0)


async def head_of(connection: Connection, ledger: LedgerId) -> LedgerHead:
    """The newest point of the log; all zeros for a ledger that was never opened."""
    row = await connection.fetchrow(_HEAD, ledger)
    return LedgerHead(*row) if row is not None else GENESIS


async def assets_of(connection: Connection, ledger: LedgerId) -> tuple[Asset, ...]:
    """The register of assets."""
    return tuple(
        Asset(row["code"], row["scale"]) for row in await connection.fetch(_ASSETS, ledger)
    )


async def accounts_of(connection: Connection, ledger: LedgerId) -> list[Record]:
    """Every account: its number, code, asset and raw balance."""
    return await connection.fetch(_ACCOUNTS, ledger)


async def image_of(
    connection: Connection, ledger: LedgerId, accounts: Sequence[Record]
) -> Checkpoint:
    """The image, given the accounts read in the same transaction."""
    states = await connection.fetch(_STATES, ledger)
    balances = (Leg(row["code"], row["asset"], row["raw"]) for row in accounts)
    return Checkpoint(
        head=await head_of(connection, ledger),
        assets=await assets_of(connection, ledger),
        balances=tuple(leg for leg in balances if leg.units),
        states=tuple(State(row["kind"], row["name"], row["body"]) for row in states),
    )


async def _with_legs(
    connection: Connection, ledger: LedgerId, rows: Sequence[Record]
) -> list[LedgerTransaction]:
    if not rows:
        return []
    legs: dict[int, list[Leg]] = {row["seq"]: [] for row in rows}
    for row in await connection.fetch(_LEGS, ledger, list(legs)):
        legs[row["seq"]].append(Leg(row["code"], row["asset"], row["units"]))
    return [
        LedgerTransaction(
            ledger=ledger,
            seq=row["seq"],
            key=CommandKey(row["key"]),
            kind=row["kind"],
            at_us=row["at_us"],
            body=row["body"],
            legs=tuple(legs[row["seq"]]),
        )
        for row in rows
    ]


async def transactions_after(
    connection: Connection, ledger: LedgerId, after_seq: int, limit: int
) -> list[LedgerTransaction]:
    """Transactions after ``after_seq`` in order."""
    rows = await connection.fetch(_TRANSACTIONS, ledger, after_seq, limit)
    return await _with_legs(connection, ledger, rows)


async def newest_transactions(
    connection: Connection, ledger: LedgerId, after_seq: int, limit: int
) -> list[LedgerTransaction]:
    """The newest transactions, but none at or before ``after_seq``; newest first."""
    rows = await connection.fetch(_NEWEST, ledger, after_seq, limit)
    return await _with_legs(connection, ledger, rows)


async def transactions_of(
    connection: Connection, ledger: LedgerId, keys: Sequence[CommandKey]
) -> dict[CommandKey, LedgerTransaction]:
    """The transactions that these keys posted."""
    rows = await connection.fetch(_BY_KEYS, ledger, list(keys))
    return {found.key: found for found in await _with_legs(connection, ledger, rows)}


def outcome_of(seq: int | None, at_us: int, reject: str | None) -> Outcome:
    """An answer as it was stored."""
    if seq is not None:
        return Posted(seq, at_us, already=True)
    return PostingRefused(LedgerRefusal(reject or ""))
