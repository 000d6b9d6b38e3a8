"""What ``app.py`` opens for the API."""

from __future__ import annotations

from poolmaker.api._store import ApiStore
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock


def open_store(transactions: Transactions, clock: Clock) -> ApiStore:
    """``Tokens`` and ``Requests`` over the platform's database."""
    return ApiStore(transactions, clock)
