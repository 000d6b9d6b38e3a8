"""K3: whatever row Mixin answers with, it is read, or it is Unreadable."""

from __future__ import annotations

from typing import Any

import pytest

from poolmaker.mixin import wire

ROW = {
    "output_id": "o",
    "transaction_hash": "a" * 64,
    "output_index": 0,
    "sequence": 1,
    "asset_id": "x",
    "amount": "1",
    "keys": [],
    "senders": [],
    "request_id": "r",
    "extra": "",
    "created_at": "2026-01-01T00:00:00Z",
    "inscription_hash": "",
    "state": "unspent",
    "signed_by": "",
}


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("created_at", "2026-01-01T00:00:00"),
        ("created_at", "2026-01-01"),
        ("created_at", ""),
        ("sequence", 2**63),
        ("sequence", -1),
        ("output_index", -1),
        ("output_index", 2**31),
        ("amount", "NaN"),
        ("amount", "\uff11"),
        ("extra", "zz"),
        ("senders", [None]),
    ],
)
def test_k3_an_odd_output_is_unreadable_and_nothing_else(name: str, odd: Any) -> None:
    assert wire.read(ROW, wire.output).sequence == 1
    with pytest.raises(wire.Unreadable):
        wire.read(ROW | {name: odd}, wire.output)
