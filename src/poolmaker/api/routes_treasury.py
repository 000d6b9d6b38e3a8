"""Routes by which people state what has come, and decide about the operator's own money.

What moves money on a person's word waits for a second person: always where the route's access
says so, and here where the place does not confirm it or the amount is above the limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from poolmaker.api.access import DECIDE_MONEY, DECIDE_OUTCOME, TELL_MONEY
from poolmaker.api.calls import (
    Allow,
    Bound,
    Limited,
    json_answer,
    money_of,
    once,
    page_answer,
    permitted,
    permitted_as_it_stands,
    platform_of,
    within_limit,
)
from poolmaker.api.params import Cursor, Limit, UserPath
from poolmaker.api.ports import (
    ActionReceipt,
    ActionRefused,
    BearableView,
    Incoming,
    OwnMoney,
    Platform,
    UnlistedReturn,
)
from poolmaker.api.routes import Staff
from poolmaker.api.schemas import (
    BearRequest,
    FloatRequest,
    IncidentRequest,
    MoneyBody,
    OwnMoneyRequest,
    ReversalRequest,
    SettlementRequest,
    UnlistedReturnRequest,
)
from poolmaker.api.tokens import Principal
from poolmaker.kernel.ids import UserId
from poolmaker.views.custody import CustodyIncidentView, UnlistedView
from poolmaker.views.model import AmountView

router = APIRouter(prefix="/api/v1")

Teller = Annotated[Principal, Depends(Allow(TELL_MONEY))]
Decider = Annotated[Principal, Depends(Allow(DECIDE_MONEY))]
Together = Annotated[Principal, Depends(Allow(DECIDE_OUTCOME))]

NOT_CONFIRMED: Final = "not_confirmed"


# ------------------------------------------------------------------------- what has come


@router.post("/users/{user_id}/deposits", status_code=201, response_model=ActionReceipt)
async def credit_deposit(
    request: Request, principal: Teller, user_id: UserPath, wish: MoneyBody
) -> Response:
    """CREDIT_DEPOSIT: a user's money has come to a place that confirms it by its reference.

    Where the place does not know the reference a second person has to approve, and the place must
    report that much more than is booked there.
    """
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        if await platform.people.user(UserId(user_id)) is None:
            return ActionRefused("unknown_user")
        incoming = await _incoming(platform, made_id, wish)

        async def state(*, second_person: bool) -> ActionReceipt | ActionRefused:
            return await platform.treasury.credit_deposit(
                UserId(user_id), incoming, second_person=second_person
            )

        return await _stated(
            request, principal, ("treasury.deposit", user_id, wish), made_id, state
        )

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/treasury/operator-in", status_code=201, response_model=ActionReceipt)
async def operator_in(request: Request, principal: Teller, wish: MoneyBody) -> Response:
    """OPERATOR_IN: the operator's own money has come to a place that confirms it.

    Where the place does not know the reference a second person has to approve, and the place must
    report that much more than is booked there.
    """
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        incoming = await _incoming(platform, made_id, wish)

        async def state(*, second_person: bool) -> ActionReceipt | ActionRefused:
            return await platform.treasury.operator_in(incoming, second_person=second_person)

        action = ("treasury.operator_in", wish.location, wish)
        return await _stated(request, principal, action, made_id, state)

    return await once(request, principal, platform.ids.correlation(), effect)


async def _stated(
    request: Request,
    principal: Principal,
    action: tuple[str, str, MoneyBody],
    made_id: str,
    state: Callable[..., Awaitable[ActionReceipt | ActionRefused]],
) -> ActionReceipt | ActionRefused:
    """What the place confirms is booked at once; the rest when a second person agrees."""
    answer = await state(second_person=False)
    if not isinstance(answer, ActionRefused) or answer.code != NOT_CONFIRMED:
        return answer
    name, subject, wish = action
    await permitted(request, principal, name, subject, _words(wish.model_dump()), made_id)
    return await state(second_person=True)


async def _incoming(platform: Platform, request_id: str, wish: MoneyBody) -> Incoming:
    money = await money_of(platform, wish.asset, wish.amount)
    return Incoming(request_id, wish.location, money, wish.reference)


def _words(body: dict[str, object]) -> dict[str, str]:
    """A request's body as an approval shows it."""
    return {name: str(value) for name, value in body.items()}


# ------------------------------------------------------------------- the operator's own money


@router.post("/treasury/operator-out", status_code=201, response_model=ActionReceipt)
async def operator_out(request: Request, principal: Decider, wish: OwnMoneyRequest) -> Response:
    """OPERATOR_OUT: the operator takes what is free of the own money at a place.

    Above ``treasury.operator_out_max``, counting all of 24 hours, a second person has to approve.
    It is booked here; send it by the means of the place itself.
    """
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        own = await _own(platform, made_id, wish)
        asked = Limited(
            limit="operator_out",
            money=own.money,
            action="treasury.operator_out",
            subject=wish.location,
            body=_words(wish.model_dump()),
        )

        async def take_out() -> object:
            return await platform.treasury.operator_out(wish.location, own)

        return await within_limit(request, principal, asked, made_id, take_out)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/treasury/settlements", status_code=201, response_model=ActionReceipt)
async def settle(request: Request, principal: Decider, wish: SettlementRequest) -> Response:
    """SETTLE_FEES: fees or remainders that the platform has earned become equity."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        own = await _own(platform, made_id, wish)
        return await platform.treasury.settle(f"platform:{wish.account}", own)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/treasury/float", status_code=201, response_model=ActionReceipt)
async def trade_float(request: Request, principal: Decider, wish: FloatRequest) -> Response:
    """FLOAT_TRADE: equity becomes float for fees in a third asset, or float equity."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        own = await _own(platform, made_id, wish)
        into = wish.direction == "in"
        return await platform.treasury.trade_float(own, into_float=into)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/treasury/reversals", status_code=201, response_model=ActionReceipt)
async def reverse(request: Request, principal: Together, wish: ReversalRequest) -> Response:
    """REVERSAL: undo what people stated or decided wrong. Needs a second person, or a day."""
    platform = platform_of(request)

    async def effect(made_id: str) -> object:
        body = _words(wish.model_dump())
        await permitted(request, principal, "treasury.reverse", str(wish.seq), body, made_id)
        return await platform.treasury.reverse(made_id, wish.seq, wish.reason)

    return await once(request, principal, platform.ids.correlation(), effect)


async def _own(
    platform: Platform,
    request_id: str,
    wish: OwnMoneyRequest | SettlementRequest | FloatRequest,
) -> OwnMoney:
    money = await money_of(platform, wish.asset, wish.amount)
    return OwnMoney(request_id, money, wish.reference)


# -------------------------------------------------------------------------- custody incidents


@router.get("/custody/incidents", response_model=list[CustodyIncidentView])
async def list_incidents(request: Request, _: Staff) -> Response:
    """Custody incidents, open and closed, the newest 500, newest first."""
    return json_answer(await platform_of(request).treasury.incidents())


@router.post("/custody/incidents/take", status_code=201, response_model=CustodyIncidentView)
async def take_incident(request: Request, principal: Decider, wish: IncidentRequest) -> Response:
    """The caller looks after an open incident from now on."""
    platform = platform_of(request)

    async def effect(_: str) -> object:
        return await platform.treasury.take(wish.incident, principal.name)

    return await once(request, principal, platform.ids.correlation(), effect)


@router.post("/custody/incidents/bear", status_code=201, response_model=ActionReceipt)
async def bear_shortfall(request: Request, principal: Together, wish: BearRequest) -> Response:
    """BEAR_SHORTFALL: the operator's equity bears it. Needs a second person, or a day.

    What is approved is the amount that was missing then; another needs an approval of its own.
    """
    platform = platform_of(request)
    treasury = platform.treasury

    async def state() -> Mapping[str, str] | ActionRefused:
        what = await treasury.bearable(wish.incident)
        if isinstance(what, ActionRefused):
            return what
        money = {"asset": what.money.asset, "amount": what.money.amount}
        return {**money, "attempt": str(what.attempt)}

    body = _words(wish.model_dump())
    asked = Bound(action="custody.bear", subject=wish.incident, body=body, state=state)

    async def effect(made_id: str) -> object:
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        return await treasury.bear(made_id, wish.incident, _approved(said))

    return await once(request, principal, platform.ids.correlation(), effect)


def _approved(said: Mapping[str, str]) -> BearableView:
    return BearableView(AmountView(said["asset"], said["amount"]), int(said["attempt"]))


# ------------------------------------------------------------------------ assets without a form


@router.get("/unlisted", response_model=list[UnlistedView])
async def list_unlisted(
    request: Request, _: Staff, after: Cursor = "", limit: Limit = 200
) -> Response:
    """What the bot was paid in assets that nobody has configured, a line per asset and sender."""
    found = await platform_of(request).treasury.unlisted(after, limit)
    return page_answer(found, limit, lambda one: f"{one.asset_id}:{one.sender}")


@router.post("/unlisted/returns", status_code=201, response_model=UnlistedView)
async def return_unlisted(
    request: Request, principal: Together, wish: UnlistedReturnRequest
) -> Response:
    """Pay what a sender paid, or what came from a chain, to a user of Mixin.

    Exactly the amount, of the oldest payments, or nothing. Needs a second person, or a day.
    """
    platform = platform_of(request)
    treasury = platform.treasury

    async def state() -> Mapping[str, str] | ActionRefused:
        number = await treasury.next_return(wish.asset_id, wish.sender)
        return number if isinstance(number, ActionRefused) else {"number": str(number)}

    body = _words(wish.model_dump())
    asked = Bound(action="unlisted.return", subject=wish.asset_id, body=body, state=state)

    async def effect(made_id: str) -> object:
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        order = UnlistedReturn(
            wish.asset_id, wish.sender, wish.receiver, wish.amount, int(said["number"])
        )
        return await treasury.return_unlisted(order)

    return await once(request, principal, platform.ids.correlation(), effect)
