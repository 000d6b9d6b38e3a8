"""Rows of tokens and of Idempotency-Keys."""

from __future__ import annotations

from typing import Final

from poolmaker.api.access import Role, Scope
from poolmaker.api.ports import Claim
from poolmaker.api.tokens import NewToken, Principal, TokenView
from poolmaker.infra.database import Record, connection_of
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.ids import UserId

CLAIM_US: Final = 30 * SECOND_US

_GRANT: Final = """
INSERT INTO api.token
    (token_id, token_hash, role, name, user_id, scopes, granted_us, expires_us, granted_by,
     binds_wallet, vouched)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (token_id) DO UPDATE SET token_hash = $2
WHERE token.revoked_us IS NULL AND token.granted_by = $9 AND token.binds_wallet = $10
"""
_PRINCIPAL: Final = """
SELECT role, name, user_id, scopes, token_id, expires_us, binds_wallet FROM api.token
WHERE token_hash = $1 AND revoked_us IS NULL AND expires_us > $2
"""
_TOKEN: Final = "SELECT * FROM api.token WHERE token_id = $1"  # noqa: S105 - a statement
_TOKENS: Final = """
SELECT * FROM api.token
WHERE token_id > $2 AND ($1::text IS NULL OR user_id = $1) ORDER BY token_id LIMIT $3
"""
_ALIVE: Final = """
SELECT token_id FROM api.token
WHERE token_id = ANY ($1::text[]) AND revoked_us IS NULL AND expires_us > $2
"""
_REVOKE: Final = "UPDATE api.token SET revoked_us = $2 WHERE token_id = $1 AND revoked_us IS NULL"
_REVOKE_ALL: Final = """
UPDATE api.token SET revoked_us = $2 WHERE user_id = $1 AND revoked_us IS NULL
"""
_APPROVERS: Final = """
SELECT DISTINCT name FROM api.token
WHERE 'approve' = ANY (scopes) AND coalesce(revoked_us, expires_us) > $1 AND expires_us > $1
"""
_UNVOUCHED: Final = """
SELECT DISTINCT name, granted_by FROM api.token
WHERE role <> 'user' AND NOT vouched AND name <> granted_by
"""
_CLAIM: Final = """
INSERT INTO api.request AS kept
    (caller, key, fingerprint, made_id, claimed_us, working_until_us)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (caller, key) DO UPDATE SET working_until_us = $6
WHERE kept.status IS NULL AND kept.working_until_us <= $5 AND kept.fingerprint = $3
RETURNING made_id
"""
_CLAIMED: Final = """
SELECT fingerprint, made_id, status, body FROM api.request WHERE caller = $1 AND key = $2
"""
_ANSWER: Final = """
UPDATE api.request SET status = $3, body = $4
WHERE caller = $1 AND key = $2 AND status IS NULL
"""
_GIVE_UP: Final = """
UPDATE api.request SET working_until_us = 0
WHERE caller = $1 AND key = $2 AND made_id = $3 AND status IS NULL
"""
_FORGET: Final = """
DELETE FROM api.request WHERE (caller, key) IN (
    SELECT caller, key FROM api.request
    WHERE status < 500 AND claimed_us < $1 ORDER BY claimed_us LIMIT $2
)
"""


class ApiStore:
    """``Tokens`` and ``Requests`` in PostgreSQL. ``delay_us`` is that of approvals."""

    def __init__(self, transactions: Transactions, clock: Clock, delay_us: int) -> None:
        self._transactions = transactions
        self._clock = clock
        self._delay_us = delay_us

    async def grant(self, token: NewToken) -> None:
        async with self._transactions.begin("api.grant") as tx:
            await connection_of(tx).execute(
                _GRANT,
                token.token_id,
                token.token_hash,
                token.role,
                token.name,
                token.user_id,
                sorted(token.scopes),
                self._clock.now_us(),
                token.expires_us,
                token.granted_by,
                token.binds_wallet,
                token.vouched,
            )

    def filed(self, token_hash: bytes) -> Principal | None:  # noqa: ARG002
        """None of these tokens lies in a file."""
        return None

    async def principal(self, token_hash: bytes) -> Principal | None:
        async with self._transactions.begin("api.principal") as tx:
            now_us = self._clock.now_us()
            row = await connection_of(tx).fetchrow(_PRINCIPAL, token_hash, now_us)
        if row is None:
            return None
        user_id = UserId(row["user_id"]) if row["user_id"] is not None else None
        return Principal(
            role=Role(row["role"]),
            name=row["name"],
            user_id=user_id,
            scopes=frozenset(map(Scope, row["scopes"])),
            token_id=row["token_id"],
            expires_us=row["expires_us"],
            binds_wallet=row["binds_wallet"],
        )

    async def token(self, token_id: str) -> TokenView | None:
        async with self._transactions.begin("api.token") as tx:
            row = await connection_of(tx).fetchrow(_TOKEN, token_id)
        return _seen(row) if row is not None else None

    async def tokens(self, user_id: UserId | None, after: str, limit: int) -> list[TokenView]:
        async with self._transactions.begin("api.tokens") as tx:
            rows = await connection_of(tx).fetch(_TOKENS, user_id, after, limit)
        return [_seen(row) for row in rows]

    async def alive(self, token_ids: frozenset[str]) -> frozenset[str]:
        async with self._transactions.begin("api.alive") as tx:
            rows = await connection_of(tx).fetch(_ALIVE, sorted(token_ids), self._clock.now_us())
        return frozenset(row["token_id"] for row in rows)

    async def revoke(self, token_id: str) -> None:
        async with self._transactions.begin("api.revoke") as tx:
            await connection_of(tx).execute(_REVOKE, token_id, self._clock.now_us())

    async def revoke_all(self, user_id: UserId) -> None:
        async with self._transactions.begin("api.revoke_all") as tx:
            await connection_of(tx).execute(_REVOKE_ALL, user_id, self._clock.now_us())

    async def approvers(self) -> frozenset[str]:
        async with self._transactions.begin("api.approvers") as tx:
            since_us = self._clock.now_us() - self._delay_us
            rows = await connection_of(tx).fetch(_APPROVERS, since_us)
        return frozenset(row["name"] for row in rows)

    async def unvouched(self) -> frozenset[tuple[str, str]]:
        async with self._transactions.begin("api.unvouched") as tx:
            rows = await connection_of(tx).fetch(_UNVOUCHED)
        return frozenset((row["name"], row["granted_by"]) for row in rows)

    async def claim(self, caller: str, key: str, fingerprint: bytes, fresh_id: str) -> Claim:
        async with self._transactions.begin("api.claim") as tx:
            connection, now_us = connection_of(tx), self._clock.now_us()
            until_us = now_us + CLAIM_US
            mine = await connection.fetchval(
                _CLAIM, caller, key, fingerprint, fresh_id, now_us, until_us
            )
            (row,) = await connection.fetch(_CLAIMED, caller, key)
        answer = None if row["status"] is None else (row["status"], row["body"])
        same = row["fingerprint"] == fingerprint
        return Claim(row["made_id"], same=same, answer=answer, is_mine=mine is not None)

    async def answered(self, caller: str, key: str, status: int, body: bytes) -> None:
        async with self._transactions.begin("api.answered") as tx:
            await connection_of(tx).execute(_ANSWER, caller, key, status, body)

    async def given_up(self, caller: str, key: str, made_id: str) -> None:
        async with self._transactions.begin("api.given_up") as tx:
            await connection_of(tx).execute(_GIVE_UP, caller, key, made_id)

    async def forget(self, before_us: int, limit: int) -> int:
        async with self._transactions.begin("api.forget") as tx:
            done: str = await connection_of(tx).execute(_FORGET, before_us, limit)
        return int(done.rpartition(" ")[2])


def _seen(row: Record) -> TokenView:
    return TokenView(
        token_id=row["token_id"],
        role=row["role"],
        name=row["name"],
        user_id=row["user_id"] or "",
        scopes=tuple(row["scopes"]),
        granted_at_us=row["granted_us"],
        expires_at_us=row["expires_us"],
        revoked_at_us=row["revoked_us"] or 0,
        granted_by=row["granted_by"],
    )
