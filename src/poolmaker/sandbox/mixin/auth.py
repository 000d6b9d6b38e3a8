"""Who calls: every token is judged over the raw bytes of its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.mixin.codec.encoding import Malformed
from poolmaker.mixin.codec.tokens import (
    FULL_SCOPE,
    Claims,
    DecodedToken,
    WireRequest,
    check_times,
    read_token,
    request_digest,
)
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.grants import GrantedPermission, Grants
from poolmaker.sandbox.mixin.model import MixinPerson
from poolmaker.sandbox.mixin.world import MixinNetwork

SKEW_S: Final = 300
_BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True)
class MixinCaller:
    """Whose data, and within which scopes; his own session may do everything."""

    person: MixinPerson
    scope: str
    permission: GrantedPermission | None = None

    def may(self, scope: str) -> bool:
        """Whether the call is within what was granted."""
        return self.scope == FULL_SCOPE or scope in self.scope.split(" ")


class Doorkeeper:
    """Turns an Authorization header into a Caller, or refuses with 401."""

    def __init__(self, world: MixinNetwork, grants: Grants) -> None:
        self._world = world
        self._grants = grants

    def identify(self, header: str, request: WireRequest, request_id: str) -> MixinCaller:
        """The caller of ``request``."""
        if not header.startswith(_BEARER):
            raise refusals.unauthorized("no bearer token")
        text = header.removeprefix(_BEARER)
        opaque = self._grants.by_bearer(text)
        if opaque is not None:
            return MixinCaller(opaque.user, opaque.scope, opaque)
        try:
            return self._judge(read_token(text), request, request_id)
        except Malformed as problem:
            raise refusals.unauthorized(str(problem)) from None

    def _judge(self, token: DecodedToken, request: WireRequest, request_id: str) -> MixinCaller:
        check_times(token.claims, self._world.clock.now_us() // 1_000_000, SKEW_S)
        if token.claims.get("sig") != request_digest(request):
            raise refusals.unauthorized("sig is not of this request")
        if "aid" in token.claims:
            return self._granted(token, request_id)
        person = self._world.people.get(_text(token.claims, "uid"))
        if person is None or person.session_id != _text(token.claims, "sid"):
            raise refusals.unauthorized("no such session")
        if not token.is_by(person.session_key):
            raise refusals.unauthorized("signature")
        return MixinCaller(person, FULL_SCOPE)

    def _granted(self, token: DecodedToken, request_id: str) -> MixinCaller:
        found = self._grants.by_id(_text(token.claims, "aid"))
        if found is None or found.key is None or found.client_id != _text(token.claims, "iss"):
            raise refusals.unauthorized("no such authorization")
        if not token.is_by(found.key):
            raise refusals.unauthorized("signature")
        if _text(token.claims, "jti") != request_id or token.claims.get("scp") != found.scope:
            raise refusals.unauthorized("jti or scp")
        return MixinCaller(found.user, found.scope, found)


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) else ""
