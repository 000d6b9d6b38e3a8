"""The hash chain: each link covers a transaction, its legs and every link before it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from poolmaker.business.ledger.model import Leg
from poolmaker.kernel.ids import content_hash

_ENCODER = msgspec.json.Encoder()


def link(previous: bytes, seq: int, at_us: int, body_hash: bytes, legs: Sequence[Leg]) -> bytes:
    """The hash of a transaction behind ``previous``. The body holds the key and the kind."""
    rows = [(leg.account, leg.asset, leg.units) for leg in legs]
    return content_hash(previous + _ENCODER.encode((seq, at_us, body_hash.hex(), rows)))
