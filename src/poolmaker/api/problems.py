"""Errors as problem+json (RFC 9457): what happened, what it means for the money, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from starlette.responses import Response

from poolmaker.kernel.ids import CorrelationId
from poolmaker.views.catalogue import Catalogues

MEDIA_TYPE: Final = "application/problem+json"
CORRELATION_HEADER: Final = "Correlation-Id"

_STATUS: Final = {
    "key_missing": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "scope_missing": 403,
    "not_found": 404,
    "unknown_user": 404,
    "unknown_pool": 404,
    "unknown_scope": 404,
    "unknown_order": 404,
    "unknown_incident": 404,
    "unknown_approval": 404,
    "unknown_asset": 404,
    "unknown_payment": 404,
    "sandbox_only": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "invalid": 422,
    "unsupported_media_type": 415,
    "too_many_requests": 429,
    "too_many_streams": 429,
    "internal": 500,
    "busy": 503,
    "unavailable": 503,
    "outcome_unknown": 503,
}
_REFUSAL_STATUS: Final = 409
_RETRY_AFTER_S: Final = {429: 1, 503: 2}

_UNAUTHENTICATED: Final = 401

CATALOGUES: Final = Catalogues(Path(__file__).parent / "catalogues")


class ApiProblem(Exception):
    """Raised by a route: ends the request with this problem and moves nothing."""

    def __init__(
        self, code: str, facts: Mapping[str, str] | None = None, *, retry_after_s: int = 0
    ) -> None:
        super().__init__(code)
        self.code = code
        self.facts = dict(facts or {})
        self.retry_after_s = retry_after_s or _RETRY_AFTER_S.get(self.status, 0)

    @property
    def status(self) -> int:
        """The HTTP status of the code; a refusal that has none of its own is a conflict."""
        return _STATUS.get(self.code, _REFUSAL_STATUS)


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client reads. ``detail`` is the three sentences together."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    money: str
    what_to_do: str
    correlation_id: str
    facts: dict[str, str]


def body_of(problem: ApiProblem, correlation: CorrelationId, language: str) -> ProblemBody:
    """The sentences of a problem in a language; a code without its own reads as refused."""
    words = CATALOGUES.words(language)
    known = words.has(f"problem.{problem.code}.happened")
    key = f"problem.{problem.code if known else 'refused'}"
    facts = {"code": problem.code, **problem.facts}
    happened, money, advice = (
        words.say(f"{key}.{p}", **facts) for p in ("happened", "money", "do")
    )
    return ProblemBody(
        type=f"urn:poolmaker:problem:{problem.code}",
        title=happened,
        status=problem.status,
        detail=f"{happened} {money} {advice}",
        code=problem.code,
        money=money,
        what_to_do=advice,
        correlation_id=correlation,
        facts=problem.facts,
    )


def answer(problem: ApiProblem, correlation: CorrelationId, accept_language: str) -> Response:
    """The response of a problem."""
    language = CATALOGUES.negotiate(accept_language)
    headers = {"Content-Language": language}
    if problem.retry_after_s:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == _UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        msgspec.json.encode(body_of(problem, correlation, language)),
        problem.status,
        headers,
        MEDIA_TYPE,
    )
