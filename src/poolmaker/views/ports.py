"""What can be asked about the present and the past; nothing here changes anything.

``app.py`` plugs these; the API and the pages share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.kernel.ids import OrderId, PoolId, UserId, WithdrawalId
from poolmaker.views.model import (
    Act,
    ActivityView,
    AllocationView,
    ArrivalView,
    AssetView,
    BalanceView,
    CampaignView,
    CustodyLine,
    FillView,
    HealthView,
    MarketLive,
    MarketPoint,
    OrderView,
    Page,
    PoolView,
    RewardView,
    ShareChangeView,
    StatementView,
    TransferView,
    TrialBalance,
    WithdrawalView,
)


class Reading(Protocol):
    """Everything that can be looked at. Nothing here changes anything."""

    async def assets(self) -> Sequence[AssetView]:
        """The asset register."""
        ...

    async def pools(self) -> Sequence[PoolView]:
        """All pools."""
        ...

    async def balances(
        self, user_id: UserId | None, after: str, limit: int
    ) -> Sequence[BalanceView]:
        """Balances of one user, or of ``limit`` users after an id, by id."""
        ...

    async def statement(self, user_id: UserId, after: int, limit: int) -> StatementView:
        """A user's entries after ledger sequence ``after``, over all their accounts and orders."""
        ...

    async def account(self, account: str, after: int, limit: int) -> Page:
        """Entries of one account of the chart after ledger sequence ``after``."""
        ...

    async def transaction(self, seq: int) -> ActivityView | None:
        """One transaction with all its entries."""
        ...

    async def trial_balance(self) -> TrialBalance:
        """Where it is and whose it is, as of now."""
        ...

    async def custody(self) -> Sequence[CustodyLine]:
        """Ledger against what each place reports, per asset."""
        ...

    async def happenings_before(self, before: int, limit: int) -> Sequence[ActivityView]:
        """The ``limit`` transactions before ledger sequence ``before``, newest first."""
        ...

    async def happenings(self, after: int, limit: int) -> Sequence[ActivityView]:
        """The newest ``limit`` transactions after ledger sequence ``after``, newest first."""
        ...

    async def order(self, order_id: OrderId) -> OrderView | None:
        """One order, or None."""
        ...

    async def order_owner(self, order_id: OrderId) -> str | None:
        """Whose order it is, or None where there is none."""
        ...

    async def orders(self, user_id: UserId | None, before: str, limit: int) -> Sequence[OrderView]:
        """Orders of one user or of all before an id, newest first; an empty id begins."""
        ...

    async def campaigns(self, after: int, limit: int) -> Sequence[CampaignView]:
        """Campaigns that run, that we are in or were in, newest start first, ``after`` so many."""
        ...

    async def rewards(self, after: int, limit: int) -> Sequence[RewardView]:
        """Rewards, newest first, ``after`` so many."""
        ...

    async def allocations(self, reward_id: str) -> Sequence[AllocationView] | None:
        """Who got what of a reward, by order id; None where there is no such reward."""
        ...

    async def shares(self, pool_id: PoolId, from_us: int, to_us: int) -> Sequence[ShareChangeView]:
        """Every order's share history in [from, to): what it had before, then each change.

        What an order had before the window comes first, as a change of all of it at ``from_us``.
        """
        ...

    async def transfers(self, after: int, limit: int) -> Sequence[TransferView]:
        """Money between our own places, newest first, ``after`` so many."""
        ...

    async def arrivals(self, after: int, limit: int) -> Sequence[ArrivalView]:
        """What our places received, newest first, ``after`` so many."""
        ...

    async def withdrawal(self, withdrawal_id: WithdrawalId) -> WithdrawalView | None:
        """One payout, or None."""
        ...

    async def withdrawal_owner(self, withdrawal_id: WithdrawalId) -> str | None:
        """Whose payout it is, empty for nobody's, or None where there is none."""
        ...

    async def withdrawals(
        self, user_id: UserId | None, before: str, limit: int
    ) -> Sequence[WithdrawalView]:
        """Payouts of one user or of all before an id, newest first; an empty id begins."""
        ...

    async def health(self) -> HealthView:
        """Whether the platform can do its work."""
        ...


class Live(Protocol):
    """The engine's present, from memory: cheap enough to ask several times a second."""

    def markets(self) -> Sequence[MarketLive]:
        """Every pool's market now."""
        ...

    async def fills(self, pool_id: PoolId, after: int, limit: int) -> Sequence[FillView]:
        """The newest ``limit`` fills after stream sequence ``after``, newest first."""
        ...

    def history(self, pool_id: PoolId) -> Sequence[MarketPoint]:
        """The points of the charts, oldest first, at most 900."""
        ...


class DemoProgress(Protocol):
    """Where a told story stands; only in sandbox mode, otherwise ``act`` is always None."""

    def act(self) -> Act | None:
        """The act, or None when no story is told."""
        ...

    def tell(self, act: Act) -> None:
        """Remember the act."""
        ...
