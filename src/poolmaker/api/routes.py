"""The routes of version 1. Each names the roles it lets in; the table of the tests walks them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from poolmaker.api.access import (
    CHANGE_ORDERS,
    LOOK,
    LOOK_AS_STAFF,
    LOOK_AT_OWN,
    RUN_SANDBOX,
    WITHDRAW,
    Role,
)
from poolmaker.api.calls import (
    CURSOR_HEADER,
    Allow,
    json_answer,
    money_of,
    once,
    own,
    page_answer,
    platform_of,
)
from poolmaker.api.params import (
    AccountPath,
    After,
    Cursor,
    Limit,
    OrderPath,
    PoolPath,
    SeqPath,
    UserPath,
)
from poolmaker.api.ports import (
    ActionRefused,
    NewOrder,
    Platform,
    WithdrawalDestination,
)
from poolmaker.api.problems import ApiProblem
from poolmaker.api.schemas import ActBody, Nothing, OrderBody, WithdrawBody
from poolmaker.api.tokens import Principal
from poolmaker.kernel.ids import OrderId, PoolId, UserId
from poolmaker.views.model import (
    Act,
    ActivityView,
    AssetView,
    BalanceView,
    CustodyLine,
    FillView,
    HealthView,
    MarketLive,
    OrderView,
    Page,
    PoolView,
    StatementView,
    TrialBalance,
    WorldMode,
)

router = APIRouter(prefix="/api/v1")

Anybody = Annotated[Principal, Depends(Allow(LOOK))]
Own = Annotated[Principal, Depends(Allow(LOOK_AT_OWN))]
Staff = Annotated[Principal, Depends(Allow(LOOK_AS_STAFF))]
Trader = Annotated[Principal, Depends(Allow(CHANGE_ORDERS))]
Withdrawer = Annotated[Principal, Depends(Allow(WITHDRAW))]
Sandbox = Annotated[Principal, Depends(Allow(RUN_SANDBOX))]


# ------------------------------------------------------------------------------------- wishes


@router.post("/orders", status_code=201, response_model=OrderView)
async def open_order(request: Request, principal: Trader, wish: OrderBody) -> Response:
    """Open an order in a pool. It locks, is funded and joins at the pool's next barrier."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        return await platform.orders.open(await _order(platform, principal, made_id, wish))

    return await once(request, principal, platform.ids.correlation(), effect)


async def _order(
    platform: Platform, principal: Principal, request_id: str, wish: OrderBody
) -> NewOrder:
    user_id = own(principal, wish.user_id or principal.user_id or "")
    if await platform.people.user(user_id) is None:
        raise ApiProblem("unknown_user")
    pool = await pool_of(platform, wish.pool_id)
    base = await money_of(platform, pool.base.asset, wish.base, positive=False)
    quote = await money_of(platform, pool.quote.asset, wish.quote, positive=False)
    pays, least = wish.pay == "mixin", wish.least_shares or ""
    return NewOrder(request_id, user_id, PoolId(pool.pool_id), base, quote, pays, least)


async def pool_of(platform: Platform, pool_id: str) -> PoolView:
    """The pool, or the problem that there is none."""
    pools = await platform.reading.pools()
    pool = next((found for found in pools if found.pool_id == pool_id), None)
    if pool is None:
        raise ApiProblem("unknown_pool")
    return pool


@router.post("/orders/{order_id}/pause", status_code=201, response_model=OrderView)
async def pause_order(
    request: Request, principal: Trader, order_id: OrderPath, _: Nothing | None = None
) -> Response:
    """Take the order's shares out of the pool into locked."""
    return await _acted(request, principal, order_id, platform_of(request).orders.pause)


@router.post("/orders/{order_id}/take-back", status_code=201, response_model=OrderView)
async def take_back_excess(
    request: Request, principal: Trader, order_id: OrderPath, _: Nothing | None = None
) -> Response:
    """Give back, free of charge, what of the order has waited too long for a price."""
    return await _acted(request, principal, order_id, platform_of(request).orders.take_back)


@router.post("/orders/{order_id}/resume", status_code=201, response_model=OrderView)
async def resume_order(
    request: Request, principal: Trader, order_id: OrderPath, _: Nothing | None = None
) -> Response:
    """Fund the order again and join at the pool's next barrier."""
    return await _acted(request, principal, order_id, platform_of(request).orders.resume)


_ActOnOrder = Callable[[UserId, OrderId, str], Awaitable[OrderView | ActionRefused]]


async def _acted(
    request: Request, principal: Principal, order_id: str, act: _ActOnOrder
) -> Response:
    """Do with the order what its user asks, and show it."""
    platform = platform_of(request)
    order = await _order_of(platform, order_id)

    async def effect(made_id: str) -> object:
        return await act(UserId(order.user_id), OrderId(order_id), made_id)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/orders/{order_id}/withdraw", status_code=201, response_model=OrderView)
async def withdraw_order(
    request: Request, principal: Withdrawer, order_id: OrderPath, wish: WithdrawBody
) -> Response:
    """Leave, pay out to the user's own wallet, close. The operator never names where it goes."""
    platform = platform_of(request)
    order = await _order_of(platform, order_id)
    pool = await pool_of(platform, order.pool_id)
    if wish.payout and principal.role is not Role.USER:
        raise ApiProblem("destination_refused")
    named = sorted(payout.asset for payout in wish.payout)
    if named and named != sorted((pool.base.asset, pool.quote.asset)):
        what = f"payout must name {pool.base.asset} and {pool.quote.asset}, once each"
        raise ApiProblem("invalid", {"what": what})
    payout = [WithdrawalDestination(p.asset, p.network, p.address, p.memo) for p in wish.payout]
    user_id = UserId(order.user_id)

    async def effect(made_id: str) -> object:
        return await platform.orders.withdraw(user_id, OrderId(order_id), payout, made_id)

    return await once(request, principal, platform.ids.correlation(), effect)


async def _order_of(platform: Platform, order_id: str) -> OrderView:
    order = await platform.reading.order(OrderId(order_id))
    if order is None:
        raise ApiProblem("not_found")
    return order


@router.post("/sandbox/story", status_code=201, response_model=dict[str, Any])
async def tell_story(request: Request, principal: Sandbox, wish: ActBody) -> Response:
    """Show on the page where a told story stands; only in the sandbox."""
    platform = platform_of(request)
    if platform.mode is not WorldMode.SANDBOX:
        raise ApiProblem("sandbox_only")

    async def effect(_: str) -> object:
        now_us = platform.clock.now_us()
        facts = dict(wish.facts)
        act = Act(wish.number, wish.of, wish.name, facts, wish.started_at_us, now_us, wish.done)
        platform.stage.tell(act)
        return {"ok": True}

    return await once(request, principal, platform.ids.correlation(), effect)


# ------------------------------------------------------------------------------------ reading


@router.get("/users/{user_id}/statement", response_model=StatementView)
async def statement(
    request: Request, _: Own, user_id: UserPath, after: After = 0, limit: Limit = 100
) -> Response:
    """A user's entries in order, and each order's profit and loss by cause."""
    platform = platform_of(request)
    if await platform.people.user(UserId(user_id)) is None:
        raise ApiProblem("unknown_user")
    return json_answer(await platform.reading.statement(UserId(user_id), after, limit))


@router.get("/orders", response_model=list[OrderView])
async def list_orders(
    request: Request, principal: Own, before: Cursor = "", limit: Limit = 200
) -> Response:
    """Orders before an id, newest first; a user's own."""
    found = await platform_of(request).reading.orders(principal.user_id, before, limit)
    return page_answer(found, limit, lambda order: order.order_id)


@router.get("/orders/{order_id}", response_model=OrderView)
async def show_order(request: Request, _: Own, order_id: OrderPath) -> Response:
    """One order."""
    return json_answer(await _order_of(platform_of(request), order_id))


@router.get("/balances", response_model=list[BalanceView])
async def balances(
    request: Request, principal: Own, after: Cursor = "", limit: Limit = 500
) -> Response:
    """Balances of users after an id, by id; a user's own. ``limit`` counts users."""
    reading = platform_of(request).reading
    found = await reading.balances(principal.user_id, after, limit)
    answer = json_answer(found)
    users = [] if principal.user_id else await platform_of(request).people.users(after, limit)
    if len(users) >= limit:
        answer.headers[CURSOR_HEADER] = users[-1].user_id
    return answer


@router.get("/assets", response_model=list[AssetView])
async def assets(request: Request, _: Anybody) -> Response:
    """The asset register."""
    return json_answer(await platform_of(request).reading.assets())


@router.get("/pools", response_model=list[PoolView])
async def list_pools(request: Request, _: Anybody) -> Response:
    """All pools."""
    return json_answer(await platform_of(request).reading.pools())


@router.get("/pools/{pool_id}", response_model=PoolView)
async def show_pool(request: Request, _: Anybody, pool_id: PoolPath) -> Response:
    """One pool."""
    return json_answer(await pool_of(platform_of(request), pool_id))


@router.get("/pools/{pool_id}/fills", response_model=list[FillView])
async def list_fills(
    request: Request, _: Anybody, pool_id: PoolPath, after: After = 0, limit: Limit = 100
) -> Response:
    """A pool's newest fills after a position of its stream, newest first."""
    platform = platform_of(request)
    await pool_of(platform, pool_id)
    return json_answer(await platform.live.fills(PoolId(pool_id), after, limit))


@router.get("/market/live", response_model=list[MarketLive])
async def market_live(request: Request, _: Anybody) -> Response:
    """Every pool's market as the engine sees it now."""
    return json_answer(platform_of(request).live.markets())


@router.get("/ledger/trial-balance", response_model=TrialBalance)
async def trial_balance(request: Request, _: Staff) -> Response:
    """Where it is and whose it is, per asset."""
    return json_answer(await platform_of(request).reading.trial_balance())


@router.get("/ledger/accounts/{account}/entries", response_model=Page)
async def account_entries(
    request: Request, _: Staff, account: AccountPath, after: After = 0, limit: Limit = 100
) -> Response:
    """Entries of one account in order."""
    return json_answer(await platform_of(request).reading.account(account, after, limit))


@router.get("/ledger/transactions", response_model=list[ActivityView])
async def list_transactions(
    request: Request, _: Staff, after: After = 0, before: After = 0, limit: Limit = 100
) -> Response:
    """The newest transactions after a sequence, or those before one, newest first."""
    reading = platform_of(request).reading
    if before:
        return _older(await reading.happenings_before(before, limit))
    return _older(await reading.happenings(after, limit), after)


def _older(found: Sequence[ActivityView], after: int = 0) -> Response:
    """Transactions with where they go on: what is older and after ``after`` is never cut off."""
    answer = json_answer(found)
    if found and found[-1].seq > after + 1:
        answer.headers[CURSOR_HEADER] = str(found[-1].seq)
    return answer


@router.get("/ledger/transactions/{seq}", response_model=ActivityView)
async def show_transaction(request: Request, _: Staff, seq: SeqPath) -> Response:
    """One transaction with its entries."""
    happening = await platform_of(request).reading.transaction(seq)
    if happening is None:
        raise ApiProblem("not_found")
    return json_answer(happening)


@router.get("/custody", response_model=list[CustodyLine])
async def custody(request: Request, _: Staff) -> Response:
    """What is booked against what each place reports."""
    return json_answer(await platform_of(request).reading.custody())


@router.get("/health", response_model=HealthView)
async def health(request: Request, _: Anybody) -> Response:
    """Whether the platform can do its work."""
    found = await platform_of(request).reading.health()
    return json_answer(msgspec.to_builtins(found) | {"ok": found.ok})


@router.get("/openapi.json", response_model=dict[str, Any])
async def openapi(request: Request, _: Anybody) -> Response:
    """This description."""
    return json_answer(request.app.openapi())
