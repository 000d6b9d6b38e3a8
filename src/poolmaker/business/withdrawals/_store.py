"""Withdrawals in PostgreSQL: ``business.withdrawal`` with its lines, lanes and the freeze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolmaker.business.withdrawals.model import (
    Freeze,
    Withdrawal,
    WithdrawalLine,
    WithdrawalState,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import UserId, WithdrawalId

_ADD: Final = """
INSERT INTO business.withdrawal (
    withdrawal_id, key, user_id, source, asset, units, network, address, tag, reference,
    requested_us, correlation, parent, suspense, state, held_seq, provider_id, transaction_id,
    fee_units, reason
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT (key) DO NOTHING
"""
_SAVE: Final = """
UPDATE business.withdrawal
SET state = $2, held_seq = $3, provider_id = $4, transaction_id = $5, fee_units = $6, reason = $7
WHERE withdrawal_id = $1
"""
_ADD_LINE: Final = """
INSERT INTO business.withdrawal_line (withdrawal_id, line, at_us, state, event, key, note)
SELECT $1, coalesce(max(line), 0) + 1, $2, $3, $4, $5, $6
FROM business.withdrawal_line WHERE withdrawal_id = $1
"""
_CLAIMS: Final = """
SELECT * FROM business.withdrawal
WHERE source = $1 AND asset = $2 AND state IN ('held', 'sent', 'confirmed')
ORDER BY held_seq
"""
_WAITING: Final = """
SELECT coalesce(sum(units), 0)::numeric(38, 0) FROM business.withdrawal
WHERE source = $1 AND asset = $2 AND state = 'awaiting_cash'
"""
_IN_FLIGHT: Final = """
SELECT * FROM business.withdrawal WHERE state IN ('sent', 'confirmed') ORDER BY withdrawal_id
"""
_UNDER_WAY: Final = """
SELECT * FROM business.withdrawal
WHERE state NOT IN ('done', 'released', 'declined') ORDER BY requested_us, withdrawal_id LIMIT $1
"""
_NEWEST: Final = """
SELECT * FROM business.withdrawal
WHERE ($1::text IS NULL OR user_id = $1) AND ($2 = '' OR withdrawal_id < $2)
ORDER BY withdrawal_id DESC LIMIT $3
"""
_OF_USER: Final = """
SELECT * FROM business.withdrawal
WHERE user_id = $1 AND withdrawal_id > $2 ORDER BY withdrawal_id LIMIT $3
"""
_CLAIM_LANE: Final = """
INSERT INTO business.payout_lane AS lane (source, asset, address, withdrawal_id)
VALUES ($1, $2, $3, $4)
ON CONFLICT (source, asset, address) DO UPDATE SET withdrawal_id = lane.withdrawal_id
RETURNING withdrawal_id
"""
_SET_FREEZE: Final = """
INSERT INTO business.payout_freeze (reason, by_whom, at_us) VALUES ($1, $2, $3)
ON CONFLICT (one) DO UPDATE
SET reason = $1, by_whom = $2, at_us = greatest($3, payout_freeze.at_us + 1)
"""

_LIFT_FREEZE: Final = "DELETE FROM business.payout_freeze WHERE at_us = $1"


class PgWithdrawalStore:
    """``WithdrawalStore`` over PostgreSQL."""

    async def add(self, tx: Tx, row: Withdrawal, line: WithdrawalLine) -> bool:
        done = await connection_of(tx).execute(
            _ADD,
            row.id,
            row.key,
            row.user,
            row.source,
            row.asset,
            row.units,
            row.network,
            row.address,
            row.tag,
            row.reference,
            row.requested_us,
            row.correlation,
            row.parent,
            row.suspense,
            row.state,
            row.held_seq,
            row.provider_id,
            row.transaction_id,
            row.fee_units,
            row.reason,
        )
        if done != "INSERT 0 1":
            return False
        await _add_line(tx, row, line)
        return True

    async def by_key(self, tx: Tx, key: str) -> Withdrawal | None:
        return _maybe(
            await connection_of(tx).fetchrow(
                "SELECT * FROM business.withdrawal WHERE key = $1", key
            )
        )

    async def row(self, tx: Tx, withdrawal: WithdrawalId) -> Withdrawal | None:
        return _maybe(
            await connection_of(tx).fetchrow(
                "SELECT * FROM business.withdrawal WHERE withdrawal_id = $1", withdrawal
            )
        )

    async def lock(self, tx: Tx, withdrawal: WithdrawalId) -> Withdrawal | None:
        return _maybe(
            await connection_of(tx).fetchrow(
                "SELECT * FROM business.withdrawal WHERE withdrawal_id = $1 FOR UPDATE", withdrawal
            )
        )

    async def save(self, tx: Tx, row: Withdrawal, line: WithdrawalLine) -> None:
        await connection_of(tx).execute(
            _SAVE,
            row.id,
            row.state,
            row.held_seq,
            row.provider_id,
            row.transaction_id,
            row.fee_units,
            row.reason,
        )
        await _add_line(tx, row, line)

    async def claims(self, tx: Tx, source: str, asset: str) -> Sequence[Withdrawal]:
        rows = await connection_of(tx).fetch(_CLAIMS, source, asset)
        return [_withdrawal(row) for row in rows]

    async def waiting_units(self, tx: Tx, source: str, asset: str) -> int:
        return int(await connection_of(tx).fetchval(_WAITING, source, asset))

    async def in_flight(self, tx: Tx) -> Sequence[Withdrawal]:
        return [_withdrawal(row) for row in await connection_of(tx).fetch(_IN_FLIGHT)]

    async def under_way(self, tx: Tx, limit: int) -> Sequence[Withdrawal]:
        return [_withdrawal(row) for row in await connection_of(tx).fetch(_UNDER_WAY, limit)]

    async def of_user(
        self, tx: Tx, user: UserId, after: WithdrawalId, limit: int
    ) -> Sequence[Withdrawal]:
        rows = await connection_of(tx).fetch(_OF_USER, user, after, limit)
        return [_withdrawal(row) for row in rows]

    async def newest(
        self, tx: Tx, user: UserId | None, before: WithdrawalId, limit: int
    ) -> Sequence[Withdrawal]:
        rows = await connection_of(tx).fetch(_NEWEST, user, before, limit)
        return [_withdrawal(row) for row in rows]

    async def timeline(self, tx: Tx, withdrawal: WithdrawalId) -> Sequence[WithdrawalLine]:
        rows = await connection_of(tx).fetch(
            "SELECT at_us, state, event, key, note FROM business.withdrawal_line"
            " WHERE withdrawal_id = $1 ORDER BY line",
            withdrawal,
        )
        return [
            WithdrawalLine(
                row["at_us"], WithdrawalState(row["state"]), row["event"], row["key"], row["note"]
            )
            for row in rows
        ]

    async def claim_lane(self, tx: Tx, row: Withdrawal) -> bool:
        holder = await connection_of(tx).fetchval(
            _CLAIM_LANE, row.source, row.asset, row.address, row.id
        )
        return bool(holder == row.id)

    async def free_lane(self, tx: Tx, row: Withdrawal) -> None:
        await connection_of(tx).execute(
            "DELETE FROM business.payout_lane WHERE withdrawal_id = $1", row.id
        )

    async def freeze(self, tx: Tx) -> Freeze | None:
        row = await connection_of(tx).fetchrow(
            "SELECT reason, by_whom, at_us FROM business.payout_freeze"
        )
        return Freeze(*row) if row is not None else None

    async def set_freeze(self, tx: Tx, freeze: Freeze) -> None:
        await connection_of(tx).execute(_SET_FREEZE, freeze.reason, freeze.by, freeze.at_us)

    async def lift_freeze(self, tx: Tx, at_us: int) -> None:
        await connection_of(tx).execute(_LIFT_FREEZE, at_us)


async def _add_line(tx: Tx, row: Withdrawal, line: WithdrawalLine) -> None:
    await connection_of(tx).execute(
        _ADD_LINE, row.id, line.at_us, line.state, line.event, line.key, line.note
    )


def _maybe(row: Record | None) -> Withdrawal | None:
    return _withdrawal(row) if row is not None else None


def _withdrawal(row: Record) -> Withdrawal:
    values = dict(row.items())
    values["id"], values["user"] = values.pop("withdrawal_id"), values.pop("user_id")
    values["state"] = WithdrawalState(values["state"])
    return Withdrawal(**values)
