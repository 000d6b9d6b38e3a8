"""Rewards in PostgreSQL: ``business.reward`` with its story and allocation, and share history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from poolmaker.business.rewards.model import (
    Allocation,
    ObservedReward,
    Reward,
    RewardDecision,
    RewardDecisionKind,
    RewardIncident,
    RewardLine,
    RewardState,
    RewardTotals,
    RewardTrouble,
    ShareChange,
    ShareCursor,
    StoredAllocation,
    UserPart,
)
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import OrderId, PoolId, UserId
from poolmaker.messages.base import decode, encode

_ADD: Final = """
INSERT INTO business.reward (
    reward, key, campaign, location, asset, units, from_us, to_us, transaction_id, is_final,
    seen_us, state, pool, transfer, dust_units, fee_units, users_units, credited, credited_units
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
ON CONFLICT (reward) DO NOTHING
"""
_SAVE: Final = """
UPDATE business.reward
SET key = $2, campaign = $3, location = $4, asset = $5, units = $6, from_us = $7, to_us = $8,
    transaction_id = $9, is_final = $10, seen_us = $11, state = $12, pool = $13, transfer = $14,
    dust_units = $15, fee_units = $16, users_units = $17, credited = $18, credited_units = $19
WHERE reward = $1
"""
_ADD_LINE: Final = """
INSERT INTO business.reward_line (reward, line, at_us, state, event, key, note)
SELECT $1, coalesce(max(line), 0) + 1, $2, $3, $4, $5, $6
FROM business.reward_line WHERE reward = $1
"""
_ONE: Final = "SELECT * FROM business.reward WHERE reward = $1"
_LISTED: Final = """
SELECT * FROM business.reward WHERE $1 = '' OR campaign = $1
ORDER BY from_us DESC, reward LIMIT $2
"""
_TIMELINE: Final = """
SELECT at_us, state, event, key, note FROM business.reward_line WHERE reward = $1 ORDER BY line
"""
_OPEN_INCIDENT: Final = """
INSERT INTO business.reward_incident (reward, number, trouble, opened_us, note, closed_us)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, 0
FROM business.reward_incident WHERE reward = $1
ON CONFLICT DO NOTHING
"""
_CLOSE_INCIDENT: Final = """
UPDATE business.reward_incident SET closed_us = $3
WHERE reward = $1 AND trouble = $2 AND closed_us = 0
"""
_INCIDENTS: Final = """
SELECT reward, trouble, opened_us, note, closed_us FROM business.reward_incident
WHERE CASE WHEN $1 = '' THEN closed_us = 0 ELSE reward = $1 END
ORDER BY opened_us, reward, number
"""
_DECIDE: Final = """
INSERT INTO business.reward_decision (reward, number, kind, pool, decided_by, reason, at_us)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6
FROM business.reward_decision WHERE reward = $1
"""
_DECISION: Final = """
SELECT reward, kind, pool, decided_by, reason, at_us FROM business.reward_decision
WHERE reward = $1 ORDER BY number DESC LIMIT 1
"""
_ADD_ALLOCATION: Final = """
INSERT INTO business.reward_allocation (reward, body, digest) VALUES ($1, $2, $3)
"""
_ADD_PARTS: Final = """
INSERT INTO business.reward_part (reward, part, order_id, user_id, weight, units)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_PARTS_OF_USER: Final = """
SELECT part.reward, reward.campaign, reward.asset, reward.from_us, reward.to_us, part.order_id,
    part.units, part.part < reward.credited AS credited
FROM business.reward_part AS part JOIN business.reward AS reward USING (reward)
WHERE part.user_id = $1 AND part.reward > $2
ORDER BY part.reward, part.order_id LIMIT $3
"""
_CREDITED: Final = """
SELECT part.order_id, reward.asset, sum(part.units) AS units
FROM business.reward_part AS part JOIN business.reward AS reward USING (reward)
WHERE part.order_id = ANY ($1) AND part.part < reward.credited
GROUP BY part.order_id, reward.asset
"""
_TOTALS: Final = """
SELECT asset, sum(units) AS received, sum(dust_units) AS dust, sum(fee_units) AS fee,
    sum(users_units) AS users, sum(credited_units) AS credited
FROM business.reward WHERE is_final GROUP BY asset ORDER BY asset
"""
_ADD_CHANGES: Final = """
INSERT INTO business.share_change (seq, at_us, pool, epoch, order_id, units)
VALUES ($1, $2, $3, $4, $5, $6)
"""
_OPENING: Final = """
SELECT epoch, order_id, sum(units) AS units FROM business.share_change
WHERE pool = $1 AND at_us <= $2 GROUP BY epoch, order_id HAVING sum(units) <> 0
"""
_CHANGES: Final = """
SELECT * FROM business.share_change WHERE pool = $1 AND at_us > $2 AND at_us < $3
ORDER BY seq, epoch, order_id
"""


class PgRewardStore:
    """``RewardStore`` over PostgreSQL."""

    async def add(self, tx: Tx, reward: Reward, line: RewardLine) -> bool:
        if await connection_of(tx).execute(_ADD, *_values(reward)) != "INSERT 0 1":
            return False
        await _add_line(tx, reward, line)
        return True

    async def reward(self, tx: Tx, reward: str) -> Reward | None:
        row = await connection_of(tx).fetchrow(_ONE, reward)
        return _reward(row) if row is not None else None

    async def lock(self, tx: Tx, reward: str) -> Reward | None:
        row = await connection_of(tx).fetchrow(f"{_ONE} FOR UPDATE", reward)
        return _reward(row) if row is not None else None

    async def save(self, tx: Tx, reward: Reward, line: RewardLine) -> None:
        await connection_of(tx).execute(_SAVE, *_values(reward))
        await _add_line(tx, reward, line)

    async def listed(self, tx: Tx, campaign: str, limit: int) -> Sequence[Reward]:
        return [_reward(row) for row in await connection_of(tx).fetch(_LISTED, campaign, limit)]

    async def timeline(self, tx: Tx, reward: str) -> Sequence[RewardLine]:
        rows = await connection_of(tx).fetch(_TIMELINE, reward)
        return [
            RewardLine(
                row["at_us"], RewardState(row["state"]), row["event"], row["key"], row["note"]
            )
            for row in rows
        ]

    async def open_incident(self, tx: Tx, incident: RewardIncident) -> bool:
        done = await connection_of(tx).execute(
            _OPEN_INCIDENT, incident.reward, incident.trouble, incident.opened_us, incident.note
        )
        return done == "INSERT 0 1"

    async def close_incident(
        self, tx: Tx, reward: str, trouble: RewardTrouble, now_us: int
    ) -> None:
        await connection_of(tx).execute(_CLOSE_INCIDENT, reward, trouble, now_us)

    async def incidents(self, tx: Tx, reward: str) -> Sequence[RewardIncident]:
        rows = await connection_of(tx).fetch(_INCIDENTS, reward)
        return [
            RewardIncident(
                row["reward"],
                RewardTrouble(row["trouble"]),
                row["opened_us"],
                row["note"],
                row["closed_us"],
            )
            for row in rows
        ]

    async def add_decision(self, tx: Tx, decision: RewardDecision) -> None:
        await connection_of(tx).execute(
            _DECIDE,
            decision.reward,
            decision.kind,
            decision.pool,
            decision.by,
            decision.reason,
            decision.at_us,
        )

    async def decision(self, tx: Tx, reward: str) -> RewardDecision | None:
        row = await connection_of(tx).fetchrow(_DECISION, reward)
        if row is None:
            return None
        return RewardDecision(
            reward=row["reward"],
            kind=RewardDecisionKind(row["kind"]),
            pool=PoolId(row["pool"]),
            by=row["decided_by"],
            reason=row["reason"],
            at_us=row["at_us"],
        )

    async def add_allocation(self, tx: Tx, allocation: Allocation, digest: str) -> None:
        connection = connection_of(tx)
        body = encode(allocation).decode()
        await connection.execute(_ADD_ALLOCATION, allocation.reward, body, digest)
        await connection.executemany(
            _ADD_PARTS,
            [
                (allocation.reward, at, part.order, part.user, part.weight, part.units)
                for at, part in enumerate(allocation.parts)
            ],
        )

    async def allocation(self, tx: Tx, reward: str) -> StoredAllocation | None:
        row = await connection_of(tx).fetchrow(
            "SELECT body, digest FROM business.reward_allocation WHERE reward = $1", reward
        )
        if row is None:
            return None
        return StoredAllocation(decode(row["body"].encode(), Allocation), row["digest"])

    async def parts_of_user(
        self, tx: Tx, user: UserId, after: str, limit: int
    ) -> Sequence[UserPart]:
        rows = await connection_of(tx).fetch(_PARTS_OF_USER, user, after, limit)
        return [UserPart(*row) for row in rows]

    async def credited(
        self, tx: Tx, orders: Sequence[OrderId]
    ) -> Mapping[OrderId, Mapping[str, int]]:
        found: dict[OrderId, dict[str, int]] = {}
        for row in await connection_of(tx).fetch(_CREDITED, list(orders)):
            found.setdefault(OrderId(row["order_id"]), {})[row["asset"]] = int(row["units"])
        return found

    async def totals(self, tx: Tx) -> Sequence[RewardTotals]:
        return [RewardTotals(**dict(row.items())) for row in await connection_of(tx).fetch(_TOTALS)]


class PgShareStore:
    """``ShareStore`` over PostgreSQL."""

    async def cursor(self, tx: Tx) -> ShareCursor:
        return _cursor(
            await connection_of(tx).fetchrow("SELECT seq, at_us FROM business.share_cursor")
        )

    async def lock_cursor(self, tx: Tx) -> ShareCursor:
        return _cursor(
            await connection_of(tx).fetchrow(
                "SELECT seq, at_us FROM business.share_cursor FOR UPDATE"
            )
        )

    async def apply(self, tx: Tx, changes: Sequence[ShareChange], cursor: ShareCursor) -> None:
        connection = connection_of(tx)
        await connection.executemany(
            _ADD_CHANGES,
            [(one.seq, one.at_us, one.pool, one.epoch, one.order, one.units) for one in changes],
        )
        await connection.execute(
            "UPDATE business.share_cursor SET seq = $1, at_us = $2", cursor.seq, cursor.at_us
        )

    async def opening(self, tx: Tx, pool: PoolId, at_us: int) -> Mapping[tuple[int, OrderId], int]:
        rows = await connection_of(tx).fetch(_OPENING, pool, at_us)
        return {(row["epoch"], OrderId(row["order_id"])): row["units"] for row in rows}

    async def changes(
        self, tx: Tx, pool: PoolId, after_us: int, to_us: int
    ) -> Sequence[ShareChange]:
        rows = await connection_of(tx).fetch(_CHANGES, pool, after_us, to_us)
        return [
            ShareChange(
                seq=row["seq"],
                at_us=row["at_us"],
                pool=PoolId(row["pool"]),
                epoch=row["epoch"],
                order=OrderId(row["order_id"]),
                units=row["units"],
            )
            for row in rows
        ]


async def _add_line(tx: Tx, reward: Reward, line: RewardLine) -> None:
    await connection_of(tx).execute(
        _ADD_LINE, reward.id, line.at_us, line.state, line.event, line.key, line.note
    )


def _cursor(row: Record | None) -> ShareCursor:
    ensure(row is not None, "the cursor of shares is missing")
    return ShareCursor(row["seq"], row["at_us"]) if row is not None else ShareCursor()


def _values(reward: Reward) -> tuple[object, ...]:
    seen = reward.seen
    return (
        reward.id,
        seen.key,
        seen.campaign,
        seen.location,
        seen.asset,
        seen.units,
        seen.from_us,
        seen.to_us,
        seen.transaction_id,
        seen.is_final,
        reward.seen_us,
        reward.state,
        reward.pool,
        reward.transfer,
        reward.dust_units,
        reward.fee_units,
        reward.users_units,
        reward.credited,
        reward.credited_units,
    )


def _reward(row: Record) -> Reward:
    seen = ObservedReward(
        key=row["key"],
        campaign=row["campaign"],
        location=row["location"],
        asset=row["asset"],
        units=row["units"],
        from_us=row["from_us"],
        to_us=row["to_us"],
        transaction_id=row["transaction_id"],
        is_final=row["is_final"],
    )
    return Reward(
        seen=seen,
        seen_us=row["seen_us"],
        state=RewardState(row["state"]),
        pool=PoolId(row["pool"]),
        transfer=row["transfer"],
        dust_units=row["dust_units"],
        fee_units=row["fee_units"],
        users_units=row["users_units"],
        credited=row["credited"],
        credited_units=row["credited_units"],
    )
