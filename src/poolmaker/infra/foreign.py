"""JSON that others wrote: whatever it is, it is read or it is no JSON."""

from __future__ import annotations

import re
import sys
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
NESTING_MAX: Final = 100
RECURSION_MAX: Final = 1_000
_SIGNS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class NotReadable(ValueError):
    """What came is no JSON of the expected form."""


def bound_recursion() -> None:
    """Take back what a library raises when it is loaded.

    Beyond Python's own bound a deep JSON ends the process instead of raising RecursionError.
    """
    sys.setrecursionlimit(RECURSION_MAX)


def read_json(raw: bytes | str, kind: type[T] | Any = Any) -> T | Any:
    """Decode a foreign text. Raises NotReadable, also for one that is nested without end."""
    try:
        content = raw.encode() if isinstance(raw, str) else raw
        if _is_deep(content):
            raise NotReadable(f"it is nested more than {NESTING_MAX} times")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise NotReadable(str(problem)) from None


def _is_deep(raw: bytes) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= NESTING_MAX:
        return False
    depth = 0
    for sign in _SIGNS.finditer(raw):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(sign[0], 0)
        if depth > NESTING_MAX:
            return True
    return False
