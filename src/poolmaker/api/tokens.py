"""Tokens: what they may do, for how long, and who issued them. A token itself is never stored."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from poolmaker.api.access import ROLE_SCOPES, Role, Scope
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.rng import Rng

DAYS_DEFAULT: Final = 90
DAYS_MAX: Final = 366
NEVER_US: Final = 2**62


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, and with which token. A person keeps the name when a token is rotated."""

    role: Role
    name: str
    user_id: UserId | None = None
    scopes: frozenset[Scope] = frozenset()
    token_id: str = ""
    expires_us: int = NEVER_US
    binds_wallet: bool = False
    """A user's token from before wallets were bound, or issued by one: the user's own hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token as it is listed. Times are microseconds since the Unix epoch, 0 for never."""

    token_id: str
    role: str
    name: str
    user_id: str
    scopes: tuple[str, ...]
    granted_at_us: int
    expires_at_us: int
    revoked_at_us: int
    granted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to grant. The same ``token_id`` again replaces its hash: one grant, one token."""

    token_id: str
    token_hash: bytes
    role: Role
    name: str
    user_id: UserId | None
    scopes: frozenset[Scope]
    expires_us: int
    granted_by: str
    binds_wallet: bool = False
    vouched: bool = False
    """Of the staff: somebody else than ``granted_by`` agreed that it is for another person."""


class Tokens(Protocol):
    """The hashes of tokens, and whom they let in."""

    async def grant(self, token: NewToken) -> None:
        """Let the token in until it expires or is revoked."""
        ...

    def filed(self, token_hash: bytes) -> Principal | None:
        """Whose token this is, if it lies in a file of the staff; asks nothing of the database."""
        ...

    async def principal(self, token_hash: bytes) -> Principal | None:
        """Whose token this is; None for an unknown, expired or revoked one."""
        ...

    async def token(self, token_id: str) -> TokenView | None:
        """One token, or None."""
        ...

    async def tokens(self, user_id: UserId | None, after: str, limit: int) -> list[TokenView]:
        """Tokens of one user or of all, by id after ``after``."""
        ...

    async def alive(self, token_ids: frozenset[str]) -> frozenset[str]:
        """Which of these tokens are let in now."""
        ...

    async def revoke(self, token_id: str) -> None:
        """Let it in no more, from now on; revoked once, it stays so."""
        ...

    async def revoke_all(self, user_id: UserId) -> None:
        """Revoke every token of a user."""
        ...

    async def approvers(self) -> frozenset[str]:
        """Names of everybody who may approve, or could until less than the approval delay ago."""
        ...

    async def unvouched(self) -> frozenset[tuple[str, str]]:
        """Names of the staff that nobody else vouched for, each with who granted its token.

        For ever: a name is not another person's because its token has ended.
        """
        ...


def token_hash(token: str) -> bytes:
    """What is stored of a token. Tokens have 256 bits of chance, so one round is enough."""
    return hashlib.sha256(token.encode()).digest()


def fresh_token(rng: Rng) -> str:
    """A new token of 256 bits of chance: shown once, never stored."""
    return f"pm_{rng.bits(256):064x}"


def hand_of(name: str, unvouched: Collection[tuple[str, str]]) -> frozenset[str]:
    """Every name that may be the same person as ``name``: linked by grants of one person alone."""
    hand, found = frozenset[str](), frozenset({name})
    while found != hand:
        hand = found
        found = hand.union(*(pair for pair in unvouched if hand.intersection(pair)))
    return hand


def scopes_of(role: Role, wanted: frozenset[Scope] | None) -> frozenset[Scope]:
    """The scopes that a token of ``role`` gets: those wanted that the role has; None for all."""
    return ROLE_SCOPES[role] if wanted is None else ROLE_SCOPES[role] & wanted


def expiry_us(now_us: int, days: int | None) -> int:
    """When a token expires that is granted now for so many days."""
    return now_us + min(days or DAYS_DEFAULT, DAYS_MAX) * DAY_US
