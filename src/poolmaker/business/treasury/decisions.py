"""What a person decides about something that is SENT, while neither provider nor history says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from poolmaker.business.treasury.model import (
    OutgoingPayment,
    SendCompleted,
    SendDecision,
    Sending,
    SendRequest,
)
from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.kernel.money import Amount, Asset


class DecisionRefusal(StrEnum):
    """Why a person's decision is not taken; when several hold, the earliest member is given."""

    UNKNOWN = "unknown"
    """There is no such payout or transfer."""
    NOT_WAITING = "not_waiting"
    """It is not in doubt, and its provider does not postpone it."""
    BAD_AMOUNT = "bad_amount"
    """What is said to have left is not between its fee and what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeDecision:
    """A person's decision about one sending, named by its number, 1 for the first.

    What is SENT names its transaction and what was taken, fee included.
    """

    sending: int
    decision: SendDecision
    by: str
    transaction_id: str = ""
    units: int = 0
    fee_units: int = 0


def decision_refusal(
    outgoing: OutgoingPayment, decision: OutcomeDecision
) -> DecisionRefusal | None:
    """Why a person's word is not taken, None when it is.

    What is postponed goes on by itself: a person can only give it up. A word about an earlier
    sending says nothing of a later one, so that no word is obeyed twice.
    """
    sending = outgoing.sending
    if decision.sending != sending.sends:
        return DecisionRefusal.NOT_WAITING
    gives_up = decision.decision is SendDecision.NOT_SENT
    if not sending.needs_person or not (sending.in_doubt or gives_up):
        return DecisionRefusal.NOT_WAITING
    good = 0 <= decision.fee_units < decision.units <= outgoing.request.units
    names_it = bool(decision.transaction_id)
    if decision.decision is SendDecision.SENT and not (good and names_it):
        return DecisionRefusal.BAD_AMOUNT
    return None


def is_kept(sending: Sending, decision: OutcomeDecision) -> bool:
    """Whether exactly this word is on record: to say it again changes nothing."""
    return sending.sends == decision.sending and decided(sending, decision) == replace(
        sending, needs_person=False, trouble=""
    )


def decided(sending: Sending, decision: OutcomeDecision) -> Sending:
    """What is remembered of a person's word."""
    return replace(
        sending,
        decision=decision.decision,
        decided_by=decision.by,
        decided_transaction=decision.transaction_id,
        decided_units=decision.units,
        decided_fee_units=decision.fee_units,
        needs_person=False,
        trouble="",
    )


def completed_by_decision(outgoing: OutgoingPayment) -> SendCompleted:
    """What left by a person's word."""
    sending = outgoing.sending
    return SendCompleted(
        provider_id=outgoing.provider_id or f"decided by {sending.decided_by}",
        transaction_id=sending.decided_transaction,
        units=sending.decided_units,
        fee_units=sending.decided_fee_units,
    )


# ---------------------------------------------------------------------------- what is shown

IN_DOUBT: Final = "in_doubt"
POSTPONED: Final = "postponed"


def attention_item(
    room: str, subject: str, outgoing: OutgoingPayment, assets: Mapping[str, Asset]
) -> AttentionItem | None:
    """What a person needs to decide, None where nobody is needed."""
    sending, request = outgoing.sending, outgoing.request
    if not sending.needs_person:
        return None
    evidence = {
        "reason": sending.trouble,
        "amount": _amount(request, assets),
        "source": request.source,
        "network": request.network,
        "address": request.address,
        "reference": request.reference,
        "provider_id": outgoing.provider_id,
        "sendings": str(sending.sends),
        "last_sent_us": str(sending.sent_at_us),
    }
    kind = IN_DOUBT if sending.in_doubt else POSTPONED
    return AttentionItem(
        source=room,
        kind=kind,
        subject=subject,
        since_us=sending.sent_at_us,
        evidence={name: value for name, value in evidence.items() if value},
        blocks=(f"{request.source} {request.asset} {request.address}",),
        remedies=_remedies(subject, kind),
    )


def _remedies(subject: str, kind: str) -> tuple[Remedy, ...]:
    route = f"POST /api/v1/outgoing/{subject}/decision"
    command = f"poolmaker outgoing {{}} {subject}"
    gives_up = Remedy(action=SendDecision.NOT_SENT, command=command.format("not-sent"), route=route)
    if kind == POSTPONED:
        return (gives_up,)
    took = " --transaction ID --taken AMOUNT --fee AMOUNT"
    sent = Remedy(action=SendDecision.SENT, command=command.format("sent") + took, route=route)
    again = Remedy(action=SendDecision.AGAIN, command=command.format("again"), route=route)
    return sent, again, gives_up


def _amount(request: SendRequest, assets: Mapping[str, Asset]) -> str:
    asset = assets.get(request.asset)
    if asset is None:
        return f"{request.units} units of {request.asset}"
    return str(Amount(asset, request.units))
