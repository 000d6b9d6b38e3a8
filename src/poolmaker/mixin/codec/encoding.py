"""Bytes as text: hexadecimal, base64url, base58. Each text has one meaning, or none."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from poolmaker.kernel.errors import PreconditionError

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {letter: value for value, letter in enumerate(_BASE58)}
_BASE58_CHARACTERS_MAX: Final = 8_192
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")


class Malformed(PreconditionError):
    """A text or bytes from outside that are not what they should be; nothing was taken from it."""

    code = "mixin_malformed"


def demand(condition: object, message: str) -> None:
    """Raise Malformed with ``message`` unless ``condition`` holds."""
    if not condition:
        raise Malformed(message)


def from_hex(text: str, size: int | None = None) -> bytes:
    """Bytes of lower-case hexadecimal digits; ``size`` bytes where one is given."""
    demand(_HEX.fullmatch(text), "hex: expected pairs of 0-9 a-f")
    data = bytes.fromhex(text)
    demand(size is None or len(data) == size, f"hex: expected {size} bytes, were {len(data)}")
    return data


def to_base64url(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Bytes of base64url without padding; a text that writes them another way is refused."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise Malformed("base64url: not decodable") from None
    demand(to_base64url(data) == text, "base64url: not the canonical form")
    return data


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Bytes of standard base64, padded or not."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("base64: not decodable") from None


def to_base58(data: bytes) -> str:
    """Base 58 in Bitcoin's alphabet; leading zero bytes become leading ones."""
    number, letters = int.from_bytes(data, "big"), []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_BASE58[rest])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def from_base58(text: str) -> bytes:
    """Bytes of base 58."""
    demand(len(text) <= _BASE58_CHARACTERS_MAX, "base58: too long")
    number = 0
    for letter in text:
        value = _BASE58_VALUES.get(letter)
        demand(value is not None, "base58: a letter outside the alphabet")
        number = number * 58 + (value or 0)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
