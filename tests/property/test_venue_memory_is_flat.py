"""A venue that runs for days keeps a bounded past."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.bench import EngineLoad
from poolmaker.sandbox.venue.invariants import audit
from poolmaker.sandbox.venue.model import Retention

FIRST_ORDER_ID = 1_001
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE / 1_048_576


RETENTION = Retention(unfilled_orders=500, traded_orders=500, fills=1_000)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_memory_is_flat_over_a_million_orders() -> None:
    load = EngineLoad(Rng(1), RETENTION)
    number = orders = 0
    early_mb = 0.0
    while orders < 1_000_000:
        load.step(number)
        number += 1
        orders = load.engine.markets["BTCUSDT"].next_order_id - FIRST_ORDER_ID
        if early_mb == 0.0 and orders >= 200_000:
            early_mb = resident_mb()
    assert resident_mb() - early_mb < 8
    assert audit(load.engine).ok
    for account in load.engine.accounts.values():
        history = account.history["BTCUSDT"]
        assert len(history.fills) <= RETENTION.fills
        assert len(history.traded) <= RETENTION.traded_orders
        assert len(history.unfilled) <= RETENTION.unfilled_orders
        resting = len(account.open_orders["BTCUSDT"])
        assert len(history.orders) <= resting + 1_000
