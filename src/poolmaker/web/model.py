"""What a page is made of: one look at the platform, and what of it goes to the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from poolmaker.views.attention import AttentionView
from poolmaker.views.model import (
    Act,
    AllocationSeen,
    ArrivalSeen,
    AssetSeen,
    CampaignSeen,
    CustodyLine,
    FillSeen,
    Happening,
    Health,
    MarketLive,
    MarketPoint,
    Mode,
    OrderSeen,
    PoolSeen,
    RewardSeen,
    TransferSeen,
    TrialBalance,
    WithdrawalSeen,
)


class Agreement(StrEnum):
    """Whether all books agree."""

    AGREE = "agree"
    """Ledger, zero sums and every place say the same."""
    CHECKING = "checking"
    """A place has not reported since the last change."""
    DIFFER = "differ"
    """Somebody has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the platform, all of it taken together. ``allocations`` are by reward."""

    mode: Mode
    now_us: int
    act: Act | None
    health: Health
    assets: Mapping[str, AssetSeen]
    market: MarketLive | None
    pool: PoolSeen | None
    fills: Sequence[FillSeen]
    points: Sequence[MarketPoint]
    orders: Sequence[OrderSeen]
    campaigns: Sequence[CampaignSeen]
    rewards: Sequence[RewardSeen]
    allocations: Mapping[str, Sequence[AllocationSeen]]
    transfers: Sequence[TransferSeen]
    arrivals: Sequence[ArrivalSeen]
    withdrawals: Sequence[WithdrawalSeen]
    trial: TrialBalance
    custody: Sequence[CustodyLine]
    happenings: Sequence[Happening]
    attention: AttentionView


@dataclass(frozen=True, slots=True)
class Frame:
    """One look as the browser gets it: rendered parts by id, and what the charts draw."""

    parts: Mapping[str, str]
    look: Look
