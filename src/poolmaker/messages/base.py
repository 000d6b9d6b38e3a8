"""Base of all messages, their canonical encoding and the envelope they are stored in."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from poolmaker.kernel.checks import require
from poolmaker.kernel.money import Amount, Asset, Ratio

M = TypeVar("M")


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable, strict message. A subclass names its tag, which ends in its version."""


class Money(Message, frozen=True, kw_only=True):
    """Atomic units of an asset by its code; the scale is the asset register's."""

    asset: str
    units: int

    @classmethod
    def of(cls, amount: Amount) -> Money:
        """The message form of an amount."""
        return cls(asset=amount.asset.code, units=amount.units)

    def amount(self, asset: Asset) -> Amount:
        """The amount in ``asset``, whose code must be this one's."""
        require(asset.code == self.asset, f"asset: expected {self.asset}, was {asset.code}")
        return Amount(asset, self.units)


class Rate(Message, frozen=True, kw_only=True):
    """Quote units for base units as two positive ints; see ``kernel.money.Ratio``."""

    numerator: int
    denominator: int

    @classmethod
    def of(cls, ratio: Ratio) -> Rate:
        """The message form of a ratio."""
        return cls(numerator=ratio.numerator, denominator=ratio.denominator)

    @property
    def ratio(self) -> Ratio:
        """The checked ratio."""
        return Ratio(self.numerator, self.denominator)


_ENCODER = msgspec.json.Encoder(order="deterministic")


def encode(message: msgspec.Struct) -> bytes:
    """Canonical bytes: the same message always gives the same bytes."""
    return _ENCODER.encode(message)


def decode(body: bytes, kind: type[M]) -> M:
    """Strictly decode ``body``; raises CallerFault when it is not exactly a ``kind``."""
    try:
        return msgspec.json.decode(body, type=kind, strict=True)
    except msgspec.DecodeError as error:
        require(False, f"message: {error}")
        raise


class Envelope(Message, frozen=True, kw_only=True):
    """A message at its place in a stream.

    ``seq`` counts from 1 without gaps per stream. ``key`` is the message's own identity; the
    same key is never a second event. Times are microseconds since the Unix epoch.
    """

    stream: str
    seq: int
    key: str
    body: bytes
    occurred_at_us: int
    recorded_at_us: int
    causation: str = ""
    correlation: str = ""
