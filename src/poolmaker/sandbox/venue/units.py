"""Numbers on the wire and in the engine: decimal text with eight places against integer units."""

from __future__ import annotations

import re
from typing import Final

SCALE: Final = 100_000_000
DECIMALS: Final = 8
DECIMAL_RANGE: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")


class BadDecimal(ValueError):
    """The text is not a plain decimal number."""


class TooPrecise(ValueError):
    """The number has more than eight places."""


def to_units(text: str) -> int:
    """Integer units (1e-8) of a plain non-negative decimal text."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise BadDecimal(text)
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    if len(fraction) > DECIMALS:
        raise TooPrecise(text)
    return int(whole) * SCALE + int(fraction.ljust(DECIMALS, "0"))


def to_text(units: int) -> str:
    """Decimal text with eight places of integer units (1e-8); negative amounts get a sign."""
    if units < 0:
        return f"-{-units // SCALE}.{-units % SCALE:08d}"
    return f"{units // SCALE}.{units % SCALE:08d}"


def to_short_text(units: int) -> str:
    """Decimal text without trailing zeros, as the wallet part of the wire writes amounts."""
    text = to_text(units).rstrip("0")
    return text.removesuffix(".")
