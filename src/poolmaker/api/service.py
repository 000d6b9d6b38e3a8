"""What ``app.py`` opens for the API."""

from __future__ import annotations

from poolmaker.api._store import ApiStore
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock


def open_store(transactions: Transactions, clock: Clock, delay_us: int) -> ApiStore:
    """``Tokens`` and ``Requests`` in the database; ``delay_us`` is that of approvals."""
    return ApiStore(transactions, clock, delay_us)
