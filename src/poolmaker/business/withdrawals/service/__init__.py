"""Choreography of withdrawals: requests, the freeze, and the saga that pays."""

from __future__ import annotations

from poolmaker.business.withdrawals._store import PgWithdrawalStore
from poolmaker.business.withdrawals.ports import WithdrawalStore
from poolmaker.business.withdrawals.service.desk import Withdrawals
from poolmaker.business.withdrawals.service.paying import WithdrawalPorts

__all__ = ["WithdrawalPorts", "Withdrawals", "open_store"]


def open_store() -> WithdrawalStore:
    """Withdrawals in PostgreSQL."""
    return PgWithdrawalStore()
