"""Access tokens: a JWT per request, whose digest covers the very bytes on the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.encoding import Malformed, demand, from_base64url, to_base64url
from poolmaker.mixin.codec.keys import is_signed, sign_with_seed

Claims = Mapping[str, Any]
FULL_SCOPE: Final = "FULL"
TTL_S: Final = 60
_HEADER: Final = {"alg": "EdDSA", "typ": "JWT"}
_TOKEN_CHARACTERS_MAX: Final = 8_192
_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as it is on the wire: ``uri`` is path and query, byte for byte."""

    method: str
    uri: str
    body: bytes = b""


def request_digest(request: WireRequest) -> str:
    """What a token says of its request."""
    require(request.uri.startswith("/"), f"uri: expected a path, was {request.uri!r}")
    text = (request.method.upper() + request.uri).encode()
    return hashlib.sha256(text + request.body).hexdigest()


def response_digest(request: WireRequest, response_body: bytes) -> str:
    """What a server's integrity token says of its answer."""
    text = (request.method.upper() + request.uri).encode()
    return hashlib.sha256(text + response_body).hexdigest()


@dataclass(frozen=True, slots=True)
class BotSession:
    """Who a bot is; the seed signs its tokens."""

    app_id: str
    session_id: str
    seed: bytes

    def __repr__(self) -> str:
        """Without the seed."""
        return f"BotSession({self.app_id})"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user granted to an app; the seed signs the app's calls for him."""

    app_id: str
    authorization_id: str
    scope: str
    seed: bytes

    def __repr__(self) -> str:
        """Without the seed."""
        return f"Grant({self.app_id}, {self.authorization_id})"


@dataclass(frozen=True, slots=True)
class Issue:
    """When a token is made, for how long, and for which request id."""

    request_id: str
    time_s: int
    ttl_s: int = TTL_S


def bot_claims(session: BotSession, request: WireRequest, issue: Issue) -> dict[str, Any]:
    """The claims of a bot's token."""
    who = {"uid": session.app_id, "sid": session.session_id}
    return who | _common(request, issue, FULL_SCOPE)


def grant_claims(grant: Grant, request: WireRequest, issue: Issue) -> dict[str, Any]:
    """The claims of a token for a user's data; its ``jti`` must be the request id."""
    who = {"iss": grant.app_id, "aid": grant.authorization_id}
    return who | _common(request, issue, grant.scope)


def _common(request: WireRequest, issue: Issue, scope: str) -> dict[str, Any]:
    return {
        "iat": issue.time_s,
        "exp": issue.time_s + issue.ttl_s,
        "jti": issue.request_id,
        "sig": request_digest(request),
        "scp": scope,
    }


def bot_token(session: BotSession, request: WireRequest, issue: Issue) -> str:
    """A bot's token for one request."""
    return sign_token(bot_claims(session, request, issue), session.seed)


def grant_token(grant: Grant, request: WireRequest, issue: Issue) -> str:
    """A token for one request on a user's data."""
    return sign_token(grant_claims(grant, request, issue), grant.seed)


def _part(value: Claims) -> str:
    return to_base64url(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def sign_token(claims: Claims, seed: bytes) -> str:
    """A token with these claims in this order."""
    text = f"{_part(_HEADER)}.{_part(claims)}"
    return f"{text}.{to_base64url(sign_with_seed(text.encode(), seed))}"


@dataclass(frozen=True, slots=True)
class DecodedToken:
    """A token that was read and not yet believed."""

    header: Claims
    claims: Claims
    signed_text: bytes
    signature: bytes

    def is_by(self, public_key: bytes) -> bool:
        """Whether the owner of ``public_key`` signed it."""
        return is_signed(self.signed_text, self.signature, public_key)


def read_token(text: str) -> DecodedToken:
    """The parts of a token; Malformed unless it is one of ours in form."""
    demand(len(text) <= _TOKEN_CHARACTERS_MAX, "token: too long")
    parts = text.split(".")
    demand(len(parts) == _PARTS, "token: expected three parts")
    header, claims = (_json(from_base64url(part)) for part in parts[:2])
    demand(header.get("alg") == "EdDSA", "token: not signed by EdDSA")
    signed_text = f"{parts[0]}.{parts[1]}".encode()
    return DecodedToken(header, claims, signed_text, from_base64url(parts[2]))


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("token: a part that is not JSON") from None
    demand(isinstance(value, dict), "token: a part that is not an object")
    return dict(value)


def check_times(claims: Claims, now_s: int, skew_s: int) -> None:
    """Raise Malformed unless the token is for now."""
    issued, expires = claims.get("iat"), claims.get("exp")
    demand(type(issued) is int and type(expires) is int, "token: no times")
    if isinstance(issued, int) and isinstance(expires, int):
        demand(issued <= now_s + skew_s, "token: from the future")
        demand(expires > now_s - skew_s, "token: expired")
