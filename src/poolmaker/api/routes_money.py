"""Routes that show where money is on its way, and what campaigns bring."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from poolmaker.api.access import Role
from poolmaker.api.calls import (
    CURSOR_HEADER,
    json_answer,
    money_of,
    once,
    own,
    page_answer,
    platform_of,
)
from poolmaker.api.params import (
    SEQ_MAX,
    After,
    Cursor,
    Limit,
    PoolPath,
    RewardPath,
    Skip,
    WithdrawalPath,
)
from poolmaker.api.ports import NewPayout
from poolmaker.api.problems import ApiProblem
from poolmaker.api.routes import Anybody, Own, Staff, Withdrawer, pool_of
from poolmaker.api.schemas import AvailableBody
from poolmaker.api.tokens import Principal
from poolmaker.kernel.ids import PoolId, WithdrawalId
from poolmaker.views.model import (
    AllocationView,
    ArrivalView,
    CampaignView,
    RewardView,
    ShareChangeView,
    TransferView,
    WithdrawalView,
)

router = APIRouter(prefix="/api/v1")


@router.get("/campaigns", response_model=list[CampaignView])
async def list_campaigns(
    request: Request, _: Anybody, after: Skip = 0, limit: Limit = 200
) -> Response:
    """Campaigns, the newest first."""
    found = await platform_of(request).reading.campaigns(after, limit)
    return _counted(found, after, limit)


@router.get("/rewards", response_model=list[RewardView])
async def list_rewards(
    request: Request, _: Anybody, after: Skip = 0, limit: Limit = 200
) -> Response:
    """Rewards that came, the newest first."""
    found = await platform_of(request).reading.rewards(after, limit)
    return _counted(found, after, limit)


@router.get("/rewards/{reward_id}/allocations", response_model=list[AllocationView])
async def list_allocations(request: Request, principal: Own, reward_id: RewardPath) -> Response:
    """Who got what of a reward, and by which weight; a user's own parts."""
    found = await platform_of(request).reading.allocations(reward_id)
    if found is None:
        raise ApiProblem("not_found")
    return json_answer([part for part in found if _is_his(principal, part.user_id)])


@router.get("/pools/{pool_id}/shares", response_model=list[ShareChangeView])
async def list_shares(
    request: Request, _: Staff, pool_id: PoolPath, from_us: After = 0, to_us: After = SEQ_MAX
) -> Response:
    """Every change of shares in a pool within a time, and what was held at its beginning."""
    await pool_of(platform_of(request), pool_id)
    found = await platform_of(request).reading.shares(PoolId(pool_id), from_us, to_us)
    return json_answer(found)


@router.get("/transfers", response_model=list[TransferView])
async def list_transfers(
    request: Request, _: Staff, after: Skip = 0, limit: Limit = 200
) -> Response:
    """Money between our own places, the newest first."""
    found = await platform_of(request).reading.transfers(after, limit)
    return _counted(found, after, limit)


@router.get("/arrivals", response_model=list[ArrivalView])
async def list_arrivals(
    request: Request, _: Staff, after: Skip = 0, limit: Limit = 200
) -> Response:
    """What places received and what it was taken for, the newest first."""
    found = await platform_of(request).reading.arrivals(after, limit)
    return _counted(found, after, limit)


@router.post("/withdrawals", status_code=201, response_model=WithdrawalView)
async def pay_out(request: Request, principal: Withdrawer, wish: AvailableBody) -> Response:
    """Pay available money to its user's own Mixin wallet, and to nowhere else."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        user_id = own(principal, wish.user_id or principal.user_id or "")
        if await platform.people.user(user_id) is None:
            raise ApiProblem("unknown_user")
        money = await money_of(platform, wish.asset, wish.amount)
        return await platform.payouts.request(NewPayout(made_id, user_id, money))

    return await once(request, principal, platform.ids.correlation(), effect)


@router.get("/withdrawals", response_model=list[WithdrawalView])
async def list_withdrawals(
    request: Request, principal: Own, before: Cursor = "", limit: Limit = 200
) -> Response:
    """Payouts before an id, the newest first; a user's own."""
    found = await platform_of(request).reading.withdrawals(principal.user_id, before, limit)
    return page_answer(found, limit, lambda row: row.withdrawal_id)


@router.get("/withdrawals/{withdrawal_id}", response_model=WithdrawalView)
async def show_withdrawal(request: Request, _: Own, withdrawal_id: WithdrawalPath) -> Response:
    """One payout."""
    found = await platform_of(request).reading.withdrawal(WithdrawalId(withdrawal_id))
    if found is None:
        raise ApiProblem("not_found")
    return json_answer(found)


def _counted(rows: Sequence[object], after: int, limit: int) -> Response:
    """A page of a list whose cursor counts rows, from the newest on."""
    answer = json_answer(rows)
    if len(rows) >= limit:
        answer.headers[CURSOR_HEADER] = str(after + len(rows))
    return answer


def _is_his(principal: Principal, user_id: str) -> bool:
    return principal.role is not Role.USER or principal.user_id == user_id
