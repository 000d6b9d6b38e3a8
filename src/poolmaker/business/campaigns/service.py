"""Choreography of campaigns: what is seen outside, what we want of it, what became of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from poolmaker.business.campaigns._store import PgCampaignStore
from poolmaker.business.campaigns.model import (
    JOIN_TABLE,
    NO_POOL,
    Campaign,
    CampaignLine,
    CampaignSettings,
    CampaignStatus,
    CampaignSummary,
    JoinEvent,
    JoinPolicy,
    JoinState,
    ObservedCampaign,
)
from poolmaker.business.campaigns.ports import CampaignStore, Pools
from poolmaker.business.campaigns.rules import (
    counted,
    day_count,
    is_over,
    is_trouble,
    pool_for,
    retold,
    window_at,
)
from poolmaker.business.pools.model import Pool
from poolmaker.infra.attention import LISTED_MAX, AttentionItem, Remedy, and_more
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.checks import require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken, PreconditionError, Unavailable
from poolmaker.kernel.ids import PoolId

TEXT_MAX: Final = 500
CONTRADICTED: Final = "contradicted"
"""Event of a line: the campaign was told with another identity, which is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPorts:
    """What campaigns reach the outside through."""

    transactions: Transactions
    store: CampaignStore
    pools: Pools


class CampaignService:
    """Where rooms of outside campaigns tell what is offered and ask what we want."""

    def __init__(self, ports: CampaignPorts, clock: Clock, settings: CampaignSettings) -> None:
        self._ports = ports
        self._clock = clock
        self._settings = settings

    # ---------------------------------------------------------------------------- what is outside

    async def seen(self, tx: Tx, campaign: ObservedCampaign) -> None:
        """A campaign is offered, or is told again."""
        found = await self._ports.store.lock(tx, campaign.id)
        if found is None:
            found = await self._add(tx, Campaign(seen=campaign))
        else:
            found = await self._retell(tx, found, campaign)
        await self._decide(tx, found, await self._ports.pools.pools(tx))

    async def _add(self, tx: Tx, campaign: Campaign) -> Campaign:
        line = CampaignLine(self._clock.now_us(), campaign.state, "seen")
        if not await self._ports.store.add(tx, campaign, line):
            raise Unavailable(f"campaign {campaign.id} is being added; tell it again")
        return campaign

    async def _retell(self, tx: Tx, before: Campaign, seen: ObservedCampaign) -> Campaign:
        after, told = retold(before, seen)
        line = None
        if told and not await self._is_told(tx, before.id, told):
            line = CampaignLine(self._clock.now_us(), before.state, CONTRADICTED, told)
        if after != before or line is not None:
            await self._ports.store.save(tx, after, line)
        return after

    async def _is_told(self, tx: Tx, campaign: str, told: str) -> bool:
        story = await self._ports.store.timeline(tx, campaign)
        return any((line.event, line.note) == (CONTRADICTED, told) for line in story)

    async def _decide(self, tx: Tx, campaign: Campaign, pools: Sequence[Pool]) -> Campaign:
        """Find its pool, want it, or let it end."""
        if campaign.state is JoinState.ENDED:
            return campaign
        if campaign.seen.status is CampaignStatus.ENDED:
            return await self._go(tx, campaign, JoinEvent.ENDED)
        if campaign.pool == NO_POOL:
            pool = pool_for(campaign.seen, pools, self._settings.accounts)
            if pool != NO_POOL:
                campaign = replace(campaign, pool=pool)
                line = CampaignLine(self._clock.now_us(), campaign.state, "matched", pool)
                await self._ports.store.save(tx, campaign, line)
        ours = campaign.state is JoinState.SEEN and campaign.pool != NO_POOL
        if ours and self._settings.join and not is_over(campaign, self._clock.now_us()):
            return await self._go(tx, campaign, JoinEvent.WANTED)
        return campaign

    async def wanted(self, tx: Tx) -> Sequence[str]:
        """Ids of campaigns to be joined, as long as something can still be earned.

        A pool may have been opened since a campaign was told: it is matched here.
        """
        now_us = self._clock.now_us()
        pools = await self._ports.pools.pools(tx)
        states = [JoinState.SEEN, JoinState.WANTED]
        found = []
        for campaign in await self._ports.store.listed(tx, states):
            if campaign.state is JoinState.SEEN and self._pool_of(campaign, pools) != NO_POOL:
                decided = await self._decide(tx, await self._locked(tx, campaign.id), pools)
            else:
                decided = campaign
            if decided.state is JoinState.WANTED and not is_over(decided, now_us):
                found.append(decided.id)
        return found

    def _pool_of(self, campaign: Campaign, pools: Sequence[Pool]) -> PoolId:
        return campaign.pool or pool_for(campaign.seen, pools, self._settings.accounts)

    async def joined(self, tx: Tx, campaign: str, at_us: int) -> None:
        """We take part since ``at_us``; told again, or after the end, it changes nothing."""
        found = await self._locked(tx, campaign)
        if JOIN_TABLE.next(found.state, JoinEvent.JOINED) is not None:
            await self._go(tx, replace(found, joined_at_us=at_us, text=""), JoinEvent.JOINED)

    async def refused(self, tx: Tx, campaign: str, reason: str, *, final: bool) -> None:
        """Our wish was answered with ``reason``: to be asked again later, or for good.

        No order hears of it. An answer to what is not wanted any more changes nothing.
        """
        found = await self._locked(tx, campaign)
        event = JoinEvent.REFUSED if final else JoinEvent.PUT_OFF
        text = reason.strip()[:TEXT_MAX] or "no reason was given"
        if JOIN_TABLE.next(found.state, event) is None:
            return
        # The same answer to every try is one line of the story.
        if final or found.text != text:
            await self._go(tx, replace(found, text=text), event)

    async def pool_of(self, tx: Tx, campaign: str) -> PoolId | None:
        """The pool whose share holders a campaign's rewards belong to, None while unknown."""
        found = await self._ports.store.campaign(tx, campaign)
        if found is None:
            return None
        pool = self._pool_of(found, await self._ports.pools.pools(tx))
        return pool if pool != NO_POOL else None

    async def counted(self, tx: Tx, campaign: str, from_us: int, to_us: int) -> tuple[int, int]:
        """What of a period counts for us: while we take part, to its end or cancellation."""
        found = await self._ports.store.campaign(tx, campaign)
        return counted(found, from_us, to_us) if found is not None else (from_us, to_us)

    # ------------------------------------------------------------------------------- the operator

    async def want(self, campaign: str) -> Campaign:
        """Join it although nobody wanted it, or ask again after a refusal. Again is no error."""
        async with self._ports.transactions.begin("campaigns.want") as tx:
            found = await self._locked(tx, campaign)
            require(found.pool != NO_POOL, f"campaign {campaign}: no pool makes its market")
            for event in (JoinEvent.WANTED, JoinEvent.WANTED_AGAIN):
                if JOIN_TABLE.next(found.state, event) is not None:
                    return await self._go(tx, replace(found, text=""), event)
        return found

    # -------------------------------------------------------------------------------------- reads

    async def listed(self) -> tuple[CampaignSummary, ...]:
        """Every campaign with our part in it, newest start first."""
        async with self._ports.transactions.begin("campaigns.listed") as tx:
            found = await self._ports.store.listed(tx, list(JoinState))
        return tuple(self._view(campaign) for campaign in found)

    async def attention(self) -> Sequence[AttentionItem]:
        """Required campaigns that do not let us take part: a person has to look."""
        found = [view for view in await self.listed() if view.is_trouble]
        return and_more([_item(view) for view in found[:LISTED_MAX]], len(found))

    async def view(self, campaign: str) -> tuple[CampaignSummary, tuple[CampaignLine, ...]] | None:
        """A campaign with its story, or None."""
        async with self._ports.transactions.begin("campaigns.view") as tx:
            found = await self._ports.store.campaign(tx, campaign)
            if found is None:
                return None
            story = tuple(await self._ports.store.timeline(tx, campaign))
        return self._view(found), story

    def _view(self, campaign: Campaign) -> CampaignSummary:
        now_us, required = self._clock.now_us(), campaign.pool in self._settings.required
        policy = JoinPolicy.REQUIRED if required else JoinPolicy.OPTIONAL
        return CampaignSummary(
            campaign,
            window_at(campaign.seen, now_us),
            day_count(campaign.seen),
            policy,
            is_trouble(campaign, policy, now_us),
        )

    # ------------------------------------------------------------------------------------ helpers

    async def _locked(self, tx: Tx, campaign: str) -> Campaign:
        found = await self._ports.store.lock(tx, campaign)
        if found is None:
            raise PreconditionError(f"campaign: {campaign} was never seen")
        return found

    async def _go(self, tx: Tx, campaign: Campaign, event: JoinEvent) -> Campaign:
        state = JOIN_TABLE.next(campaign.state, event)
        if state is None:
            raise InvariantBroken(f"{campaign.id}: {event} is not possible in {campaign.state}")
        moved = replace(campaign, state=state)
        line = CampaignLine(self._clock.now_us(), moved.state, event, moved.text)
        await self._ports.store.save(tx, moved, line)
        return moved


def _item(view: CampaignSummary) -> AttentionItem:
    campaign = view.campaign
    return AttentionItem(
        source="campaigns",
        kind="not_joined",
        subject=campaign.id,
        since_us=campaign.seen.start_us,
        evidence={"pool": campaign.pool, "state": campaign.state.value, "answer": campaign.text},
        blocks=("campaign",),
        remedies=(
            Remedy(
                action="join",
                command=f"poolmaker campaign join {campaign.id}",
                route="POST /api/v1/campaigns/{campaign_id}/join",
            ),
        ),
    )


def open_store() -> CampaignStore:
    """Campaigns in PostgreSQL."""
    return PgCampaignStore()
