"""Rows of approvals and of their history."""

from __future__ import annotations

from typing import Final

from poolmaker.infra.approvals.model import Approval, ApprovalState, ApprovalStep
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import ApprovalId, content_hash

_INSERT: Final = """
INSERT INTO infra.approval (id, action, subject, body, digest, state, requested_by, requested_us)
VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7)
ON CONFLICT (action, subject, digest) WHERE state IN ('waiting', 'approved') DO NOTHING
"""
_BY_CONTENT: Final = """
SELECT * FROM infra.approval
WHERE action = $1 AND subject = $2 AND digest = $3 AND state IN ('waiting', 'approved') FOR UPDATE
"""
_USED_BY: Final = """
SELECT * FROM infra.approval
WHERE used_for = $1 AND action = $2 AND subject = $3 AND digest = $4
"""
_GRANTED: Final = """
SELECT * FROM infra.approval WHERE used_for = $1 AND action = $2 AND subject = $3
ORDER BY id LIMIT 1
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 24))"
_ALONE: Final = """
SELECT body FROM infra.approval
WHERE action = $1 AND subject = $2 AND state IN ('approved', 'used') AND approved_us > $3
"""
_BY_ID: Final = "SELECT * FROM infra.approval WHERE id = $1 FOR UPDATE"
_PAGE: Final = """
SELECT * FROM infra.approval
WHERE id > $1 AND ($3 OR state IN ('waiting', 'approved')) ORDER BY id LIMIT $2
"""
_MOVE: Final = """
UPDATE infra.approval
SET state = $3, approved_by = $4, approved_us = $5, used_for = $6
WHERE id = $1 AND state = $2
"""
_STEP: Final = """
INSERT INTO infra.approval_step (approval_id, state, event, by, at_us) VALUES ($1, $2, $3, $4, $5)
"""
_STEPS: Final = """
SELECT state, event, by, at_us FROM infra.approval_step WHERE approval_id = $1 ORDER BY step
"""


class ApprovalStore:
    """Approvals in PostgreSQL. Every method runs in the caller's transaction."""

    async def insert(self, tx: Tx, approval: Approval) -> None:
        """Keep a new request; no effect where the same action is open already."""
        digest = content_hash(approval.body)
        done = await connection_of(tx).execute(
            _INSERT,
            approval.id,
            approval.action,
            approval.subject,
            approval.body,
            digest,
            approval.requested_by,
            approval.requested_us,
        )
        if done == "INSERT 0 1":
            step = ApprovalStep(
                approval.state, "requested", approval.requested_by, approval.requested_us
            )
            await self._note(tx, approval.id, step)

    async def open_for(self, tx: Tx, action: str, subject: str, body: bytes) -> Approval | None:
        """The open approval of exactly this action, locked; None when there is none."""
        digest = content_hash(body)
        row = await connection_of(tx).fetchrow(_BY_CONTENT, action, subject, digest)
        return _approval(row) if row is not None else None

    async def used_by(
        self, tx: Tx, request_id: str, action: str, subject: str, body: bytes
    ) -> Approval | None:
        """The approval of exactly this action that this request has used, or None."""
        digest = content_hash(body)
        row = await connection_of(tx).fetchrow(_USED_BY, request_id, action, subject, digest)
        return _approval(row) if row is not None else None

    async def granted(self, tx: Tx, request_id: str, action: str, subject: str) -> Approval | None:
        """The approval of this action that this request has used, whatever its body, or None."""
        row = await connection_of(tx).fetchrow(_GRANTED, request_id, action, subject)
        return _approval(row) if row is not None else None

    async def lock_limit(self, tx: Tx, action: str, subject: str) -> None:
        """Nobody else counts against that limit until the transaction ends."""
        await connection_of(tx).execute(_LOCK, action, subject)

    async def alone_since(
        self, tx: Tx, action: str, subject: str, since_us: int
    ) -> tuple[bytes, ...]:
        """Bodies of what one person did, or is about to do, after ``since_us``."""
        rows = await connection_of(tx).fetch(_ALONE, action, subject, since_us)
        return tuple(row["body"] for row in rows)

    async def find(self, tx: Tx, approval_id: ApprovalId) -> Approval | None:
        """One approval, locked, or None."""
        row = await connection_of(tx).fetchrow(_BY_ID, approval_id)
        return _approval(row) if row is not None else None

    async def page(
        self, tx: Tx, after: ApprovalId, limit: int, *, ended: bool
    ) -> tuple[Approval, ...]:
        """Approvals by id, the oldest first; without ``ended`` only those still open."""
        rows = await connection_of(tx).fetch(_PAGE, after, limit, ended)
        return tuple(_approval(row) for row in rows)

    async def move(self, tx: Tx, before: Approval, after: Approval, step: ApprovalStep) -> Approval:
        """Compare-and-set from ``before`` to ``after`` with its line of history."""
        moved = await connection_of(tx).execute(
            _MOVE,
            before.id,
            before.state.value,
            after.state.value,
            after.approved_by,
            after.approved_us,
            after.used_for,
        )
        ensure(moved == "UPDATE 1", f"approval {before.id} moved while it was locked")
        await self._note(tx, before.id, step)
        return after

    async def steps(self, tx: Tx, approval_id: ApprovalId) -> tuple[ApprovalStep, ...]:
        """The history of one approval in order."""
        rows = await connection_of(tx).fetch(_STEPS, approval_id)
        return tuple(
            ApprovalStep(ApprovalState(row["state"]), row["event"], row["by"], row["at_us"])
            for row in rows
        )

    async def _note(self, tx: Tx, approval_id: ApprovalId, step: ApprovalStep) -> None:
        await connection_of(tx).execute(
            _STEP, approval_id, step.state.value, step.event, step.by, step.at_us
        )


def _approval(row: Record) -> Approval:
    return Approval(
        id=ApprovalId(row["id"]),
        action=row["action"],
        subject=row["subject"],
        body=row["body"],
        state=ApprovalState(row["state"]),
        requested_by=row["requested_by"],
        requested_us=row["requested_us"],
        approved_by=row["approved_by"],
        approved_us=row["approved_us"],
        used_for=row["used_for"],
    )
