"""What the server says when it says no: in-band errors, mostly under HTTP 202."""

from __future__ import annotations

from typing import Any, Final

IN_BAND: Final = 202


class MixinError(Exception):
    """An error as the API writes it."""

    def __init__(
        self, code: int, description: str, *, status: int = IN_BAND, extra: Any = None
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The error's JSON."""
        said: dict[str, Any] = {
            "status": self.status,
            "code": self.code,
            "description": self.description,
        }
        if self.extra is not None:
            said["extra"] = self.extra
        return {"error": said}


def unauthorized(why: str) -> MixinError:
    """401; ``why`` is for the log of whoever debugs a client."""
    return MixinError(401, f"Unauthorized, maybe invalid token. {why}")


def forbidden() -> MixinError:
    """403."""
    return MixinError(403, "Access denied.")


def not_found() -> MixinError:
    """404."""
    return MixinError(404, "The endpoint is not found.")


def bad_field(field: str, reason: str = "") -> MixinError:
    """10002: a field that is missing or wrong."""
    extra = {"field": field, "reason": reason}
    return MixinError(10002, "The request data has invalid field.", extra=extra)


def locked() -> MixinError:
    """10105: an input is signed away by another transaction."""
    return MixinError(10105, "The input is locked by another transaction.")


def bad_output() -> MixinError:
    """10106: an input is not there, not the caller's or spent."""
    return MixinError(10106, "Invalid UTXO.")


def not_registered() -> MixinError:
    """10404: a receiver has no Safe."""
    return MixinError(10404, "The receiver is not registered to Safe.")


def code_expired() -> MixinError:
    """20121: a login code is unknown, used or too old."""
    return MixinError(20121, "The authorization code is expired or invalid.")


def fee_too_small() -> MixinError:
    """20124: a withdrawal does not pay its fee."""
    return MixinError(20124, "Insufficient fee.")


def paid_already() -> MixinError:
    """20125: the request id belongs to another transaction."""
    return MixinError(20125, "Transfer has been paid by someone else.")


SUSPENSIONS: Final = {
    20137: "The withdrawal is suspended.",
    30100: "The blockchain is not in sync, please try again later.",
    30103: "Insufficient pool.",
}
"""Conditions that pass by themselves."""


def suspended(code: int) -> MixinError:
    """20137, 30100, 30103: a withdrawal is not taken now."""
    return MixinError(code, SUSPENSIONS[code])


def bad_address() -> MixinError:
    """30102: no address of that chain."""
    return MixinError(30102, "Invalid address format.")
