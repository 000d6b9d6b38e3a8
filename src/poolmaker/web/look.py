"""Taking one look at the platform for the story page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import PoolId
from poolmaker.recon.listing import AttentionPage
from poolmaker.views.attention import AttentionItemView, AttentionView
from poolmaker.views.model import (
    ActivityView,
    AllocationView,
    ArrivalView,
    AssetView,
    CampaignView,
    CustodyLine,
    HealthView,
    OrderView,
    PoolView,
    RewardView,
    TransferView,
    TrialBalance,
    WithdrawalView,
)
from poolmaker.web.model import Look
from poolmaker.web.ports import PageContext

FILLS_SHOWN: Final = 60
HAPPENINGS_SHOWN: Final = 24
ROWS_SHOWN: Final = 200
_FIXED: Final = frozenset({"CREDITED", "DONE"})
"""States of a reward after which its allocation and its credits never change."""
BOOKS_AGE_US: Final = SECOND_US


@dataclass(frozen=True, slots=True)
class _Outside:
    """What comes from outside and goes there."""

    campaigns: tuple[CampaignView, ...]
    rewards: tuple[RewardView, ...]
    allocations: dict[str, Sequence[AllocationView]]
    transfers: tuple[TransferView, ...]
    arrivals: tuple[ArrivalView, ...]
    withdrawals: tuple[WithdrawalView, ...]


@dataclass(frozen=True, slots=True)
class _Books:
    """What is read from the database, and when."""

    at_us: int
    assets: dict[str, AssetView]
    health: HealthView
    pool: PoolView | None
    orders: tuple[OrderView, ...]
    outside: _Outside
    trial: TrialBalance
    custody: tuple[CustodyLine, ...]
    happenings: tuple[ActivityView, ...]
    attention: AttentionView


class SnapshotLoader:
    """Takes looks: the market as often as asked, the books at most once a second."""

    def __init__(self, showing: PageContext) -> None:
        self._showing = showing
        self._books: _Books | None = None
        self._fixed: dict[str, Sequence[AllocationView]] = {}

    async def take(self) -> Look:
        """One look, everything in it from the same moment or at most a second older."""
        now_us = self._showing.clock.monotonic_us()
        if self._books is None or now_us - self._books.at_us >= BOOKS_AGE_US:
            self._books = await self._read(now_us)
        return await self._look(self._books)

    async def _read(self, now_us: int) -> _Books:
        reading = self._showing.reading
        return _Books(
            at_us=now_us,
            assets={asset.code: asset for asset in await reading.assets()},
            health=await reading.health(),
            pool=next(iter(await reading.pools()), None),
            orders=tuple(await reading.orders(None, "", ROWS_SHOWN)),
            outside=await self._outside(),
            trial=await reading.trial_balance(),
            custody=tuple(await reading.custody()),
            happenings=tuple(await reading.happenings(0, HAPPENINGS_SHOWN)),
            attention=_attention(await self._showing.attention.recent()),
        )

    async def _outside(self) -> _Outside:
        reading = self._showing.reading
        rewards = tuple(await reading.rewards(0, ROWS_SHOWN))
        allocations = {one.reward_id: await self._allocations(one) for one in rewards}
        return _Outside(
            campaigns=tuple(await reading.campaigns(0, ROWS_SHOWN)),
            rewards=rewards,
            allocations=allocations,
            transfers=tuple(await reading.transfers(0, ROWS_SHOWN)),
            arrivals=tuple(await reading.arrivals(0, ROWS_SHOWN)),
            withdrawals=tuple(await reading.withdrawals(None, "", ROWS_SHOWN)),
        )

    async def _allocations(self, reward: RewardView) -> Sequence[AllocationView]:
        if reward.reward_id in self._fixed:
            return self._fixed[reward.reward_id]
        found = await self._showing.reading.allocations(reward.reward_id) or ()
        if found and reward.state.upper() in _FIXED:
            self._fixed[reward.reward_id] = found
        return found

    async def _look(self, books: _Books) -> Look:
        live, pool = self._showing.live, books.pool
        markets = {market.pool_id: market for market in live.markets()}
        return Look(
            mode=self._showing.mode,
            now_us=self._showing.clock.now_us(),
            act=self._showing.stage.act(),
            health=books.health,
            assets=books.assets,
            market=markets.get(pool.pool_id) if pool else None,
            pool=pool,
            fills=await live.fills(PoolId(pool.pool_id), 0, FILLS_SHOWN) if pool else (),
            points=live.history(PoolId(pool.pool_id)) if pool else (),
            orders=books.orders,
            campaigns=books.outside.campaigns,
            rewards=books.outside.rewards,
            allocations=books.outside.allocations,
            transfers=books.outside.transfers,
            arrivals=books.outside.arrivals,
            withdrawals=books.outside.withdrawals,
            trial=books.trial,
            custody=books.custody,
            happenings=books.happenings,
            attention=books.attention,
        )


def _attention(page: AttentionPage) -> AttentionView:
    items = tuple(
        AttentionItemView(
            id=item.id,
            source=item.source,
            kind=item.kind,
            subject=item.subject,
            since_us=item.since_us,
            evidence=item.evidence,
            blocks=item.blocks,
            commands=tuple(remedy.command for remedy in item.remedies),
            count=item.count,
        )
        for item in page.items
    )
    return AttentionView(items, page.total)
