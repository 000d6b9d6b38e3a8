"""Campaigns, rewards and the history of shares in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from poolmaker.business.campaigns.model import Campaign, CampaignLine, JoinState
from poolmaker.business.rewards.model import (
    UNBOOKED,
    Allocation,
    Reward,
    RewardDecision,
    RewardIncident,
    RewardLine,
    RewardTotals,
    RewardTrouble,
    ShareChange,
    ShareCursor,
    StoredAllocation,
    UserPart,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure
from poolmaker.kernel.ids import OrderId, PoolId, UserId
from poolmaker.lab.stores.base import model_tx

_CAMPAIGN: Final = "campaign"
_CAMPAIGN_LINES: Final = "campaign_lines"
_REWARD: Final = "reward"
_REWARD_LINES: Final = "reward_lines"
_REWARD_INCIDENTS: Final = "reward_incidents"
_ALLOCATION: Final = "reward_allocation"
_DECISION: Final = "reward_decision"
_SHARES: Final = "share_change"
_SHARE_CURSOR: Final = "share_cursor"


def _values(tx: Tx, table: str) -> list[Any]:
    return [value for _, value in model_tx(tx).rows(table)]


def _tell(tx: Tx, table: str, owner: str, line: Any) -> None:
    model_tx(tx).put(table, owner, (*(model_tx(tx).get(table, owner) or ()), line))


class ModelCampaignStore:
    """``CampaignStore`` in memory."""

    async def campaign(self, tx: Tx, campaign: str) -> Campaign | None:
        found: Campaign | None = model_tx(tx).get(_CAMPAIGN, campaign)
        return found

    async def lock(self, tx: Tx, campaign: str) -> Campaign | None:
        return await self.campaign(tx, campaign)

    async def add(self, tx: Tx, campaign: Campaign, line: CampaignLine) -> bool:
        if model_tx(tx).get(_CAMPAIGN, campaign.id) is not None:
            return False
        await self.save(tx, campaign, line)
        return True

    async def save(self, tx: Tx, campaign: Campaign, line: CampaignLine | None) -> None:
        model_tx(tx).put(_CAMPAIGN, campaign.id, campaign)
        if line is not None:
            _tell(tx, _CAMPAIGN_LINES, campaign.id, line)

    async def listed(self, tx: Tx, states: Sequence[JoinState]) -> Sequence[Campaign]:
        found: list[Campaign] = [one for one in _values(tx, _CAMPAIGN) if one.state in states]
        return sorted(found, key=lambda one: (-one.seen.start_us, one.id))

    async def timeline(self, tx: Tx, campaign: str) -> Sequence[CampaignLine]:
        lines: tuple[CampaignLine, ...] | None = model_tx(tx).get(_CAMPAIGN_LINES, campaign)
        return lines or ()


class ModelRewardStore:
    """``RewardStore`` in memory."""

    async def add(self, tx: Tx, reward: Reward, line: RewardLine) -> bool:
        if model_tx(tx).get(_REWARD, reward.id) is not None:
            return False
        await self.save(tx, reward, line)
        return True

    async def reward(self, tx: Tx, reward: str) -> Reward | None:
        found: Reward | None = model_tx(tx).get(_REWARD, reward)
        return found

    async def lock(self, tx: Tx, reward: str) -> Reward | None:
        return await self.reward(tx, reward)

    async def save(self, tx: Tx, reward: Reward, line: RewardLine) -> None:
        before = await self.reward(tx, reward.id)
        kept = before is None or not before.seen.is_final or before.seen == reward.seen
        ensure(kept, f"reward {reward.id} is final: its payment is not edited")
        ensure(reward.seen.is_final or reward.state in UNBOOKED, f"{reward.id} is not final")
        shared = reward.dust_units + reward.fee_units + reward.users_units
        ensure(shared <= reward.seen.units, f"{reward.id}: more is shared than there is")
        model_tx(tx).put(_REWARD, reward.id, reward)
        _tell(tx, _REWARD_LINES, reward.id, line)

    async def listed(self, tx: Tx, campaign: str, limit: int) -> Sequence[Reward]:
        found: list[Reward] = [
            one for one in _values(tx, _REWARD) if campaign in ("", one.seen.campaign)
        ]
        return sorted(found, key=lambda one: (-one.seen.from_us, one.id))[:limit]

    async def timeline(self, tx: Tx, reward: str) -> Sequence[RewardLine]:
        lines: tuple[RewardLine, ...] | None = model_tx(tx).get(_REWARD_LINES, reward)
        return lines or ()

    async def open_incident(self, tx: Tx, incident: RewardIncident) -> bool:
        found = await self.incidents(tx, incident.reward)
        if any(one.trouble is incident.trouble and not one.closed_us for one in found):
            return False
        _tell(tx, _REWARD_INCIDENTS, incident.reward, incident)
        return True

    async def close_incident(
        self, tx: Tx, reward: str, trouble: RewardTrouble, now_us: int
    ) -> None:
        found = await self.incidents(tx, reward)
        if any(one.trouble is trouble and not one.closed_us for one in found):
            closed = tuple(
                replace(one, closed_us=now_us)
                if one.trouble is trouble and not one.closed_us
                else one
                for one in found
            )
            model_tx(tx).put(_REWARD_INCIDENTS, reward, closed)

    async def incidents(self, tx: Tx, reward: str) -> Sequence[RewardIncident]:
        if reward:
            return model_tx(tx).get(_REWARD_INCIDENTS, reward) or ()
        found: list[RewardIncident] = [
            one for many in _values(tx, _REWARD_INCIDENTS) for one in many if not one.closed_us
        ]
        return sorted(found, key=lambda one: (one.opened_us, one.reward))

    async def add_decision(self, tx: Tx, decision: RewardDecision) -> None:
        model_tx(tx).put(_DECISION, decision.reward, decision)

    async def decision(self, tx: Tx, reward: str) -> RewardDecision | None:
        found: RewardDecision | None = model_tx(tx).get(_DECISION, reward)
        return found

    async def add_allocation(self, tx: Tx, allocation: Allocation, digest: str) -> None:
        there = model_tx(tx).get(_ALLOCATION, allocation.reward)
        ensure(there is None, f"{allocation.reward} is allocated already")
        model_tx(tx).put(_ALLOCATION, allocation.reward, StoredAllocation(allocation, digest))

    async def allocation(self, tx: Tx, reward: str) -> StoredAllocation | None:
        found: StoredAllocation | None = model_tx(tx).get(_ALLOCATION, reward)
        return found

    async def parts_of_user(
        self, tx: Tx, user: UserId, after: str, limit: int
    ) -> Sequence[UserPart]:
        found = []
        for stored in _values(tx, _ALLOCATION):
            reward = await self.reward(tx, stored.allocation.reward)
            for at, part in enumerate(stored.allocation.parts):
                if reward is not None and part.user == user and reward.id > after:
                    seen, through = reward.seen, at < reward.credited
                    found.append(
                        UserPart(
                            reward.id,
                            seen.campaign,
                            seen.asset,
                            seen.from_us,
                            seen.to_us,
                            part.order,
                            part.units,
                            through,
                        )
                    )
        return sorted(found, key=lambda one: (one.reward, one.order))[:limit]

    async def credited(
        self, tx: Tx, orders: Sequence[OrderId]
    ) -> Mapping[OrderId, Mapping[str, int]]:
        found: dict[OrderId, dict[str, int]] = {}
        for stored in _values(tx, _ALLOCATION):
            reward = await self.reward(tx, stored.allocation.reward)
            done = stored.allocation.parts[: reward.credited if reward is not None else 0]
            for part in (one for one in done if one.order in orders):
                sums = found.setdefault(part.order, {})
                sums[stored.allocation.asset] = sums.get(stored.allocation.asset, 0) + part.units
        return found

    async def totals(self, tx: Tx) -> Sequence[RewardTotals]:
        booked: dict[str, list[Reward]] = defaultdict(list)
        for reward in _values(tx, _REWARD):
            if reward.seen.is_final:
                booked[reward.seen.asset].append(reward)
        return [
            RewardTotals(
                asset=asset,
                received=sum(one.seen.units for one in rewards),
                dust=sum(one.dust_units for one in rewards),
                fee=sum(one.fee_units for one in rewards),
                users=sum(one.users_units for one in rewards),
                credited=sum(one.credited_units for one in rewards),
            )
            for asset, rewards in sorted(booked.items())
        ]


class ModelShareStore:
    """``ShareStore`` in memory."""

    async def cursor(self, tx: Tx) -> ShareCursor:
        found: ShareCursor | None = model_tx(tx).get(_SHARE_CURSOR, "")
        return found or ShareCursor()

    async def lock_cursor(self, tx: Tx) -> ShareCursor:
        return await self.cursor(tx)

    async def apply(self, tx: Tx, changes: Sequence[ShareChange], cursor: ShareCursor) -> None:
        for one in changes:
            key = (one.seq, one.pool, one.epoch, one.order)
            ensure(model_tx(tx).get(_SHARES, key) is None, f"{key} is applied already")
            model_tx(tx).put(_SHARES, key, one)
        model_tx(tx).put(_SHARE_CURSOR, "", cursor)

    async def opening(self, tx: Tx, pool: PoolId, at_us: int) -> Mapping[tuple[int, OrderId], int]:
        found: dict[tuple[int, OrderId], int] = defaultdict(int)
        for one in _values(tx, _SHARES):
            if one.pool == pool and one.at_us <= at_us:
                found[one.epoch, one.order] += one.units
        return {held: units for held, units in found.items() if units}

    async def changes(
        self, tx: Tx, pool: PoolId, after_us: int, to_us: int
    ) -> Sequence[ShareChange]:
        found: list[ShareChange] = [
            one for one in _values(tx, _SHARES) if one.pool == pool and after_us < one.at_us < to_us
        ]
        return sorted(found, key=lambda one: (one.seq, one.epoch, one.order))
