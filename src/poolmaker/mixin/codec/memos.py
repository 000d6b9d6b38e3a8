"""Memos: bytes of at most 256, shown as hex; ours names a deposit, another's may be anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin.codec.encoding import demand, from_base58, from_hex, to_base58, to_base64url
from poolmaker.mixin.codec.ids import uuid_bytes
from poolmaker.mixin.codec.transactions import EXTRA_BYTES_MAX, STORAGE_BYTES_MAX

_VERSION: Final = 1
_INTENT_BYTES: Final = 16
_CHECK_BYTES: Final = 4
_MEMO_BYTES: Final = 2 + _INTENT_BYTES + _CHECK_BYTES
STORAGE_STEP_BYTES: Final = 1_024
STORAGE_STEP_UNITS: Final = 10_000


class DepositAction(IntEnum):
    """What a deposit is for."""

    LEG = 1
    TOP_UP = 2


@dataclass(frozen=True, slots=True)
class DepositMemo:
    """Which deposit intent a payment answers."""

    action: DepositAction
    intent_id: bytes

    def __str__(self) -> str:
        """The memo as the payer writes it."""
        require(len(self.intent_id) == _INTENT_BYTES, "intent id: expected 16 bytes")
        body = bytes((_VERSION, self.action)) + self.intent_id
        return to_base58(body + checksum(body))


def checksum(body: bytes) -> bytes:
    """The first four bytes of double SHA-256."""
    return hashlib.sha256(hashlib.sha256(body).digest()).digest()[:_CHECK_BYTES]


def parse_deposit_memo(text: str) -> DepositMemo:
    """The deposit that a memo names; Malformed unless it is one of ours, to the checksum."""
    data = from_base58(text)
    body = data[:-_CHECK_BYTES]
    ours = len(data) == _MEMO_BYTES and to_base58(data) == text
    demand(ours and data[-_CHECK_BYTES:] == checksum(body), "memo: not one of ours")
    demand(body[0] == _VERSION, f"memo: version {body[0]}")
    demand(body[1] in set(DepositAction), f"memo: action {body[1]}")
    return DepositMemo(DepositAction(body[1]), body[2:])


def read_deposit_memo(extra_hex: str) -> DepositMemo | None:
    """The deposit that an output's extra names, or None: a stranger's memo is nobody's fault."""
    try:
        return parse_deposit_memo(from_hex(extra_hex).decode("ascii"))
    except (PreconditionError, UnicodeDecodeError):
        return None


def memo_bytes(memo: str) -> bytes:
    """The extra of a memo."""
    data = memo.encode()
    demand(len(data) <= EXTRA_BYTES_MAX, f"memo: more than {EXTRA_BYTES_MAX} bytes")
    return data


def group_extra(app_id: str, extra: bytes) -> str:
    """The extra by which a group of nodes knows its app."""
    return to_base64url(uuid_bytes(app_id) + extra)


def storage_units(extra_bytes: int) -> int:
    """What it costs in XIN to store an extra that is longer than a memo."""
    require(0 <= extra_bytes <= STORAGE_BYTES_MAX, f"extra: {extra_bytes} bytes")
    return (extra_bytes // STORAGE_STEP_BYTES + 1) * STORAGE_STEP_UNITS
