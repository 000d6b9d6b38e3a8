"""The OpenAPI description: what a generated client needs to know of every route."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from poolmaker.api.problems import MEDIA_TYPE

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "What happened, what it means for the money, what to do (RFC 9457).",
    "required": [
        "type", "title", "status", "detail", "code", "money", "what_to_do", "correlation_id",
        "facts",
    ],
    "properties": {
        **{
            name: {"type": "string"}
            for name in (
                "type", "title", "detail", "code", "money", "what_to_do", "correlation_id"
            )
        },
        "status": {"type": "integer"},
        "facts": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}  # fmt: skip
_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": (
        "A new one for each request; the same one again is answered the same, for a week at least."
    ),
    "schema": {"type": "string", "minLength": 8, "maxLength": 100, "pattern": "^[!-~]{8,100}$"},
}
_ALWAYS: Final = {
    "401": "No token that is known, not expired and not revoked.",
    "403": "The role or the token's scope does not allow it.",
    "404": "There is no such thing, or it is another user's.",
    "422": "A parameter or the body does not have its form.",
    "429": "A budget of this caller is used up; Retry-After says when to come again.",
    "503": "It cannot be answered now; the same request may be sent again.",
}
_CHANGING: Final = {
    "400": "The Idempotency-Key is missing or has another form.",
    "409": "Refused: the code says why, nothing moved.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
}
_BY_ITSELF: Final = "x-idempotent-by-itself"
WITHOUT_KEY: Final = {_BY_ITSELF: True}
"""``openapi_extra`` of a POST that reads no Idempotency-Key, because it only sets what it names."""
_STREAM: Final = "/api/v1/stream"


def described(api: FastAPI) -> dict[str, Any]:
    """The description of the API, made once."""
    if api.openapi_schema:
        return api.openapi_schema
    found = get_openapi(
        title=api.title,
        version=api.version,
        summary="Pooled market making: users, orders, pools, ledger.",
        routes=api.routes,
    )
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _describe(path, method, operation)
    api.openapi_schema = found
    return found


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    reasons = {**_ALWAYS, **(_CHANGING if method == "post" else {})}
    for status, reason in sorted(reasons.items()):
        responses[status] = {
            "description": reason,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    if method == "post" and not operation.get(_BY_ITSELF, False):
        operation.setdefault("parameters", []).append(_KEY)
    if path == _STREAM:
        responses["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    for parameter in operation.get("parameters", []):
        _without_bounds_of_python(parameter.get("schema", {}))


def _without_bounds_of_python(schema: dict[str, Any]) -> None:
    """Numbers are written as integers, so that strict readers take them."""
    for name in ("minimum", "maximum"):
        if isinstance(schema.get(name), float):
            schema[name] = int(schema[name])
