"""What can be seen of campaigns, rewards, and money on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from poolmaker.app.business import Business
from poolmaker.app.figures import AssetRegistry
from poolmaker.app.memos import MixinMemos
from poolmaker.app.outside import ChainSide
from poolmaker.app.people import UserDirectory
from poolmaker.business.campaigns.model import Campaign, CampaignSummary
from poolmaker.business.rewards.model import RewardState, RewardSummary
from poolmaker.business.treasury.model import ArrivalRow, Suspense, Transfer, TransferLine
from poolmaker.business.user_orders.model import DepositLeg as Leg
from poolmaker.business.withdrawals.model import Withdrawal, WithdrawalLine
from poolmaker.hufi.model import LeaderboardEntry as OurStanding
from poolmaker.infra.settings.outside import MIXIN_DECIMALS
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, PreconditionError, Unavailable
from poolmaker.kernel.ids import OrderId, PoolId, UserId, WithdrawalId
from poolmaker.kernel.money import power_of_ten
from poolmaker.mixin.service import MixinService
from poolmaker.views.model import (
    AllocationView,
    AmountView,
    ArrivalView,
    CampaignStandingView,
    CampaignView,
    CampaignWindow,
    DepositLegView,
    DepositView,
    RewardView,
    ShareChangeView,
    TransferView,
    WithdrawalView,
)

STANDING_US: Final = 5 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyPorts:
    """Where is read."""

    business: Business
    people: UserDirectory
    mixin: MixinService | None
    chain: ChainSide | None
    clock: Clock


class MoneyReading:
    """Campaigns, rewards, transfers, arrivals, payouts and awaited deposits, as people see them.

    ``forms`` names the form of each asset at Mixin, ``assets`` the asset of each form.
    """

    def __init__(
        self,
        ports: MoneyPorts,
        scales: AssetRegistry,
        forms: Mapping[str, str],
        assets: Mapping[str, str],
    ) -> None:
        self._ports = ports
        self._scales = scales
        self._forms = forms
        self._assets = assets
        self._standings: dict[str, tuple[int, CampaignStandingView | None]] = {}

    async def campaigns(self, after: int, limit: int) -> Sequence[CampaignView]:
        views = await self._ports.business.campaigns.listed()
        return tuple([await self._campaign(view) for view in views[after : after + limit]])

    async def rewards(self, after: int, limit: int) -> Sequence[RewardView]:
        views = await self._ports.business.rewards.listed(limit=after + limit)
        return tuple([await self._reward(view) for view in views[after:]])

    async def credited(self, orders: Sequence[OrderId]) -> Mapping[OrderId, Mapping[str, int]]:
        """Rewards credited for each of these orders, atomic units by asset."""
        return await self._ports.business.rewards.credited(orders)

    async def allocations(self, reward_id: str) -> Sequence[AllocationView] | None:
        view = await self._ports.business.rewards.view(reward_id)
        stored = await self._ports.business.rewards.explain(reward_id)
        if view is None:
            return None
        if stored is None:
            return ()
        asset, credited = view.reward.seen.asset, view.reward.credited
        is_over = view.reward.state in (RewardState.CREDITED, RewardState.DONE)
        return tuple(
            [
                AllocationView(
                    order_id=part.order,
                    user_id=part.user,
                    user_name=await self._name(part.user),
                    weight=str(part.weight),
                    amount=self._scales.money(asset, part.units),
                    credited=is_over or number < credited,
                )
                for number, part in enumerate(stored.allocation.parts)
            ]
        )

    async def shares(self, pool_id: PoolId, from_us: int, to_us: int) -> Sequence[ShareChangeView]:
        """The first lines are what was held when the time began."""
        window = await self._ports.business.rewards.share_history(
            pool_id, from_us, max(to_us, from_us + 1)
        )
        held = dict(window.opening)
        found = [(order, from_us, units, units) for order, units in sorted(held.items())]
        for change in window.changes:
            held[change.order] = held.get(change.order, 0) + change.units
            found.append((change.order, change.at_us, change.units, held[change.order]))
        owners = {order: await self._owner(order) for order, *_ in found}
        return tuple(
            ShareChangeView(order, owners[order], at_us, str(units), str(balance))
            for order, at_us, units, balance in found
        )

    async def transfers(self, after: int, limit: int) -> Sequence[TransferView]:
        rows = await self._ports.business.rooms.treasury.transfers(after + limit)
        return tuple([await self._transfer(row, lines) for row, lines in rows[after:]])

    async def arrivals(self, after: int, limit: int) -> Sequence[ArrivalView]:
        rows = await self._ports.business.rooms.treasury.arrivals(after + limit)
        return tuple(self._arrival(row, suspense) for row, suspense in rows[after:])

    async def withdrawals(
        self, user_id: UserId | None, before: str, limit: int
    ) -> Sequence[WithdrawalView]:
        withdrawals = self._ports.business.rooms.withdrawals
        rows = await withdrawals.newest(user_id, WithdrawalId(before), limit)
        return tuple([await self._withdrawal(row, lines) for row, lines in rows])

    async def withdrawal(self, withdrawal: WithdrawalId) -> WithdrawalView | None:
        """One payout, or None."""
        view = await self._ports.business.rooms.withdrawals.view(withdrawal)
        return await self._withdrawal(*view) if view is not None else None

    async def deposit(self, order: OrderId) -> DepositView | None:
        """What an order is still to be paid with; None for one that is paid from the balance."""
        intent = await self._ports.business.rooms.orders.deposit_intent(order)
        if intent is None:
            return None
        memo = intent.memo.decode("ascii", "replace")
        return DepositView(intent.until_us, tuple(self._leg(leg, memo) for leg in intent.legs))

    # -------------------------------------------------------------------------------- helpers

    def _leg(self, leg: Leg, memo: str) -> DepositLegView:
        return DepositLegView(
            asset=leg.asset,
            amount=self._scales.text(leg.asset, leg.units),
            trace=leg.trace,
            memo=memo,
            link=self._link(leg.asset, leg.units, leg.trace, memo),
            arrived=leg.is_paid,
        )

    def wallet_link(self, trace: str) -> tuple[str, str]:
        """Memo and link of a payment that proves a wallet; the link is empty without Mixin.

        It asks for the smallest amount that Mixin carries of the first asset that it can pay.
        """
        memo = MixinMemos().write(UUID(trace).bytes).decode("ascii")
        for asset in sorted(self._forms):
            scale = self._scales.of(asset)
            units = power_of_ten(scale - min(MIXIN_DECIMALS, scale))
            if link := self._link(asset, units, trace, memo):
                return memo, link
        return memo, ""

    def _link(self, asset: str, units: int, trace: str, memo: str) -> str:
        form = self._forms.get(asset)
        if self._ports.mixin is None or form is None:
            return ""
        try:
            return self._ports.mixin.payment_link(form, units, trace, memo)
        except PreconditionError:
            return ""

    async def _campaign(self, view: CampaignSummary) -> CampaignView:
        campaign, window = view.campaign, view.window
        seen = campaign.seen
        return CampaignView(
            campaign_id=seen.id,
            source=seen.source,
            kind=seen.kind,
            venue=seen.venue,
            market=seen.market,
            pool_id=campaign.pool,
            state=campaign.state.value.upper(),
            status=seen.status.value,
            start_us=seen.start_us,
            end_us=seen.end_us,
            day_us=seen.day_us,
            window=(
                CampaignWindow(window.day + 1, view.days, window.from_us, window.to_us)
                if window is not None
                else None
            ),
            fund=self._of_form(seen.form, seen.fund_units),
            joined_at_us=campaign.joined_at_us,
            note=campaign.text,
            standing=await self._standing(campaign) if window is not None else None,
        )

    def _of_form(self, form: str, units: int) -> AmountView:
        return self._scales.money(self._assets.get(form, form), units)

    async def _standing(self, campaign: Campaign) -> CampaignStandingView | None:
        """Our line of the leaderboard, asked anew at most every few seconds."""
        now_us = self._ports.clock.now_us()
        asked_us, known = self._standings.get(campaign.id, (0, None))
        if self._ports.chain is None or now_us - asked_us < STANDING_US:
            return known
        self._standings[campaign.id] = now_us, known
        try:
            line = await self._ports.chain.standing(campaign.id)
        except (Unavailable, OutcomeUnknown):
            return known
        shown = self._shown(campaign, line) if line is not None else None
        self._standings[campaign.id] = now_us, shown
        return shown

    def _shown(self, campaign: Campaign, line: OurStanding) -> CampaignStandingView:
        asset = self._assets.get(campaign.seen.form, campaign.seen.form)
        return CampaignStandingView(
            score=f"{line.score:f}",
            result=f"{line.result:f}",
            estimated_reward=AmountView(asset, f"{line.estimated_reward:f}"),
        )

    async def _reward(self, view: RewardSummary) -> RewardView:
        reward = view.reward
        seen, money = reward.seen, self._scales.money
        return RewardView(
            reward_id=reward.id,
            campaign_id=seen.campaign,
            state=reward.state.value.upper(),
            received=money(seen.asset, seen.units),
            fee=money(seen.asset, reward.fee_units),
            dust=money(seen.asset, reward.dust_units),
            users=money(seen.asset, reward.users_units),
            from_us=seen.from_us,
            to_us=seen.to_us,
            transaction_id=seen.transaction_id,
            steps=await self._ports.people.steps(view.timeline),
        )

    async def _transfer(self, row: Transfer, lines: tuple[TransferLine, ...]) -> TransferView:
        return TransferView(
            transfer_id=row.id,
            source=row.source,
            target=row.target,
            money=self._scales.money(row.asset, row.units),
            state=row.state.value.upper(),
            transaction_id=row.transaction_id,
            started_at_us=row.requested_us,
            steps=await self._ports.people.steps(lines),
        )

    def _arrival(self, row: ArrivalRow, suspense: Suspense | None) -> ArrivalView:
        return ArrivalView(
            reference=row.reference,
            location=row.location,
            money=self._scales.said(row.money),
            disposition=row.disposition.value,
            state=suspense.state.value if suspense is not None else "booked",
            sender=row.sender,
            at_us=row.at_us,
        )

    async def _withdrawal(
        self, row: Withdrawal, lines: tuple[WithdrawalLine, ...]
    ) -> WithdrawalView:
        return WithdrawalView(
            withdrawal_id=row.id,
            user_id=row.user,
            user_name=await self._name(row.user),
            money=self._scales.money(row.asset, row.units),
            network=row.network,
            address=row.address,
            state=row.state.value.upper(),
            transaction_id=row.transaction_id,
            reason=row.reason,
            steps=await self._ports.people.steps(lines),
        )

    async def _name(self, user: UserId) -> str:
        return await self._ports.people.name(user) if user else ""

    async def _owner(self, order: OrderId) -> str:
        found = await self._ports.people.order(order)
        return found.user if found is not None else ""
