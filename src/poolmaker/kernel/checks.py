"""Checks that stay on: ``require`` blames the caller, ``ensure`` blames us."""

from __future__ import annotations

from poolmaker.kernel.errors import InvariantBroken, PreconditionError


def require(condition: object, message: str) -> None:
    """Raise CallerFault with ``message`` unless ``condition`` holds."""
    if not condition:
        raise PreconditionError(message)


def ensure(condition: object, message: str) -> None:
    """Raise InvariantBroken with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InvariantBroken(message)


def require_int(value: object, name: str) -> None:
    """Raise CallerFault unless ``value`` is an int and not a bool."""
    if type(value) is not int:
        raise PreconditionError(f"{name}: expected an int, was {type(value).__name__}")
