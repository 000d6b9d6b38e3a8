"""Pure decisions of campaigns: their days, the pool that makes their market, what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from poolmaker.business.campaigns.model import (
    NO_POOL,
    Campaign,
    CampaignStatus,
    JoinPolicy,
    JoinState,
    ObservedCampaign,
    Window,
)
from poolmaker.business.pools.model import Pool
from poolmaker.kernel.ids import PoolId, VenueAccountId


def day_count(seen: ObservedCampaign) -> int:
    """How many days a campaign has; the last may be short."""
    return -((seen.start_us - seen.end_us) // seen.day_us)


def window(seen: ObservedCampaign, day: int) -> Window | None:
    """Day ``day``, cut at the campaign's end; None where there is no such day."""
    if not 0 <= day < day_count(seen):
        return None
    from_us = seen.start_us + day * seen.day_us
    return Window(day, from_us, min(from_us + seen.day_us, seen.end_us))


def window_at(seen: ObservedCampaign, at_us: int) -> Window | None:
    """The day in which ``at_us`` lies; None before the start and from the end on."""
    if not seen.start_us <= at_us < seen.end_us:
        return None
    return window(seen, (at_us - seen.start_us) // seen.day_us)


def windows(seen: ObservedCampaign) -> list[Window]:
    """Every day in order."""
    found = (window(seen, day) for day in range(day_count(seen)))
    return [one for one in found if one is not None]


def pool_for(
    seen: ObservedCampaign, pools: Sequence[Pool], accounts: Mapping[str, VenueAccountId]
) -> PoolId:
    """The pool that makes the campaign's market at its venue, NO_POOL when there is none."""
    account = accounts.get(seen.venue)
    for pool in pools:
        market = pool.market
        names = (market.symbol, f"{market.base}/{market.quote}")
        if pool.account == account and seen.market in names:
            return pool.id
    return NO_POOL


def retold(campaign: Campaign, seen: ObservedCampaign) -> tuple[Campaign, str]:
    """The campaign after it was seen again, and what in the telling contradicts its identity.

    Only its end, fund, target and status may change; an end may only come nearer.
    """
    before = campaign.seen
    names = ("source", "kind", "venue", "market", "start_us", "day_us", "form")
    other = [name for name in names if getattr(before, name) != getattr(seen, name)]
    if seen.end_us > before.end_us:
        other.append("end_us")
    after = replace(
        before,
        end_us=min(before.end_us, seen.end_us),
        fund_units=seen.fund_units,
        target=seen.target,
        status=_later(before.status, seen.status),
        cancelled_us=min(filter(None, (before.cancelled_us, seen.cancelled_us)), default=0),
    )
    told = ", ".join(f"{name}: {getattr(seen, name)}" for name in other)
    return replace(campaign, seen=after), told


def _later(before: CampaignStatus, now: CampaignStatus) -> CampaignStatus:
    """What has ended stays ended, however late somebody tells otherwise."""
    order = list(CampaignStatus)
    return max(before, now, key=order.index)


def counted(campaign: Campaign, from_us: int, to_us: int) -> tuple[int, int]:
    """What of a period counts for us, empty where the second is not after the first.

    Whoever runs a campaign counts trades from the moment we take part to its end or cancellation,
    so only who held shares then has earned what it pays.
    """
    seen = campaign.seen
    end_us = min(seen.end_us, seen.cancelled_us or seen.end_us)
    return max(from_us, campaign.joined_at_us), min(to_us, end_us)


def is_over(campaign: Campaign, now_us: int) -> bool:
    """Whether nothing more can be earned: nobody need ask to take part."""
    return campaign.seen.status is not CampaignStatus.ACTIVE or now_us >= campaign.seen.end_us


def is_trouble(campaign: Campaign, policy: JoinPolicy, now_us: int) -> bool:
    """Whether a person must know that we do not take part."""
    put_off = campaign.state is JoinState.WANTED and bool(campaign.text)
    refused = put_off or campaign.state is JoinState.REFUSED
    return policy is JoinPolicy.REQUIRED and refused and not is_over(campaign, now_us)
