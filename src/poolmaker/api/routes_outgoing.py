"""Routes by which a person decides about money that leaves, where nobody else can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from poolmaker.api.access import DECIDE_MONEY, DECIDE_OUTCOME
from poolmaker.api.calls import (
    Allow,
    Bound,
    once,
    permitted_as_it_stands,
    platform_of,
    unless_refused,
)
from poolmaker.api.params import PaymentPath, ReferencePath
from poolmaker.api.ports import ActionRefused, OutgoingDecision
from poolmaker.api.schemas import OutcomeBody
from poolmaker.api.tokens import Principal

router = APIRouter(prefix="/api/v1")
OutcomeDecider = Annotated[Principal, Depends(Allow(DECIDE_OUTCOME))]
MoneyDecider = Annotated[Principal, Depends(Allow(DECIDE_MONEY))]


@router.post("/outgoing/{payment_id}/decision", status_code=201, response_model=dict[str, Any])
async def decide_outcome(
    request: Request, principal: OutcomeDecider, payment_id: PaymentPath, wish: OutcomeBody
) -> Response:
    """Say what became of a payout or transfer in doubt. Needs a second person.

    What is approved is a word about the sending of that moment, not about a later one.
    """
    outgoing = platform_of(request).outgoing
    words = {name: str(value) for name, value in wish.model_dump(exclude_none=True).items()}

    decision = OutgoingDecision(
        payment_id=payment_id,
        sending=0,
        decision=wish.decision,
        by=principal.name,
        transaction_id=wish.transaction_id or "",
        taken=wish.taken or "0",
        fee=wish.fee or "0",
    )

    async def state() -> Mapping[str, str] | ActionRefused:
        sending = await outgoing.undecided(decision)
        return sending if isinstance(sending, ActionRefused) else {"sending": str(sending)}

    asked = Bound(action="outgoing.decide", subject=payment_id, body=words, state=state)

    async def effect(made_id: str) -> object:
        said = await permitted_as_it_stands(request, principal, asked, made_id)
        unless_refused(await outgoing.decide(replace(decision, sending=int(said["sending"]))))
        return {"payment_id": payment_id, **words}

    return await once(request, principal, platform_of(request).ids.correlation(), effect)


@router.post("/chain/payments/{reference}/retry", status_code=201, response_model=dict[str, Any])
async def retry_on_chain(
    request: Request, principal: MoneyDecider, reference: ReferencePath
) -> Response:
    """Sign a payment that no block takes anew, for what the chain asks now."""
    return await _act(request, principal, reference, "retry")


@router.post("/chain/payments/{reference}/cancel", status_code=201, response_model=dict[str, Any])
async def cancel_on_chain(
    request: Request, principal: MoneyDecider, reference: ReferencePath
) -> Response:
    """Use the nonce of a payment that no block takes for nothing, so that it is never paid."""
    return await _act(request, principal, reference, "cancel")


async def _act(request: Request, principal: Principal, reference: str, action: str) -> Response:
    platform = platform_of(request)

    async def effect(_: str) -> object:
        unless_refused(await platform.outgoing.act_on_chain(reference, action))
        return {"payment_id": reference, "action": action}

    return await once(request, principal, platform.ids.correlation(), effect)
