"""Ids: NewTypes over str, time-sorted, made only here.

An id made by ``Ids`` is ``<prefix>_<26 characters>``: 48 bits of milliseconds and 80 bits of
chance in Crockford's base 32, so that ids of later times sort later. An intent id is the same
128 bits as 32 hexadecimal digits, because connectors must encode it reversibly.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Final, NewType

from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.rng import Rng

UserId = NewType("UserId", str)
OrderId = NewType("OrderId", str)
PoolId = NewType("PoolId", str)
WithdrawalId = NewType("WithdrawalId", str)
SagaId = NewType("SagaId", str)
IntentId = NewType("IntentId", str)
VenueAccountId = NewType("VenueAccountId", str)
ApprovalId = NewType("ApprovalId", str)
LedgerId = NewType("LedgerId", str)
CommandKey = NewType("CommandKey", str)
CorrelationId = NewType("CorrelationId", str)

MAIN_LEDGER: Final = LedgerId("main")

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NAMESPACE: Final = uuid.UUID("0f5b3f2e-6f0c-5d52-9b7e-5b6ad8c1f3a4")
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_\-]{0,62}")


class Ids:
    """Makes time-sorted ids from a clock and a source of chance."""

    def __init__(self, clock: Clock, rng: Rng) -> None:
        self._clock = clock
        self._rng = rng

    def _bits(self) -> int:
        return ((self._clock.now_us() // 1000) << 80) | self._rng.bits(80)

    def _text(self, prefix: str) -> str:
        value = self._bits()
        digits = [_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5)]
        return f"{prefix}_{''.join(digits)}"

    @staticmethod
    def made_us(made: str) -> int:
        """When an id was made, in microseconds: the end of its millisecond."""
        digits = made.rpartition("_")[2]
        value = sum(_ALPHABET.index(one) << 5 * at for at, one in enumerate(reversed(digits)))
        return ((value >> 80) + 1) * 1000 - 1

    def user(self) -> UserId:
        """A new user id, ``us_…``."""
        return UserId(self._text("us"))

    def order(self) -> OrderId:
        """A new user order id, ``uo_…``."""
        return OrderId(self._text("uo"))

    def withdrawal(self) -> WithdrawalId:
        """A new withdrawal id, ``wd_…``."""
        return WithdrawalId(self._text("wd"))

    def saga(self) -> SagaId:
        """A new saga id, ``sg_…``."""
        return SagaId(self._text("sg"))

    def correlation(self) -> CorrelationId:
        """A new correlation id, ``co_…``."""
        return CorrelationId(self._text("co"))

    def approval(self) -> ApprovalId:
        """A new approval id, ``ap_…``."""
        return ApprovalId(self._text("ap"))

    def intent(self) -> IntentId:
        """A new intent id: 128 bits as 32 hexadecimal digits."""
        return IntentId(f"{self._bits():032x}")


def require_slug(value: str, name: str) -> None:
    """Raise CallerFault unless ``value`` is 1 to 63 of a-z, 0-9, '-' and '_'."""
    require(_SLUG.fullmatch(value), f"{name}: expected 1 to 63 of a-z 0-9 - _, was {value!r}")


def request_key(saga: SagaId, step: str, attempt: int) -> CommandKey:
    """Key of a request: a pure function of (saga, step, attempt).

    The attempt advances only after a stored refusal was read, so a replay repeats, never doubles.
    """
    _require_step(step)
    require(attempt >= 0, f"attempt: expected 0 or more, was {attempt}")
    return CommandKey(f"{saga}:{step}:{attempt}")


def fact_key(*parts: str) -> CommandKey:
    """Key of a fact: its own identity in the outside world, joined by colons.

    A colon inside a part is written ``%3A``, so that two facts never share a key.
    """
    require(parts and all(parts), "parts: expected some, none of them empty")
    return CommandKey(":".join(part.replace("%", "%25").replace(":", "%3A") for part in parts))


def request_uuid(saga: SagaId, step: str) -> uuid.UUID:
    """The request id shown to a payment provider: a pure function of (saga, step)."""
    _require_step(step)
    return uuid.uuid5(_NAMESPACE, f"{saga}:{step}")


def _require_step(step: str) -> None:
    # A saga's id may hold colons; a step that held one could be taken for the end of another id.
    require(step and ":" not in step, f"step: expected no colon, was {step!r}")


def content_hash(content: bytes) -> bytes:
    """SHA-256 of a canonical encoding; two contents under one key are compared by it."""
    return hashlib.sha256(content).digest()
