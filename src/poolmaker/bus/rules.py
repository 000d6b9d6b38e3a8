"""The hash chain of a stream, and which failures are nobody's fault."""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.errors import Unavailable
from poolmaker.kernel.ids import content_hash

# SQL states of a database that had no room, no time or two who waited for each other.
_MAY_PASS: Final = ("40001", "40P01", "53", "55P03", "57014")


def link(previous: bytes, seq: int, key: str, body_hash: bytes, occurred_at_us: int) -> bytes:
    """The hash of an event behind ``previous``: it covers the event and all before it."""
    return content_hash(previous + body_hash + f"{seq}|{occurred_at_us}|{key}".encode())


def raise_when_it_may_pass(error: Exception) -> None:
    """Raise Unavailable when the same work may succeed later without anybody mending anything."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and state.startswith(_MAY_PASS):
        raise Unavailable(f"the database could not do it now: {error}") from error
