"""Rows of tokens and of Idempotency-Keys."""

from __future__ import annotations

from poolmaker.api.ports import Claim, Principal, Role
from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import UserId

_GRANT = """
INSERT INTO api.token (token_hash, role, name, user_id, granted_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (token_hash) DO NOTHING
"""
_PRINCIPAL = """
SELECT role, name, user_id FROM api.token WHERE token_hash = $1 AND revoked_us IS NULL
"""
_CLAIM = """
INSERT INTO api.request (caller, key, fingerprint, made_id, claimed_us)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (caller, key) DO NOTHING
"""
_CLAIMED = """
SELECT fingerprint, made_id, status, body FROM api.request WHERE caller = $1 AND key = $2
"""
_ANSWER = """
UPDATE api.request SET status = $3, body = $4
WHERE caller = $1 AND key = $2 AND status IS NULL
"""


class ApiStore:
    """``Tokens`` and ``Requests`` in PostgreSQL."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def grant(self, token_hash: bytes, role: Role, name: str, user_id: UserId | None) -> None:
        """See ``Tokens.grant``."""
        async with self._transactions.begin("api.grant") as tx:
            now_us = self._clock.now_us()
            await connection_of(tx).execute(_GRANT, token_hash, role, name, user_id, now_us)

    async def principal(self, token_hash: bytes) -> Principal | None:
        """See ``Tokens.principal``."""
        async with self._transactions.begin("api.principal") as tx:
            row = await connection_of(tx).fetchrow(_PRINCIPAL, token_hash)
        if row is None:
            return None
        user_id = UserId(row["user_id"]) if row["user_id"] is not None else None
        return Principal(Role(row["role"]), row["name"], user_id)

    async def claim(self, caller: str, key: str, fingerprint: bytes, fresh_id: str) -> Claim:
        """See ``Requests.claim``."""
        async with self._transactions.begin("api.claim") as tx:
            connection, now_us = connection_of(tx), self._clock.now_us()
            await connection.execute(_CLAIM, caller, key, fingerprint, fresh_id, now_us)
            (row,) = await connection.fetch(_CLAIMED, caller, key)
        answer = None if row["status"] is None else (row["status"], row["body"])
        return Claim(row["made_id"], same=row["fingerprint"] == fingerprint, answer=answer)

    async def answered(self, caller: str, key: str, status: int, body: bytes) -> None:
        """See ``Requests.answered``."""
        async with self._transactions.begin("api.answered") as tx:
            await connection_of(tx).execute(_ANSWER, caller, key, status, body)
