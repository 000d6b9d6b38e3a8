"""Routes of safety: the kill switch, engines and what holds them back.

Setting a latch asks nothing of the database: it is its own idempotent effect, so that it works
while nothing else does. Releasing one is never forgotten and therefore needs it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from poolmaker.api.access import CHANGE_SAFETY, LOOK_AS_STAFF
from poolmaker.api.calls import Allow, approver_of, json_answer, once, platform_of, unless_refused
from poolmaker.api.description import WITHOUT_KEY
from poolmaker.api.params import AccountPath, LatchPath
from poolmaker.api.ports import (
    EngineView,
    KillView,
    LatchReleased,
    LatchView,
    Released,
    Safety,
)
from poolmaker.api.problems import CATALOGUES
from poolmaker.api.schemas import KillBody, LatchBody, ReleaseBody, ScopeBody
from poolmaker.api.tokens import Principal

router = APIRouter(prefix="/api/v1")

Staff = Annotated[Principal, Depends(Allow(LOOK_AS_STAFF))]
Keeper = Annotated[Principal, Depends(Allow(CHANGE_SAFETY))]


def _safety(request: Request) -> Safety:
    return platform_of(request).safety


def _said(request: Request, released: Released) -> Released:
    """With the verdict's sentence in the language of the request."""
    words = CATALOGUES.words(CATALOGUES.negotiate(request.headers.get("accept-language", "")))
    return replace(released, sentence=words.say(f"release.{released.verdict}"))


@router.get("/kill", response_model=list[LatchView])
async def list_kill_latches(request: Request, _: Staff) -> Response:
    """Kill latches that hold, and where: in a file, in the database or in both."""
    return json_answer(await _safety(request).latches())


@router.post("/kill", status_code=201, response_model=KillView, openapi_extra=WITHOUT_KEY)
async def set_kill_latch(request: Request, principal: Keeper, wish: KillBody) -> Response:
    """Create no order of a scope any more, cancel what rests, and say what the venue still shows.

    The latch holds before this answers. The same wish again is one more latch of the same scope.
    """
    killed = await _safety(request).kill(wish.scope, principal.name, wish.reason)
    return json_answer(unless_refused(killed), 201)


@router.post("/kill/release", status_code=201, response_model=Released)
async def release_kill_latch(request: Request, principal: Keeper, wish: ReleaseBody) -> Response:
    """Release a latch: a second person, or the only one a day after they asked for it.

    Without ids what is released was set before this request was made, however often it is repeated.
    """

    async def effect(made_id: str) -> object:
        approver = await approver_of(request, principal)
        before_us = platform_of(request).ids.made_us(made_id)
        released = await _safety(request).release(
            wish.scope, approver, wish.reason, wish.ids, before_us
        )
        return _said(request, released)

    return await once(request, principal, platform_of(request).ids.correlation(), effect)


@router.post("/kill/take-back", status_code=201, response_model=Released)
async def take_back_release(request: Request, principal: Keeper, wish: ScopeBody) -> Response:
    """Take back the wish to release a latch: it holds as before."""

    async def effect(_: str) -> object:
        return _said(request, await _safety(request).take_back(wish.scope))

    return await once(request, principal, platform_of(request).ids.correlation(), effect)


@router.get("/engines", response_model=list[EngineView])
async def list_engines(request: Request, _: Staff) -> Response:
    """How each engine is doing, since when, and what holds it back."""
    return json_answer(await _safety(request).engines())


@router.post(
    "/engines/{account}/latches/{kind}/release", status_code=201, response_model=LatchReleased
)
async def release_engine_latch(
    request: Request, principal: Keeper, account: AccountPath, kind: LatchPath, wish: LatchBody
) -> Response:
    """Let a latch of an engine go that evidence has not cleared."""

    async def effect(_: str) -> Any:
        return await _safety(request).release_latch(
            account, kind, wish.subject, f"{principal.name}: {wish.reason}"
        )

    return await once(request, principal, platform_of(request).ids.correlation(), effect)
