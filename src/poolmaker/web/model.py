"""What a page is made of: one look at the platform, and what of it goes to the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from poolmaker.views.attention import AttentionView
from poolmaker.views.model import (
    Act,
    ActivityView,
    AllocationView,
    ArrivalView,
    AssetView,
    CampaignView,
    CustodyLine,
    FillView,
    HealthView,
    MarketLive,
    MarketPoint,
    OrderView,
    PoolView,
    RewardView,
    TransferView,
    TrialBalance,
    WithdrawalView,
    WorldMode,
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

    mode: WorldMode
    now_us: int
    act: Act | None
    health: HealthView
    assets: Mapping[str, AssetView]
    market: MarketLive | None
    pool: PoolView | None
    fills: Sequence[FillView]
    points: Sequence[MarketPoint]
    orders: Sequence[OrderView]
    campaigns: Sequence[CampaignView]
    rewards: Sequence[RewardView]
    allocations: Mapping[str, Sequence[AllocationView]]
    transfers: Sequence[TransferView]
    arrivals: Sequence[ArrivalView]
    withdrawals: Sequence[WithdrawalView]
    trial: TrialBalance
    custody: Sequence[CustodyLine]
    happenings: Sequence[ActivityView]
    attention: AttentionView


@dataclass(frozen=True, slots=True)
class Frame:
    """One look as the browser gets it: rendered parts by id, and what the charts draw."""

    parts: Mapping[str, str]
    look: Look
