"""Login of users: codes, tokens, and what an app may see of whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from poolmaker.kernel.clock import MINUTE_US
from poolmaker.mixin.codec.encoding import Malformed, from_base64url, to_base64url
from poolmaker.mixin.codec.keys import check_point
from poolmaker.mixin.codec.login import challenge
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.model import MixinPerson, seed_from, uuid_from
from poolmaker.sandbox.mixin.world import MixinNetwork

CODE_LIFE_US: Final = 10 * MINUTE_US
CODES_MAX: Final = 1_000
PROFILE: Final = "PROFILE:READ"
ASSETS: Final = "ASSETS:READ"
SNAPSHOTS: Final = "SNAPSHOTS:READ"
SCOPES: Final = frozenset(
    {PROFILE, ASSETS, SNAPSHOTS, "PHONE:READ", "CONTACTS:READ", "MESSAGES:REPRESENT"}
)


@dataclass(frozen=True, slots=True)
class Code:
    """A user's consent on its way to the app."""

    user: MixinPerson
    client_id: str
    scope: str
    code_challenge: str
    made_us: int


@dataclass(frozen=True, slots=True)
class GrantedPermission:
    """An app may see what ``scope`` says of ``user``; with ``key`` it signs every call."""

    authorization_id: str
    user: MixinPerson
    client_id: str
    scope: str
    key: bytes | None


class Grants:
    """Codes and permissions of one server."""

    def __init__(self, world: MixinNetwork) -> None:
        self._world = world
        self._rng = world.rng.fork("grants")
        self._codes: dict[str, Code] = {}
        self._bearers: dict[str, GrantedPermission] = {}
        self._signed: dict[str, GrantedPermission] = {}

    def consent(
        self, user: MixinPerson, client_id: str, scopes: Sequence[str], code_challenge: str
    ) -> str:
        """The user agrees; the code that his browser carries back."""
        asked = [scope for scope in scopes if scope in SCOPES]
        if PROFILE not in asked or len(asked) != len(scopes):
            raise refusals.bad_field("scope")
        if client_id != self._world.bot.user_id:
            raise refusals.bad_field("client_id")
        code = seed_from(self._rng).hex()
        made_us = self._world.time_us()
        self._codes[code] = Code(user, client_id, " ".join(asked), code_challenge, made_us)
        if len(self._codes) > CODES_MAX:
            del self._codes[next(iter(self._codes))]
        return code

    def exchange(self, body: Any) -> dict[str, Any]:
        """A token for a code, once, for whoever proves that he asked for it."""
        if not isinstance(body, dict) or not all(isinstance(one, str) for one in body.values()):
            raise refusals.bad_field("body")
        code = self._codes.get(body.get("code", ""))
        if code is None or code.client_id != body.get("client_id"):
            raise refusals.code_expired()
        if self._world.time_us() - code.made_us > CODE_LIFE_US:
            raise refusals.code_expired()
        self._prove(code, body)
        key = _key(body["ed25519"]) if body.get("ed25519") else None
        del self._codes[body["code"]]
        made = GrantedPermission(uuid_from(self._rng), code.user, code.client_id, code.scope, key)
        answer = {"authorization_id": made.authorization_id, "scope": made.scope}
        if key is not None:
            self._signed[made.authorization_id] = made
            return answer | {"ed25519": to_base64url(self._world.server_key)}
        token = seed_from(self._rng).hex()
        self._bearers[token] = made
        return answer | {"access_token": token}

    def _prove(self, code: Code, body: dict[str, str]) -> None:
        if body.get("client_secret"):
            if body["client_secret"] != self._world.bot.client_secret:
                raise refusals.unauthorized("client_secret")
            return
        try:
            proven = bool(code.code_challenge) and (
                challenge(body.get("code_verifier", "")) == code.code_challenge
            )
        except Malformed:
            proven = False
        if not proven:
            raise refusals.bad_field("code_verifier")

    def by_bearer(self, token: str) -> GrantedPermission | None:
        """The permission behind an opaque token."""
        return self._bearers.get(token)

    def by_id(self, authorization_id: str) -> GrantedPermission | None:
        """The permission whose calls are signed."""
        return self._signed.get(authorization_id)

    def revoke(self, user: MixinPerson) -> int:
        """The user takes back everything he granted; how much that was."""
        before = len(self._bearers) + len(self._signed)
        self._bearers = {k: v for k, v in self._bearers.items() if v.user is not user}
        self._signed = {k: v for k, v in self._signed.items() if v.user is not user}
        return before - len(self._bearers) - len(self._signed)


def _key(text: str) -> bytes:
    try:
        return check_point(from_base64url(text))
    except Malformed:
        raise refusals.bad_field("ed25519") from None
