"""Routes of what needs a person: the one list, and every way forward that it names.

What moves money or leaves a fact out of the books needs a second person; a small deficit does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from poolmaker.api.access import (
    CHANGE_SAFETY,
    DECIDE_MONEY,
    DECIDE_MONEY_TOGETHER,
    LIFT_SAFETY,
    LOOK_AS_STAFF,
)
from poolmaker.api.calls import (
    Allow,
    Bound,
    Limited,
    json_answer,
    money_of,
    once,
    permitted_as_it_stands,
    platform_of,
    unless_refused,
    within_limit,
)
from poolmaker.api.interventions import Bearing, Resolving, RewardWord, StreamPlace
from poolmaker.api.params import SEQ_MAX, CampaignPath, Limit, RewardPath, SagaPath
from poolmaker.api.problems import ApiProblem
from poolmaker.api.results import ActionReceipt, ActionRefused
from poolmaker.api.schemas import (
    AsideBody,
    AssignBody,
    BearBody,
    CloseBody,
    Nothing,
    ReasonBody,
    RefundBody,
    ResolveBody,
    SkipBody,
    StreamBody,
)
from poolmaker.api.tokens import Principal
from poolmaker.kernel.ids import UserId
from poolmaker.recon.listing import AttentionPage, CloseAnswer
from poolmaker.views.attention import SagaView, StreamEventView
from poolmaker.views.model import AmountView

router = APIRouter(prefix="/api/v1")

Staff = Annotated[Principal, Depends(Allow(LOOK_AS_STAFF))]
Decider = Annotated[Principal, Depends(Allow(DECIDE_MONEY))]
Together = Annotated[Principal, Depends(Allow(DECIDE_MONEY_TOGETHER))]
Keeper = Annotated[Principal, Depends(Allow(CHANGE_SAFETY))]
Lifter = Annotated[Principal, Depends(Allow(LIFT_SAFETY))]
Kind = Annotated[str, Query(pattern=r"^[a-z0-9_ :.\-]{0,100}$", max_length=100)]
ItemCursor = Annotated[str, Query(pattern=r"^[^\x00-\x1f]{0,300}$", max_length=300)]
Consumer = Annotated[str, Query(pattern=r"^[!-~]{1,128}$", max_length=128)]
Seq = Annotated[int, Query(ge=1, le=SEQ_MAX)]


# ---------------------------------------------------------------------------------- the one list


@router.get("/attention", response_model=AttentionPage)
async def attention(
    request: Request, _: Staff, kind: Kind = "", after: ItemCursor = "", limit: Limit = 100
) -> Response:
    """What needs a person: a few of every kind with all counts, or one kind page by page."""
    found = platform_of(request).attention
    page = await (found.of_kind(kind, after, limit) if kind else found.summary())
    return json_answer(msgspec.to_builtins(page) | {"items": [_item(one) for one in page.items]})


def _item(one: Any) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(one)
    return built | {"id": one.id}


@router.post("/attention/close", status_code=201, response_model=dict[str, Any])
async def close_item(request: Request, principal: Decider, wish: CloseBody) -> Response:
    """Close what evidence cannot close, under the caller's name and a reason that is kept."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        answer = await platform.attention.close(wish.id, principal.name, wish.reason)
        match answer:
            case CloseAnswer.CLOSED:
                return {"closed": wish.id}
            case CloseAnswer.UNKNOWN:
                raise ApiProblem("not_found")
            case CloseAnswer.BY_EVIDENCE:
                return ActionRefused(answer.value)

    return await once(request, principal, platform.ids.correlation(), effect)


# ----------------------------------------------------------------------------------------- sagas


@router.get("/sagas/{saga_id}", response_model=SagaView)
async def show_saga(request: Request, _: Staff, saga_id: SagaPath) -> Response:
    """One saga: where it stands, why, and every step so far."""
    found = await platform_of(request).interventions.sagas.saga(saga_id)
    if found is None:
        raise ApiProblem("not_found")
    return json_answer(found)


@router.post("/sagas/{saga_id}/resume", status_code=201, response_model=SagaView)
async def resume_saga(
    request: Request, principal: Decider, saga_id: SagaPath, _: Nothing
) -> Response:
    """Let a parked saga do its step again, after what it found broken is mended."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        return await platform.interventions.sagas.resume(saga_id)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/sagas/{saga_id}/retry", status_code=201, response_model=SagaView)
async def retry_saga(
    request: Request, principal: Decider, saga_id: SagaPath, _: Nothing
) -> Response:
    """Let a waiting saga look again now."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        return await platform.interventions.sagas.retry(saga_id)

    return await once(request, principal, platform.ids.correlation(), effect)


# --------------------------------------------------------------------------------------- streams


@router.get("/streams/event", response_model=StreamEventView)
async def show_event(
    request: Request, _: Staff, consumer: Consumer, stream: Consumer, seq: Seq
) -> Response:
    """The event at which a consumer has stopped."""
    place = StreamPlace(consumer, stream, seq)
    found = await platform_of(request).interventions.streams.event(place)
    if found is None:
        raise ApiProblem("not_found")
    return json_answer(found)


@router.post("/streams/replay", status_code=201, response_model=StreamEventView)
async def replay_event(request: Request, principal: Decider, wish: StreamBody) -> Response:
    """Try the event again, after what made it fail is mended."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        place = StreamPlace(wish.consumer, wish.stream, wish.seq)
        return await platform.interventions.streams.replay(place)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/streams/skip", status_code=201, response_model=StreamEventView)
async def skip_event(request: Request, principal: Together, wish: SkipBody) -> Response:
    """Leave an event out for good: what it says is never applied by this consumer."""
    platform = platform_of(request)
    streams = platform.interventions.streams
    place = StreamPlace(wish.consumer, wish.stream, wish.seq)

    async def state() -> Mapping[str, str] | ActionRefused:
        seen = await streams.event(place)
        if seen is None:
            return ActionRefused("not_stopped", {"stream": place.stream, "event": str(place.seq)})
        return {"failed_at_us": str(seen.failed_at_us)}

    asked = Bound(
        action="stream.skip",
        subject=wish.stream,
        body={"consumer": wish.consumer, "event": str(wish.seq), "reason": wish.reason},
        state=state,
    )

    async def effect(made_id: str) -> object:
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        failed_at_us = int(said["failed_at_us"])
        return await streams.skip(place, failed_at_us, principal.name, wish.reason)

    return await once(request, principal, platform.ids.correlation(), effect)


# ---------------------------------------------------------------------------------------- ledger


@router.post("/ledger/bear-deficit", status_code=201, response_model=ActionReceipt)
async def bear_deficit(request: Request, principal: Decider, wish: BearBody) -> Response:
    """BEAR_DEFICIT: equity bears what is missing. Above the limit of 24 hours by two persons."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        money = await money_of(platform, wish.asset, wish.amount)
        asked = Limited(
            limit="bear_deficit",
            money=money,
            action="deficit.bear",
            subject=wish.account,
            body={"asset": wish.asset, "amount": wish.amount, "reason": wish.reason},
        )

        async def bear() -> object:
            return await platform.interventions.ledger.bear(
                Bearing(request_id=made_id, account=wish.account, money=money, reason=wish.reason)
            )

        return await within_limit(request, principal, asked, made_id, bear)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/ledger/set-aside", status_code=201, response_model=ActionReceipt)
async def set_aside(request: Request, principal: Together, wish: AsideBody) -> Response:
    """SET_ASIDE: a fact that cannot be booked is answered as refused and stops nothing more."""
    platform = platform_of(request)

    ledger = platform.interventions.ledger

    async def state() -> Mapping[str, str] | ActionRefused:
        digest = await ledger.waiting(wish.key)
        return digest if isinstance(digest, ActionRefused) else {"digest": digest}

    body = {"key": wish.key, "reason": wish.reason}
    asked = Bound(action="ledger.set_aside", subject=wish.key, body=body, state=state)

    async def effect(made_id: str) -> object:
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        return await ledger.set_aside(wish.key, said["digest"], wish.reason, made_id)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/suspense/resolve", status_code=201, response_model=ActionReceipt)
async def resolve_suspense(request: Request, principal: Together, wish: ResolveBody) -> Response:
    """RESOLVE_SUSPENSE.v2: unidentified money becomes a user's, a pool's or the operator's.

    What is approved is the suspense as its last ledger entry left it.
    """
    platform = platform_of(request)
    ledger = platform.interventions.ledger

    async def state() -> Mapping[str, str] | ActionRefused:
        entry = await ledger.suspended(wish.source, AmountView(wish.asset, wish.amount))
        return entry if isinstance(entry, ActionRefused) else {"entry": str(entry)}

    asked = Bound(
        action="suspense.resolve",
        subject=wish.source,
        body=wish.model_dump(include={"to", "asset", "amount", "reason"}),
        state=state,
    )

    async def effect(made_id: str) -> object:
        money = await money_of(platform, wish.asset, wish.amount)
        target = await _target(request, wish.to)
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        resolving = Resolving(
            request_id=made_id,
            source=wish.source,
            target=target,
            money=money,
            entry=int(said["entry"]),
            reason=wish.reason,
        )
        return await ledger.resolve(resolving)

    return await once(request, principal, platform.ids.correlation(), effect)


async def _target(request: Request, to: str) -> str:
    """The account that ``user:<id>``, ``pool:<id>`` or ``platform`` means."""
    kind, _, name = to.partition(":")
    if kind == "platform":
        return "platform:equity"
    if kind == "pool":
        return f"pool:{name}:capital"
    if await platform_of(request).people.user(UserId(name)) is None:
        raise ApiProblem("unknown_user")
    return f"user:{name}:available"


@router.post("/suspense/refund", status_code=201, response_model=dict[str, Any])
async def refund_suspense(request: Request, principal: Decider, wish: RefundBody) -> Response:
    """Pay unidentified money back to the sender that its place named."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        ledger = platform.interventions.ledger
        unless_refused(await ledger.refund(wish.source, wish.reason, made_id))
        return {"refunding": wish.source}

    return await once(request, principal, platform.ids.correlation(), effect)


# --------------------------------------------------------------------- rewards, campaigns, freeze


@router.post("/rewards/{reward_id}/keep", status_code=201, response_model=dict[str, Any])
async def keep_reward(
    request: Request, principal: Together, reward_id: RewardPath, wish: ReasonBody
) -> Response:
    """A reward that nobody has a part in becomes the operator's."""
    return await _decide(request, principal, reward_id, "", wish.reason)


@router.post("/rewards/{reward_id}/assign", status_code=201, response_model=dict[str, Any])
async def assign_reward(
    request: Request, principal: Together, reward_id: RewardPath, wish: AssignBody
) -> Response:
    """A reward belongs to the share holders of a named pool, by their weights in its period."""
    return await _decide(request, principal, reward_id, wish.pool_id, wish.reason)


async def _decide(
    request: Request, principal: Principal, reward_id: str, pool: str, reason: str
) -> Response:
    """One word is about the wait of that time: a reward that waits again needs another."""
    platform = platform_of(request)
    rooms = platform.interventions.rooms

    async def state() -> Mapping[str, str] | ActionRefused:
        since_us = await rooms.reward_waits_since_us(reward_id)
        return since_us if isinstance(since_us, ActionRefused) else {"since_us": str(since_us)}

    body = {"pool": pool, "reason": reason}
    asked = Bound(action="reward.decide", subject=reward_id, body=body, state=state)

    async def effect(made_id: str) -> object:
        known = {found.pool_id for found in await platform.reading.pools()}
        if pool and pool not in known:
            raise ApiProblem("unknown_pool")
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        decided = RewardWord(
            reward=reward_id,
            pool=pool,
            since_us=int(said["since_us"]),
            by=principal.name,
            reason=reason,
        )
        unless_refused(await rooms.decide_reward(decided))
        return {"reward_id": reward_id, "pool_id": pool}

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/campaigns/{campaign_id}/join", status_code=201, response_model=dict[str, Any])
async def join_campaign(
    request: Request, principal: Decider, campaign_id: CampaignPath, _: Nothing
) -> Response:
    """Ask again to take part in a campaign."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        unless_refused(await platform.interventions.rooms.join_campaign(campaign_id))
        return {"campaign_id": campaign_id}

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/freeze", status_code=201, response_model=dict[str, Any])
async def freeze(request: Request, principal: Keeper, wish: ReasonBody) -> Response:
    """Stop outgoing money at once; what was sent is followed all the same."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        await platform.interventions.rooms.freeze(principal.name, wish.reason)
        return {"frozen": True}

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/freeze/lift", status_code=201, response_model=dict[str, Any])
async def lift_freeze(request: Request, principal: Lifter, wish: ReasonBody) -> Response:
    """Let outgoing money go again. What is approved is the end of this freeze, not of a later."""
    platform = platform_of(request)
    rooms = platform.interventions.rooms

    async def state() -> Mapping[str, str] | ActionRefused:
        since_us = await rooms.frozen_since_us()
        return {"since_us": str(since_us)} if since_us else ActionRefused("not_frozen")

    body = {"reason": wish.reason}
    asked = Bound(action="freeze.lift", subject="outgoing money", body=body, state=state)

    async def effect(made_id: str) -> object:
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        await rooms.lift_freeze(int(said["since_us"]))
        return {"frozen": False}

    return await once(request, principal, platform.ids.correlation(), effect)
