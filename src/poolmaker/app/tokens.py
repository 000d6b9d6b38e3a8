"""Tokens of the staff that lie in files, beside those that the API has granted.

A file is looked at with every request, so a token that is replaced there is let in at once and the
one before it is not. ``poolmaker token rotate`` writes a new one.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poolmaker.api.access import ROLE_SCOPES, Role, Scope
from poolmaker.api.tokens import (
    NEVER_US,
    NewToken,
    Principal,
    Tokens,
    TokenView,
    fresh_token,
    token_hash,
)
from poolmaker.infra.postgres.passwords import write_private
from poolmaker.infra.settings.model import Settings
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.ids import UserId
from poolmaker.kernel.rng import Rng

OPERATOR_TOKEN_FILE: Final = "operator.token"  # noqa: S105 - the name of a file
FILE_ID: Final = "file-"


def token_files(settings: Settings) -> dict[Role, Path]:
    """Where the tokens of the staff are: the operator's always, others where configured."""
    named = {
        Role.OPERATOR: settings.tokens.operator_token_file or settings.home / OPERATOR_TOKEN_FILE,
        Role.TREASURER: settings.tokens.treasurer_token_file,
        Role.VIEWER: settings.tokens.viewer_token_file,
    }
    return {role: file for role, file in named.items() if file is not None}


def make_missing(files: Mapping[Role, Path], rng: Rng) -> None:
    """Make the tokens that are not there yet, readable to this user alone. Never logged."""
    for role, file in files.items():
        if file.is_file():
            _read(role, file)
            continue
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(file, fresh_token(rng.fork(role)) + "\n")
        except OSError as error:
            raise EnvironmentProblem(
                f"the {role} token cannot be written to {file} ({error.strerror}); give this user "
                "the right to write there, or name another folder with POOLMAKER_HOME"
            ) from None


def _read(role: Role, file: Path) -> str:
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(
            f"the {role} token {file} cannot be read ({error}); run the platform as the user who "
            "owns it, or remove it to have a new one made"
        ) from None
    if not token:
        raise EnvironmentProblem(f"the {role} token {file} is empty; remove it to have one made")
    return token


@dataclass(slots=True)
class _Kept:
    """A file's token as it was read, and what the file looked like then."""

    stamp: tuple[int, int, int]
    hashed: bytes


class FileTokens:
    """``api.tokens.Tokens``: the files of the staff before those that were granted."""

    def __init__(self, files: Mapping[Role, Path], granted: Tokens) -> None:
        self._files = dict(files)
        self._granted = granted
        self._kept: dict[Role, _Kept] = {}

    def filed(self, token_hash: bytes) -> Principal | None:
        for role in self._files:
            hashed = self._hashed(role)
            if hashed is not None and hmac.compare_digest(hashed, token_hash):
                return Principal(role, role.value, None, ROLE_SCOPES[role], f"{FILE_ID}{role}")
        return None

    async def principal(self, token_hash: bytes) -> Principal | None:
        return self.filed(token_hash) or await self._granted.principal(token_hash)

    async def alive(self, token_ids: frozenset[str]) -> frozenset[str]:
        """A stream ends with its token; a file's lives while it is there."""
        mine = {f"{FILE_ID}{role}" for role in self._files if self._hashed(role) is not None}
        return (token_ids & mine) | await self._granted.alive(token_ids)

    async def approvers(self) -> frozenset[str]:
        mine = {role.value for role in self._files if Scope.APPROVE in ROLE_SCOPES[role]}
        return frozenset(mine) | await self._granted.approvers()

    async def unvouched(self) -> frozenset[tuple[str, str]]:
        """Who sets up the machine vouches for its files."""
        return await self._granted.unvouched()

    async def tokens(self, user_id: UserId | None, after: str, limit: int) -> list[TokenView]:
        """Those in files come first in the whole list."""
        mine = [] if user_id is not None else [_seen(role) for role in sorted(self._files)]
        shown = [one for one in mine if one.token_id > after]
        rest = await self._granted.tokens(user_id, after, limit)
        return sorted([*shown, *rest], key=lambda one: one.token_id)[:limit]

    async def token(self, token_id: str) -> TokenView | None:
        role = next((role for role in self._files if token_id == f"{FILE_ID}{role}"), None)
        return _seen(role) if role is not None else await self._granted.token(token_id)

    async def grant(self, token: NewToken) -> None:
        await self._granted.grant(token)

    async def revoke(self, token_id: str) -> None:
        """A file's token is replaced in its file."""
        await self._granted.revoke(token_id)

    async def revoke_all(self, user_id: UserId) -> None:
        await self._granted.revoke_all(user_id)

    def _hashed(self, role: Role) -> bytes | None:
        """The hash of the token that is in the file now; None where there is none."""
        file = self._files[role]
        try:
            found = file.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            kept = self._kept.get(role)
            if kept is None or kept.stamp != stamp:
                kept = _Kept(stamp, token_hash(_read(role, file)))
                self._kept[role] = kept
        except (OSError, EnvironmentProblem):
            return None
        return kept.hashed


def _seen(role: Role) -> TokenView:
    return TokenView(
        token_id=f"{FILE_ID}{role}",
        role=role,
        name=role,
        user_id="",
        scopes=tuple(sorted(ROLE_SCOPES[role])),
        granted_at_us=0,
        expires_at_us=NEVER_US,
        revoked_at_us=0,
        granted_by="configuration",
    )
