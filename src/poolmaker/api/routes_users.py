"""Routes of users' lives and of everybody's tokens, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from poolmaker.api.access import (
    APPROVE,
    BIND_WALLET,
    CHANGE_TOKENS,
    CHANGE_USERS,
    GRANT_STAFF,
    LOOK_AS_STAFF,
    LOOK_AT_OWN,
    ROLE_SCOPES,
    Role,
    Scope,
)
from poolmaker.api.calls import (
    Allow,
    approver_of,
    json_answer,
    once,
    page_answer,
    permitted,
    platform_of,
    unless_refused,
)
from poolmaker.api.params import ApprovalPath, Cursor, Ended, Limit, TokenPath, UserPath
from poolmaker.api.ports import ActionRefused, Platform
from poolmaker.api.problems import ApiProblem
from poolmaker.api.schemas import (
    ApprovalView,
    NewStaffToken,
    NewUserToken,
    Nothing,
    UserBody,
    WalletBody,
)
from poolmaker.api.tokens import (
    NewToken,
    Principal,
    TokenView,
    expiry_us,
    fresh_token,
    hand_of,
    scopes_of,
    token_hash,
)
from poolmaker.infra.approvals import model
from poolmaker.infra.approvals.model import Approval, ApprovalRefused
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.ids import ApprovalId, UserId
from poolmaker.views.model import UserView, WalletClaimView

router = APIRouter(prefix="/api/v1")

Manager = Annotated[Principal, Depends(Allow(CHANGE_USERS))]
Granter = Annotated[Principal, Depends(Allow(GRANT_STAFF))]
Staff = Annotated[Principal, Depends(Allow(LOOK_AS_STAFF))]
Own = Annotated[Principal, Depends(Allow(LOOK_AT_OWN))]
TokenOwner = Annotated[Principal, Depends(Allow(CHANGE_TOKENS))]
WalletOwner = Annotated[Principal, Depends(Allow(BIND_WALLET))]
Approver = Annotated[Principal, Depends(Allow(APPROVE))]

RESERVED: Final = frozenset({"operator", "treasurer", "viewer", "time"})


# -------------------------------------------------------------------------------------- users


@router.post("/users", status_code=201, response_model=dict[str, Any])
async def create_user(request: Request, principal: Manager, wish: UserBody) -> Response:
    """Make a user by their Mixin id, with a first token, which is shown once and never again."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        _granted_until_us(platform, principal, ROLE_SCOPES[Role.USER], None)
        user = unless_refused(await platform.people.create(made_id, wish.name, wish.mixin_id))
        granted = await _grant(platform, principal, made_id, _users_token(user, None, None))
        return msgspec.to_builtins(user) | granted

    return await once(request, principal, platform.ids.correlation(), effect)


@router.get("/users", response_model=list[UserView])
async def list_users(
    request: Request, _: Staff, after: Cursor = "", limit: Limit = 500
) -> Response:
    """Users, the oldest first, after an id."""
    found = await platform_of(request).people.users(after, limit)
    return page_answer(found, limit, lambda user: user.user_id)


@router.get("/users/{user_id}", response_model=UserView)
async def show_user(request: Request, _: Own, user_id: UserPath) -> Response:
    """One user."""
    return json_answer(await _user(platform_of(request), user_id))


async def _user(platform: Platform, user_id: str) -> UserView:
    user = await platform.people.user(UserId(user_id))
    if user is None:
        raise ApiProblem("unknown_user")
    return user


@router.post("/users/{user_id}/wallet", status_code=201, response_model=WalletClaimView)
async def claim_wallet(
    request: Request, principal: WalletOwner, user_id: UserPath, wish: WalletBody
) -> Response:
    """For a user without a wallet: say which one is theirs, and how a payment from it proves it.

    A user claims with a token from before wallets were bound, or with one that such a token issued.
    Everybody else needs a second person of the staff.
    """
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        if not principal.binds_wallet:
            if principal.role is Role.USER:
                return ActionRefused("wallet_needs_staff")
            if (await _user(platform, user_id)).mixin_id:
                return ActionRefused("wallet_taken")  # nobody is asked about what cannot be
            body = {"mixin_id": wish.mixin_id}
            await permitted(request, principal, "wallet.claim", user_id, body, made_id)
        return await platform.people.claim_wallet(UserId(user_id), wish.mixin_id)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/users/{user_id}/disable", status_code=201, response_model=UserView)
async def disable_user(
    request: Request, principal: Manager, user_id: UserPath, _: Nothing | None = None
) -> Response:
    """Revoke all tokens of a user and let them open nothing; their money stays theirs."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        user = unless_refused(await platform.people.disable(UserId(user_id), disabled=True))
        await platform.tokens.revoke_all(UserId(user_id))
        return user

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/users/{user_id}/enable", status_code=201, response_model=UserView)
async def enable_user(
    request: Request, principal: Manager, user_id: UserPath, _: Nothing | None = None
) -> Response:
    """Let a disabled user open orders again. They need a new token."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        return await platform.people.disable(UserId(user_id), disabled=False)

    return await once(request, principal, platform.ids.correlation(), effect)


# ------------------------------------------------------------------------------------- tokens


@router.post("/users/{user_id}/tokens", status_code=201, response_model=dict[str, Any])
async def create_token(
    request: Request,
    principal: TokenOwner,
    user_id: UserPath,
    wish: NewUserToken | None = None,
) -> Response:
    """One more token for a user, shown once; it may do no more than the caller's, nor longer."""
    platform = platform_of(request)
    wanted = wish or NewUserToken()

    async def effect(made_id: str) -> object:
        user = await _user(platform, user_id)
        if user.disabled_at_us:
            return ActionRefused("user_disabled")
        scopes = frozenset(wanted.scopes) if wanted.scopes is not None else None
        token = _users_token(user, scopes, wanted.days)
        return await _grant(platform, principal, made_id, token)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/tokens", status_code=201, response_model=dict[str, Any])
async def create_staff_token(request: Request, principal: Granter, wish: NewStaffToken) -> Response:
    """A token for another person of the staff, shown once. Needs a second person, or a day."""
    platform = platform_of(request)
    if wish.name in RESERVED:
        raise ApiProblem("name_taken", {"name": wish.name})

    async def effect(made_id: str) -> object:
        body = {"role": wish.role, "days": str(wish.days or "")}
        body["scopes"] = " ".join(sorted(wish.scopes)) if wish.scopes is not None else ""
        agreed = await permitted(request, principal, "token.grant", wish.name, body, made_id)
        role = Role(wish.role)
        scopes = frozenset(wish.scopes) if wish.scopes is not None else None
        token = _Wanted(role, wish.name, None, scopes_of(role, scopes), wish.days)
        hand = hand_of(agreed.requested_by, await platform.tokens.unvouched())
        token = msgspec.structs.replace(token, vouched=agreed.approved_by not in hand)
        return await _grant(platform, principal, made_id, token)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.get("/tokens", response_model=list[TokenView])
async def list_tokens(
    request: Request, principal: Own, after: Cursor = "", limit: Limit = 100
) -> Response:
    """Tokens, a user's own; what a token is made of is never shown."""
    found = await platform_of(request).tokens.tokens(principal.user_id, after, limit)
    return page_answer(found, limit, lambda token: token.token_id)


@router.post("/tokens/{token_id}/revoke", status_code=201, response_model=TokenView)
async def revoke_token(
    request: Request, principal: TokenOwner, token_id: TokenPath, _: Nothing | None = None
) -> Response:
    """Let a token in no more, from now on."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        await platform.tokens.revoke(token_id)
        return await _token(platform, token_id)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/tokens/{token_id}/rotate", status_code=201, response_model=dict[str, Any])
async def rotate_token(
    request: Request, principal: TokenOwner, token_id: TokenPath, _: Nothing | None = None
) -> Response:
    """A new token in place of an old one, which is let in no more; shown once.

    It ends when the caller's own token ends, if not before.
    """
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        old = await _token(platform, token_id)
        if old.revoked_at_us and not await platform.tokens.token(_token_id(made_id)):
            return ActionRefused("token_revoked")
        if old.role != Role.USER and old.name != principal.name:
            return ActionRefused("not_your_token")
        wanted = _Wanted(
            Role(old.role),
            old.name,
            UserId(old.user_id) if old.user_id else None,
            frozenset(map(Scope, old.scopes)),
            None,
        )
        granted = await _grant(platform, principal, made_id, wanted)
        await platform.tokens.revoke(token_id)
        return granted

    return await once(request, principal, platform.ids.correlation(), effect)


async def _token(platform: Platform, token_id: str) -> TokenView:
    token = await platform.tokens.token(token_id)
    if token is None:
        raise ApiProblem("not_found")
    return token


class _Wanted(msgspec.Struct, frozen=True):
    """A token to be granted."""

    role: Role
    name: str
    user_id: UserId | None
    scopes: frozenset[Scope]
    days: int | None
    vouched: bool = False


def _users_token(user: UserView, scopes: frozenset[Scope] | None, days: int | None) -> _Wanted:
    return _Wanted(Role.USER, user.name, UserId(user.user_id), scopes_of(Role.USER, scopes), days)


def _token_id(made_id: str) -> str:
    return f"tk_{made_id.rpartition('_')[2]}"


def _granted_until_us(
    platform: Platform, principal: Principal, scopes: frozenset[Scope], days: int | None
) -> int:
    """When a token ends that this caller grants: no token grants more, or for longer, than it has.

    Raises ``scope_missing`` or ``token_outlives``.
    """
    if not scopes <= principal.scopes:
        missing = ", ".join(sorted(scopes - principal.scopes))
        raise ApiProblem("scope_missing", {"scope": missing})
    now_us = platform.clock.now_us()
    until_us = expiry_us(now_us, days)
    if until_us <= principal.expires_us:
        return until_us
    if days is not None:
        left = (principal.expires_us - now_us) // DAY_US
        raise ApiProblem("token_outlives", {"days": str(left)})
    return principal.expires_us


async def _grant(
    platform: Platform, principal: Principal, made_id: str, wanted: _Wanted
) -> Mapping[str, object]:
    """Grant a token under the id that the request's key stands for: one key, one token."""
    expires_us = _granted_until_us(platform, principal, wanted.scopes, wanted.days)
    token = fresh_token(platform.rng)
    await platform.tokens.grant(
        NewToken(
            token_id=_token_id(made_id),
            token_hash=token_hash(token),
            role=wanted.role,
            name=wanted.name,
            user_id=wanted.user_id,
            scopes=wanted.scopes,
            expires_us=expires_us,
            granted_by=principal.name,
            binds_wallet=principal.binds_wallet,
            vouched=wanted.vouched,
        )
    )
    return {
        "token": token,
        "token_id": _token_id(made_id),
        "scopes": sorted(wanted.scopes),
        "expires_at_us": expires_us,
    }


# ---------------------------------------------------------------------------------- approvals


@router.get("/approvals", response_model=list[ApprovalView])
async def list_approvals(
    request: Request, _: Staff, after: Cursor = "", limit: Limit = 100, ended: Ended = "no"
) -> Response:
    """What waits for a second person, the oldest first; with ``ended=yes`` also what is over."""
    platform = platform_of(request)
    found = await platform.approvals.page(ApprovalId(after), limit, ended=ended == "yes")
    return page_answer([_approval(one) for one in found], limit, lambda one: one.approval_id)


@router.post("/approvals/{approval_id}/approve", status_code=201, response_model=ApprovalView)
async def approve(
    request: Request, principal: Approver, approval_id: ApprovalPath, _: Nothing | None = None
) -> Response:
    """Say yes to what another person requested, who then sends the same request again."""
    decide = platform_of(request).approvals.approve
    return await _decided(request, principal, approval_id, decide)


@router.post("/approvals/{approval_id}/cancel", status_code=201, response_model=ApprovalView)
async def cancel_approval(
    request: Request, principal: Approver, approval_id: ApprovalPath, _: Nothing | None = None
) -> Response:
    """Take a request back, or refuse another's."""
    decide = platform_of(request).approvals.cancel
    return await _decided(request, principal, approval_id, decide)


_Decide = Callable[[ApprovalId, model.Approver], Awaitable[Approval | ApprovalRefused]]


async def _decided(
    request: Request, principal: Principal, approval_id: str, decide: _Decide
) -> Response:
    """One person's word about what waits, and how it stands then."""

    async def effect(_: str) -> object:
        answer = await decide(ApprovalId(approval_id), await approver_of(request, principal))
        if isinstance(answer, ApprovalRefused):
            return ActionRefused(answer.reason.value)
        return _approval(answer)

    return await once(request, principal, platform_of(request).ids.correlation(), effect)


def _approval(approval: Approval) -> ApprovalView:
    return ApprovalView(
        approval_id=approval.id,
        action=approval.action,
        subject=approval.subject,
        body=msgspec.json.decode(approval.body, type=dict[str, str]),
        state=approval.state.value,
        requested_by=approval.requested_by,
        requested_at_us=approval.requested_us,
        approved_by=approval.approved_by,
        approved_at_us=approval.approved_us,
    )
