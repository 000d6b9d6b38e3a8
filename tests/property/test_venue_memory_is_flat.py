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


RETENTION = Retention()
MARKS = (250_000, 500_000, 750_000, 1_000_000)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_memory_is_flat_over_a_million_orders(capsys: pytest.CaptureFixture[str]) -> None:
    load = EngineLoad(Rng(1), RETENTION)
    number, seen = 0, dict[int, float]()
    for mark in MARKS:
        while load.engine.markets["BTCUSDT"].next_order_id - FIRST_ORDER_ID < mark:
            load.step(number)
            number += 1
        seen[mark] = round(resident_mb(), 1)
    with capsys.disabled():
        print(f"\nresident MB by orders, over {number} commands: {seen}")
    assert seen[1_000_000] - seen[250_000] < 8
    assert audit(load.engine).ok
    for account in load.engine.accounts.values():
        history = account.history["BTCUSDT"]
        assert len(history.fills) == RETENTION.fills, "the bound was reached"
        assert len(history.traded) == RETENTION.traded_orders
        assert len(history.unfilled) == RETENTION.unfilled_orders
        resting = len(account.open_orders["BTCUSDT"])
        kept = RETENTION.traded_orders + RETENTION.unfilled_orders
        assert len(history.orders) <= resting + kept
