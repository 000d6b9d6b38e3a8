"""What routes are made of: who is let in, what a key stands for, amounts, answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from fastapi import Request
from starlette.responses import Response

from poolmaker.api.access import APPROVE, Access, Owner, Role
from poolmaker.api.gate import caller_of
from poolmaker.api.ports import ActionRefused, Claim, Platform
from poolmaker.api.problems import MEDIA_TYPE, ApiProblem, body_of
from poolmaker.api.tokens import Principal, hand_of
from poolmaker.infra.approvals.model import Approval, ApprovalAsk, ApprovalPending, Approver
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.ids import CorrelationId, OrderId, UserId, WithdrawalId
from poolmaker.kernel.money import UNITS_MAX, parse_units
from poolmaker.views.model import AmountView

T = TypeVar("T")

CURSOR_HEADER: Final = "Next-Cursor"
KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
_KEY: Final = re.compile(r"[!-~]{8,100}")
_CREATED: Final = 201
KEY_LOOKS: Final = 50
KEY_LOOK_US: Final = SECOND_US // 10


def json_answer(value: object, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def page_answer(rows: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> Response:
    """A page of a list. Where there may be more, ``Next-Cursor`` says what to ask for next."""
    answer = json_answer(rows)
    if len(rows) >= limit:
        answer.headers[CURSOR_HEADER] = quote(cursor_of(rows[-1]), safe=":._-%")
    return answer


def platform_of(request: Request) -> Platform:
    """The platform that this application was made for."""
    found: Platform = request.app.state.platform
    return found


class Allow:
    """A route's dependency: lets in whom its access names, and answers who it is.

    What the path names is looked up and checked for its owner here, so that no route can forget it.
    """

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __call__(self, request: Request) -> Principal:
        """The caller, if role, scope and what the path names are theirs."""
        principal: Principal | None = request.state.principal
        if principal is None:
            raise ApiProblem("unauthenticated")
        if principal.role not in self.access.roles:
            roles = ", ".join(sorted(self.access.roles))
            raise ApiProblem("forbidden", {"role": principal.role, "roles": roles})
        if self.access.scope not in principal.scopes:
            raise ApiProblem("scope_missing", {"scope": self.access.scope})
        if self.access.owner is Owner.USER and principal.role is Role.USER:
            await _require_own(request, principal)
        return principal


async def _require_own(request: Request, principal: Principal) -> None:
    """Raise ``not_found`` where the path names what is another user's, or nobody's."""
    for name, value in request.path_params.items():
        owner = await _owner_of(platform_of(request), name, str(value))
        if owner is not None and owner != principal.user_id:
            raise ApiProblem("not_found")


async def _owner_of(platform: Platform, name: str, value: str) -> str | None:
    """Whose the thing is that a path parameter names; None for a thing that no user owns."""
    match name:
        case "user_id":
            return value
        case "order_id":
            order = await platform.reading.order_owner(OrderId(value))
            return order or ""
        case "withdrawal_id":
            return await platform.reading.withdrawal_owner(WithdrawalId(value)) or ""
        case "token_id":
            token = await platform.tokens.token(value)
            return token.user_id if token is not None else ""
        case _:
            return None


async def approver_of(request: Request, principal: Principal) -> Approver:
    """The caller as somebody who asks or approves; alone when nobody else here could approve."""
    tokens = platform_of(request).tokens
    hand = hand_of(principal.name, await tokens.unvouched())
    others = await tokens.approvers() - hand
    may_approve = APPROVE.lets_in(principal.role, principal.scopes)
    return Approver(principal.name, may_approve=may_approve, alone=not others, hand=hand)


async def permitted(
    request: Request,
    principal: Principal,
    action: str,
    subject: str,
    body: Mapping[str, str],
    made_id: str,
) -> Approval:
    """What a second person has agreed to; raises ``approval_pending`` while none has.

    ``made_id`` is what the Idempotency-Key stands for. A route calls this inside of ``once``,
    before its effect; see ``infra.approvals``.
    """
    ask = ApprovalAsk(action=action, subject=subject, body=body, request_id=made_id)
    approver = await approver_of(request, principal)
    answer = await platform_of(request).approvals.permit(ask, approver)
    if isinstance(answer, ApprovalPending):
        facts = {"approval_id": answer.approval.id, "requested_by": answer.approval.requested_by}
        if answer.may_repeat_us:
            facts["may_repeat_at_us"] = str(answer.may_repeat_us)
        raise ApiProblem("approval_pending", facts)
    return answer.approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is approved, of the state that ``state`` reads: words, or why there is none."""

    action: str
    subject: str
    body: Mapping[str, str]
    state: Callable[[], Awaitable[Mapping[str, str] | ActionRefused]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """What one person may do alone within a limit, and what is approved beyond it."""

    limit: str
    money: AmountView
    action: str
    subject: str
    body: Mapping[str, str]


async def within_limit(
    request: Request,
    principal: Principal,
    asked: Limited,
    made_id: str,
    effect: Callable[[], Awaitable[object]],
) -> object:
    """Do ``effect`` alone while the limit allows it, else when a second person has agreed.

    What is refused counts no more; what is not known does.
    """
    limits, by = platform_of(request).alone, principal.name
    alone = await limits.take(asked.limit, asked.money, made_id, by)
    if not alone:
        await permitted(request, principal, asked.action, asked.subject, asked.body, made_id)
    answer = await effect()
    if alone:
        done = not isinstance(answer, ActionRefused)
        await limits.settle(asked.limit, asked.money, made_id, by, done=done)
    return answer


async def permitted_as_it_stands(
    request: Request,
    principal: Principal,
    asked: Bound,
    made_id: str,
) -> Mapping[str, str]:
    """``permitted`` for this state of what it is about (which freeze, which sending); all words.

    What refuses, refuses before anybody is asked. A request that is repeated after a crash is about
    what it was granted for, not about what is there by now.
    """
    approvals = platform_of(request).approvals
    used = await approvals.granted(made_id, asked.action, asked.subject)
    if used is not None:
        body: Mapping[str, str] = msgspec.json.decode(used.body, type=dict[str, str])
    else:
        body = {**asked.body, **unless_refused(await asked.state())}
    await permitted(request, principal, asked.action, asked.subject, body, made_id)
    return body


def own(principal: Principal, user_id: str) -> UserId:
    """The user that a body names; a user's own are the only ones there are for them."""
    if principal.role is Role.USER and principal.user_id != user_id:
        raise ApiProblem("not_found")
    return UserId(user_id)


async def money_of(
    platform: Platform, asset: str, amount: str, *, positive: bool = True
) -> AmountView:
    """The exact amount, checked against the asset register; ``positive`` refuses zero."""
    assets = {known.code: known for known in await platform.reading.assets()}
    if asset not in assets:
        raise ApiProblem("unknown_asset", {"asset": asset, "assets": ", ".join(sorted(assets))})
    scale = assets[asset].scale
    _, _, fraction = amount.partition(".")
    fits = len(fraction.rstrip("0")) <= scale
    units = parse_units(amount, scale) if fits else 0
    if not fits or units > UNITS_MAX or (positive and units == 0):
        raise ApiProblem("bad_amount", {"asset": asset, "scale": str(scale)})
    return AmountView(asset, amount)


def unless_refused(value: Any) -> Any:
    """The value, or the problem that a refusal is."""
    if isinstance(value, ActionRefused):
        raise ApiProblem(value.code, dict(value.facts))
    return value


Effect = Callable[[str], Awaitable[object]]


async def once(request: Request, principal: Principal, fresh_id: str, effect: Effect) -> Response:
    """Do ``effect`` under the request's Idempotency-Key and store its answer.

    ``effect`` gets the id that the key stands for, which is the same at every try. Refusals are
    answers and are stored too; what is not known (503) is not, so that the caller may ask again.
    Of requests that come at once one works; the others wait for its answer, or get 409.
    """
    platform = platform_of(request)
    claim = await _claim(request, principal, fresh_id)
    if not claim.same:
        raise ApiProblem("key_conflict")
    if claim.answer is not None:
        return _replayed(*claim.answer)
    if not claim.is_mine:
        raise ApiProblem("key_in_progress", retry_after_s=1)
    caller, key = caller_of(principal), request.headers[KEY_HEADER]
    try:
        answer = await _answer_of(request, effect, claim.made_id)
    except BaseException:
        await platform.requests.given_up(caller, key, claim.made_id)
        raise
    await platform.requests.answered(caller, key, answer.status_code, _storable(answer))
    return answer


async def _answer_of(request: Request, effect: Effect, made_id: str) -> Response:
    try:
        return json_answer(unless_refused(await effect(made_id)), _CREATED)
    except ApiProblem as problem:
        return _refusal(request, problem)


async def _claim(request: Request, principal: Principal, fresh_id: str) -> Claim:
    """The key's claim; while another request works under the key, it is waited for a while."""
    key = request.headers.get(KEY_HEADER, "")
    if _KEY.fullmatch(key) is None:
        raise ApiProblem("key_missing")
    platform = platform_of(request)
    fingerprint = hashlib.sha256(
        f"{request.method} {request.url.path}\n".encode() + await request.body()
    ).digest()
    looks = 0
    while True:
        claim = await platform.requests.claim(caller_of(principal), key, fingerprint, fresh_id)
        looks += 1
        if claim.is_mine or claim.answer is not None or not claim.same or looks >= KEY_LOOKS:
            return claim
        await platform.clock.sleep_us(KEY_LOOK_US)


def _refusal(request: Request, problem: ApiProblem) -> Response:
    correlation: CorrelationId = request.state.correlation
    body = body_of(problem, correlation, request.state.language)
    return Response(msgspec.json.encode(body), problem.status, media_type=MEDIA_TYPE)


def _storable(answer: Response) -> bytes:
    """The answer without a token: that is shown once and never stored."""
    content: Any = msgspec.json.decode(answer.body)
    if isinstance(content, dict) and "token" in content:
        content["token"] = None
    return msgspec.json.encode(content)


def _replayed(status: int, body: bytes) -> Response:
    kind = "application/json" if status == _CREATED else MEDIA_TYPE
    return Response(body, status, {REPLAYED_HEADER: "true"}, kind)
