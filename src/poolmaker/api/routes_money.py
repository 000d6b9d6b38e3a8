"""Routes that show where money is on its way, and what campaigns bring."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from poolmaker.api.calls import json_answer, money_of, once, own, platform_of
from poolmaker.api.ports import NewPayout, Principal, Role
from poolmaker.api.problems import Problem
from poolmaker.api.routes import After, Anybody, Owner, Staff
from poolmaker.api.schemas import AvailableWish
from poolmaker.kernel.ids import PoolId
from poolmaker.views.model import (
    AllocationSeen,
    ArrivalSeen,
    CampaignSeen,
    RewardSeen,
    ShareChange,
    TransferSeen,
    WithdrawalSeen,
)

router = APIRouter(prefix="/api/v1")


@router.get("/campaigns", response_model=list[CampaignSeen])
async def list_campaigns(request: Request, _: Anybody) -> Response:
    """Campaigns, the newest first."""
    return json_answer(await platform_of(request).reading.campaigns())


@router.get("/rewards", response_model=list[RewardSeen])
async def list_rewards(request: Request, _: Anybody) -> Response:
    """Rewards that came, the newest first."""
    return json_answer(await platform_of(request).reading.rewards())


@router.get("/rewards/{reward_id}/allocations", response_model=list[AllocationSeen])
async def list_allocations(request: Request, principal: Anybody, reward_id: str) -> Response:
    """Who got what of a reward, and by which weight; a user's own parts."""
    found = await platform_of(request).reading.allocations(reward_id)
    if found is None:
        raise Problem("not_found")
    return json_answer([part for part in found if _is_his(principal, part.user_id)])


@router.get("/pools/{pool_id}/shares", response_model=list[ShareChange])
async def list_shares(
    request: Request, _: Staff, pool_id: str, from_us: After = 0, to_us: After = 2**62
) -> Response:
    """Every change of shares in a pool within a time, and what was held at its beginning."""
    found = await platform_of(request).reading.shares(PoolId(pool_id), from_us, to_us)
    return json_answer(found)


@router.get("/transfers", response_model=list[TransferSeen])
async def list_transfers(request: Request, _: Staff) -> Response:
    """Money between our own places, the newest first."""
    return json_answer(await platform_of(request).reading.transfers())


@router.get("/arrivals", response_model=list[ArrivalSeen])
async def list_arrivals(request: Request, _: Staff) -> Response:
    """What places received and what it was taken for, the newest first."""
    return json_answer(await platform_of(request).reading.arrivals())


@router.post("/withdrawals", status_code=201, response_model=WithdrawalSeen)
async def pay_out(request: Request, principal: Owner, wish: AvailableWish) -> Response:
    """Pay available money to its user's own Mixin wallet, and to nowhere else."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        user_id = own(principal, wish.user_id or principal.user_id or "")
        if await platform.people.user(user_id) is None:
            raise Problem("unknown_user")
        money = await money_of(platform, wish.asset, wish.amount)
        return await platform.payouts.request(NewPayout(made_id, user_id, money))

    return await once(request, principal, platform.ids.correlation(), effect)


@router.get("/withdrawals", response_model=list[WithdrawalSeen])
async def list_withdrawals(request: Request, principal: Anybody) -> Response:
    """Payouts, the newest first; a user's own."""
    found = await platform_of(request).reading.withdrawals()
    return json_answer([row for row in found if _is_his(principal, row.user_id)])


def _is_his(principal: Principal, user_id: str) -> bool:
    return principal.role is not Role.USER or principal.user_id == user_id
