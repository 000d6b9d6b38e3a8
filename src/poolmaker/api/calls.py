"""What every call goes through: who is calling, may he, was this key used, and the answer."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response

from poolmaker.api.ports import Platform, Principal, Refused, Role
from poolmaker.api.problems import MEDIA_TYPE, Problem, body_of
from poolmaker.kernel.ids import CorrelationId, UserId
from poolmaker.kernel.money import UNITS_MAX, parse_units
from poolmaker.kernel.rng import Rng
from poolmaker.views.model import Money

KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
_KEY: Final = re.compile(r"[!-~]{8,100}")
_BEARER: Final = re.compile(r"Bearer ([!-~]{16,200})")
_CREATED: Final = 201

EVERYBODY: Final = frozenset(Role)
STAFF: Final = frozenset({Role.VIEWER, Role.OPERATOR, Role.TREASURER})
OPERATOR: Final = frozenset({Role.OPERATOR})
OWNERS: Final = frozenset({Role.USER, Role.OPERATOR})


def token_hash(token: str) -> bytes:
    """What is stored of a token. Tokens have 256 bits of chance, so one round is enough."""
    return hashlib.sha256(token.encode()).digest()


def fresh_token(rng: Rng) -> str:
    """A new token of 256 bits of chance: shown once, never stored."""
    return f"pm_{rng.bits(256):064x}"


def new_token(platform: Platform) -> str:
    """A new token: shown once, never stored."""
    return fresh_token(platform.rng)


def json_answer(value: object, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def platform_of(request: Request) -> Platform:
    """The platform that this application was made for."""
    found: Platform = request.app.state.platform
    return found


async def principal_of(request: Request) -> Principal:
    """Who is calling; raises ``unauthenticated`` where nobody known is."""
    platform = platform_of(request)
    match = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise Problem("unauthenticated")
    hashed = token_hash(match[1])
    if hmac.compare_digest(hashed, platform.operator_token_hash):
        return Principal(Role.OPERATOR, "operator")
    principal = await platform.tokens.principal(hashed)
    if principal is None:
        raise Problem("unauthenticated")
    return principal


class Allow:
    """A route's dependency: lets the named roles in and answers who it is."""

    def __init__(self, roles: frozenset[Role]) -> None:
        self.roles = roles

    async def __call__(self, request: Request) -> Principal:
        """The caller, if his role is one of these."""
        principal = await principal_of(request)
        if principal.role not in self.roles:
            roles = ", ".join(sorted(self.roles))
            raise Problem("forbidden", {"role": principal.role, "roles": roles})
        return principal


def own(principal: Principal, user_id: str) -> UserId:
    """The user whose things are asked for; a user's own are the only ones there are for him."""
    if principal.role is Role.USER and principal.user_id != user_id:
        raise Problem("not_found")
    return UserId(user_id)


async def money_of(platform: Platform, asset: str, amount: str, *, positive: bool = True) -> Money:
    """The exact amount, checked against the asset register; ``positive`` refuses zero."""
    assets = {known.code: known for known in await platform.reading.assets()}
    if asset not in assets:
        raise Problem("unknown_asset", {"asset": asset, "assets": ", ".join(sorted(assets))})
    scale = assets[asset].scale
    _, _, fraction = amount.partition(".")
    fits = len(fraction.rstrip("0")) <= scale
    units = parse_units(amount, scale) if fits else 0
    if not fits or units > UNITS_MAX or (positive and units == 0):
        raise Problem("bad_amount", {"asset": asset, "scale": str(scale)})
    return Money(asset, amount)


def unless_refused(value: Any) -> Any:
    """The value, or the problem that a refusal is."""
    if isinstance(value, Refused):
        raise Problem(value.code, dict(value.facts))
    return value


Effect = Callable[[str], Awaitable[object]]


async def once(request: Request, principal: Principal, fresh_id: str, effect: Effect) -> Response:
    """Do ``effect`` under the request's Idempotency-Key and store its answer.

    ``effect`` gets the id that the key stands for, which is the same at every try. Refusals are
    answers and are stored too; what is not known (503) is not, so that the caller may ask again.
    """
    platform = platform_of(request)
    key = request.headers.get(KEY_HEADER, "")
    if _KEY.fullmatch(key) is None:
        raise Problem("key_missing")
    caller = f"{principal.role}:{principal.user_id or principal.name}"
    fingerprint = hashlib.sha256(
        f"{request.method} {request.url.path}\n".encode() + await request.body()
    ).digest()
    claim = await platform.requests.claim(caller, key, fingerprint, fresh_id)
    if not claim.same:
        raise Problem("key_conflict")
    if claim.answer is not None:
        return _replayed(*claim.answer)
    try:
        answer = json_answer(unless_refused(await effect(claim.made_id)), _CREATED)
    except Problem as problem:
        answer = _refusal(request, problem)
    await platform.requests.answered(caller, key, answer.status_code, _storable(answer))
    return answer


def _refusal(request: Request, problem: Problem) -> Response:
    correlation: CorrelationId = request.state.correlation
    body = body_of(problem, correlation, request.state.language)
    return Response(msgspec.json.encode(body), problem.status, media_type=MEDIA_TYPE)


def _storable(answer: Response) -> bytes:
    """The answer without a token: that is shown once and never stored."""
    content: Any = msgspec.json.decode(answer.body)
    if isinstance(content, dict) and "token" in content:
        content["token"] = None
    return msgspec.json.encode(content)


def _replayed(status: int, body: bytes) -> Response:
    kind = "application/json" if status == _CREATED else MEDIA_TYPE
    return Response(body, status, {REPLAYED_HEADER: "true"}, kind)
