"""What of payments needs a person: arrivals told anew, ways that refuse, money without an owner."""

from __future__ import annotations

from typing import Final, assert_never

from poolmaker.business.treasury.model import PaymentIncident, PaymentIncidentKind, Suspense
from poolmaker.infra.attention import AttentionItem, Remedy, closed_by_a_person

SOURCE: Final = "treasury"
SUSPENSE: Final = "suspense"


def incident_item(one: PaymentIncident) -> AttentionItem:
    """An incident with what it blocks and every way forward."""
    kind, subject = one.kind, one.subject
    blocks: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...]
    match kind:
        case PaymentIncidentKind.ARRIVAL_CONFLICT:
            # The first telling counts; only a person can say what the second one was.
            subject = f"{one.subject} {one.at_us}"
            remedies = (closed_by_a_person(SOURCE, kind.value, subject),)
        case PaymentIncidentKind.REFUND_REFUSED:
            remedies = (refund_remedy(one.subject), resolve_remedy(one.subject, "ASSET"))
        case PaymentIncidentKind.TRANSFER_DIFFERS:
            blocks, remedies = ("transfer",), (_retry(one.subject),)
        case PaymentIncidentKind.TRANSFER_REFUSED:
            # The way is tried again by itself; a person mends the way.
            blocks = ("transfer",)
            remedies = (_net(),)
        case _:
            assert_never(kind)
    return AttentionItem(
        source=SOURCE,
        kind=kind.value,
        subject=subject,
        since_us=one.at_us,
        evidence={"about": one.subject, "note": one.note},
        blocks=blocks,
        remedies=remedies,
    )


def suspense_item(row: Suspense) -> AttentionItem:
    """Money that arrived and that nobody can be credited for."""
    facts = {
        "location": row.location,
        "reference": row.reference,
        "asset": row.money.asset,
        "units": str(row.money.units),
        "sender": row.sender,
        "transaction_id": row.transaction_id,
        "reason": row.reason,
    }
    refund = (refund_remedy(row.source),) if row.sender else ()
    return AttentionItem(
        source=SOURCE,
        kind=SUSPENSE,
        subject=row.source,
        since_us=row.at_us,
        evidence={name: value for name, value in facts.items() if value},
        remedies=(*refund, resolve_remedy(row.source, row.money.asset)),
    )


def refund_remedy(source: str) -> Remedy:
    """What is nobody's goes back to who sent it."""
    return Remedy(
        action="refund",
        command=f"poolmaker suspense refund {source!r} --reason TEXT",
        route="POST /api/v1/suspense/refund",
    )


def resolve_remedy(source: str, asset: str) -> Remedy:
    """What is nobody's becomes a user's, a pool's or the operator's."""
    return Remedy(
        action="resolve",
        command=f"poolmaker suspense resolve {source!r} {asset} AMOUNT --to TARGET --reason TEXT",
        route="POST /api/v1/suspense/resolve",
    )


def _retry(saga: str) -> Remedy:
    return Remedy(
        action="retry",
        command=f"poolmaker saga retry {saga}",
        route="POST /api/v1/sagas/{saga_id}/retry",
    )


def _net() -> Remedy:
    return Remedy(
        action="retry",
        command="poolmaker saga retry treasury.net",
        route="POST /api/v1/sagas/{saga_id}/retry",
    )
