"""Choreography of rewards: what arrives, the history of shares, and the saga that distributes."""

from __future__ import annotations

from poolmaker.business.rewards._store import PgRewardStore, PgShareStore
from poolmaker.business.rewards.ports import RewardStore, ShareStore
from poolmaker.business.rewards.service.desk import RewardService
from poolmaker.business.rewards.service.saga import RewardPorts
from poolmaker.business.rewards.service.shares import SHARES, ShareHistory

__all__ = [
    "SHARES",
    "RewardPorts",
    "RewardService",
    "ShareHistory",
    "open_share_store",
    "open_store",
]


def open_store() -> RewardStore:
    """Rewards in PostgreSQL."""
    return PgRewardStore()


def open_share_store() -> ShareStore:
    """The history of shares in PostgreSQL."""
    return PgShareStore()
