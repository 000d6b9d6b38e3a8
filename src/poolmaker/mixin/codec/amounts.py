"""Amounts of the network: integers of 1e-8. Asking for more places is refused, never rounded."""

from __future__ import annotations

import re
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.mixin.codec.encoding import demand

DECIMALS: Final = 8
UNIT: Final = 10**DECIMALS
_DIGITS_MAX: Final = 40
_DECIMAL: Final = re.compile(r"([0-9]{1,40})(?:\.([0-9]{1,40}))?", re.ASCII)


def to_units(text: str) -> int:
    """Units of a plain decimal text; refused with more than 8 places that are not zero."""
    whole, fraction = _parts(text)
    kept = fraction.rstrip("0")
    demand(len(kept) <= DECIMALS, f"amount: more than {DECIMALS} decimals in {text}")
    return _units(whole, kept)


def to_units_signed(text: str) -> int:
    """As ``to_units``, for snapshots, whose amounts carry a sign."""
    return -to_units(text[1:]) if text.startswith("-") else to_units(text)


def floored_units(text: str) -> int:
    """What the network's own tools make of a text: they cut after 8 places.

    Only to read what somebody else wrote; who pays uses ``to_units``.
    """
    whole, fraction = _parts(text)
    return _units(whole, fraction[:DECIMALS])


def _parts(text: str) -> tuple[str, str]:
    found = _DECIMAL.fullmatch(text)
    demand(found, f"amount: not a plain decimal: {text[:_DIGITS_MAX]!r}")
    return (found[1], found[2] or "") if found else ("", "")


def _units(whole: str, fraction: str) -> int:
    return int(whole) * UNIT + int(fraction.ljust(DECIMALS, "0"))


def to_text(units: int) -> str:
    """Decimal text with 8 places; a sign when negative."""
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // UNIT}.{abs(units) % UNIT:08d}"


def to_short_text(units: int) -> str:
    """Decimal text without zeros at the end, as the API writes amounts."""
    return to_text(units).rstrip("0").removesuffix(".")


def integer_bytes(units: int) -> bytes:
    """Big-endian bytes without leading zeros, at least one."""
    require(units >= 0, f"units: expected 0 or more, was {units}")
    return units.to_bytes(max(1, (units.bit_length() + 7) // 8), "big")
