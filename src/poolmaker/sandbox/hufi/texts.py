"""How HuFi writes times and numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SNAKE: Final = re.compile(r"_([a-z])")
_WHOLE_MAX: Final = 10**21


def iso(time_ms: int) -> str:
    """An instant as JavaScript's ``toISOString`` writes it."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1_000:03}Z"


def milliseconds(text: str) -> int:
    """Milliseconds since the epoch of an ISO instant; ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def number(value: float) -> float:
    """A double as JavaScript writes it: without a fraction where it has none."""
    return int(value) if value.is_integer() and abs(value) < _WHOLE_MAX else value


def plain(value: Decimal) -> str:
    """A decimal without trailing zeros or exponent."""
    return format(value.normalize(), "f") if value else "0"


def snake(name: str) -> str:
    """A key as it stands on the wire; camel case is accepted too."""
    return _CAMEL.sub(r"_\1", name).lower()


def camel(name: str) -> str:
    """A key as messages name it."""
    return _SNAKE.sub(lambda found: found.group(1).upper(), name)
