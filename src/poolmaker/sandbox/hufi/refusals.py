"""What HuFi's servers answer when they refuse."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.sandbox.hufi.model import Json
from poolmaker.sandbox.hufi.texts import iso


class HufiRefusal(Exception):
    """A refusal with its status and what stands in its body besides time and path."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.more = more

    def body(self, path: str, time_us: int) -> Json:
        """The body on the wire."""
        common: Json = {
            "message": self.message, "timestamp": iso(time_us // 1_000), "path": path,
        }  # fmt: skip
        return {**common, **self.more}


def unauthorized() -> HufiRefusal:
    """No bearer, or one that is not valid any more."""
    return HufiRefusal(401, "Unauthorized", status_code=401)


def not_found(method: str, path: str) -> HufiRefusal:
    """There is no such route."""
    return HufiRefusal(404, f"Cannot {method} {path}", error="Not Found", status_code=404)


def unprocessable(message: str, **more: object) -> HufiRefusal:
    """The request is understood and refused."""
    return HufiRefusal(422, message, **more)


def invalid(errors: Sequence[str]) -> HufiRefusal:
    """Fields are missing or have the wrong form."""
    return HufiRefusal(400, "Validation error", validation_errors=list(errors))


def server_error() -> HufiRefusal:
    """What a failure inside looks like from outside."""
    return HufiRefusal(500, "Internal server error", status_code=500)
