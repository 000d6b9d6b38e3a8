"""Client order ids: a reversible writing of the 128 bits of an intent id.

``pm1-`` and 22 characters of ``0-9 A-Z a-z - _``: 26 of the 36 that Binance allows, unique for
ever, and recognisable as ours without asking a database.
"""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import IntentId

PREFIX: Final = "pm1-"
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_DIGITS: Final = 22
_BITS: Final = 128
_HEX_DIGITS: Final = 32


def encode_client_id(intent: IntentId) -> str:
    """The client order id of an intent; the same intent always gives the same id."""
    require(len(intent) == _HEX_DIGITS, f"intent: expected 32 hexadecimal digits, was {intent!r}")
    value = int(intent, 16)
    shifts = range(6 * (_DIGITS - 1), -1, -6)
    return PREFIX + "".join(_ALPHABET[(value >> shift) & 63] for shift in shifts)


def decode_client_id(client_id: str) -> IntentId | None:
    """The intent that a client order id says; None when it is not one of ours."""
    digits = client_id.removeprefix(PREFIX)
    if len(digits) != _DIGITS or len(client_id) != _DIGITS + len(PREFIX):
        return None
    value = 0
    for character in digits:
        if character not in _VALUES:
            return None
        value = value << 6 | _VALUES[character]
    return IntentId(f"{value:032x}") if value < 1 << _BITS else None
