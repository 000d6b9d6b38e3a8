"""Pure decisions of the treasury: keys of arrivals, and custody beside what is in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from msgspec.structs import replace

from poolmaker.business.ledger.accounts import custody_venue, order_locked, transit
from poolmaker.business.ledger.model import Outcome, Posted
from poolmaker.business.treasury.booking import Booked, Booking, NotBooked
from poolmaker.business.treasury.model import (
    Arrival,
    CustodyRow,
    FundingRow,
    FundingState,
    InFlight,
    OutgoingPayment,
    Route,
    SendAbsent,
    SendCompleted,
    SendDecision,
    SendFailed,
    Sending,
    SendPostponed,
    SendStatus,
    SendUnderWay,
    Transfer,
    TransferState,
)
from poolmaker.kernel.checks import require
from poolmaker.kernel.ids import CommandKey, SagaId, fact_key, request_uuid

REFERENCE_MAX = 120
SILENT: Final = "its outcome is unknown and the provider's history does not know it"

_KNOW_A_REFERENCE_AGAIN: Final = ("custody:mixin:", "custody:evm:")
"""Places whose provider takes the reference for its own request id or signs it once."""


class Verdict(StrEnum):
    """What the provider's history means for something that is SENT."""

    WAIT = "wait"
    """Nothing to be done yet; unknown is never failed."""
    SEND_AGAIN = "send_again"
    """It has surely not left, or sending it again can have no second effect."""
    COMPLETED = "completed"
    """It has left."""
    REFUSED = "refused"
    """The provider's own word or a person's, and no sending is in doubt otherwise."""
    COMPLETED_BY_DECISION = "completed_by_decision"
    """A person says that it has left."""
    ASK_PERSON = "ask_person"
    """Neither the provider nor its history says what happened: a person has to."""


def knows_again(source: str) -> bool:
    """Whether whoever sends from ``source`` knows a reference again: twice asked is once sent."""
    return source.startswith(_KNOW_A_REFERENCE_AGAIN)


def verdict(
    status: SendStatus, outgoing: OutgoingPayment, now_us: int, doubt_after_us: int
) -> Verdict:
    """Judge the history. That it does not know a payment is never evidence that nothing has left.

    What the history knows comes before what a person decided.
    """
    match status:
        case SendCompleted():
            return Verdict.COMPLETED
        case SendFailed():
            return Verdict.REFUSED
        case SendUnderWay():
            return Verdict.WAIT
        case SendPostponed(needs_person=needs_person):
            return _postponed(outgoing, needs_person=needs_person)
        case SendAbsent():
            return _absent(outgoing, now_us, doubt_after_us)
        case _:
            assert_never(status)


def _postponed(outgoing: OutgoingPayment, *, needs_person: bool) -> Verdict:
    if outgoing.sending.decision is SendDecision.NOT_SENT:
        return Verdict.REFUSED
    return Verdict.ASK_PERSON if needs_person else Verdict.WAIT


def _absent(outgoing: OutgoingPayment, now_us: int, doubt_after_us: int) -> Verdict:
    sending = outgoing.sending
    match sending.decision:
        case SendDecision.SENT:
            return Verdict.COMPLETED_BY_DECISION
        case SendDecision.AGAIN:
            return Verdict.SEND_AGAIN
        case SendDecision.NOT_SENT:
            return Verdict.REFUSED
        case None:
            pass
        case _:
            assert_never(sending.decision)
    # What the provider acknowledged is never sent again, however long its history is silent.
    if not outgoing.provider_id and (not sending.in_doubt or knows_again(outgoing.request.source)):
        return Verdict.SEND_AGAIN
    silent = now_us >= sending.sent_at_us + doubt_after_us
    return Verdict.ASK_PERSON if silent else Verdict.WAIT


def believes_refusal(sending: Sending) -> bool:
    """A refusal is the last word unless an earlier sending is in doubt: of that it says nothing."""
    if sending.earlier_in_doubt is None:
        return sending.sends <= 1
    return not sending.earlier_in_doubt


def recorded(sending: Sending, now_us: int) -> Sending:
    """What is remembered before something is sent once more."""
    earlier = sending.in_doubt or not believes_refusal(sending)
    return Sending(
        sends=sending.sends + 1,
        sent_at_us=now_us,
        in_doubt=True,
        earlier_in_doubt=sending.sends > 0 and earlier,
        asked_again=sending.decision is SendDecision.AGAIN,
        decided_by=sending.decided_by,
    )


def surely_not_sent(sending: Sending) -> Sending:
    """The last sending had no effect: what a person wanted of it is still wanted."""
    return replace(
        sending,
        in_doubt=not believes_refusal(sending),
        decision=SendDecision.AGAIN if sending.asked_again else None,
    )


def asking_person(sending: Sending, trouble: str) -> Sending:
    """What is remembered while a person is needed, and what for."""
    return replace(sending, needs_person=True, trouble=trouble)


def postponed(sending: Sending, answer: SendPostponed) -> Sending:
    """The last sending had no effect, and the provider says why."""
    trouble = answer.reason if answer.needs_person else ""
    return replace(surely_not_sent(sending), needs_person=answer.needs_person, trouble=trouble)


def why_not_sent(status: SendStatus, sending: Sending) -> str:
    """The provider's reason, or who decided."""
    if isinstance(status, SendFailed):
        return status.reason
    return f"not sent, by decision of {sending.decided_by}"


def received_units(completed: SendCompleted) -> int:
    """What the receiver got: the provider takes its fee out of what leaves."""
    return completed.units - completed.fee_units


def arrival_key(location: str, reference: str) -> CommandKey:
    """One arrival at a place is one fact, whoever it is credited to and however often it is told.

    Neither the amount nor the user is part of it: the same reference with another amount, or for
    somebody else, is a conflict and not a second credit.
    """
    require_reference(reference)
    return fact_key("arrival", location, reference)


def arrival_again_key(location: str, reference: str, reversals: int) -> CommandKey:
    """The key of an arrival that was reversed so often and is stated anew."""
    if not reversals:
        return arrival_key(location, reference)
    return fact_key("arrival", location, reference, f"again {reversals}")


def reversal_key(reversed_key: CommandKey) -> CommandKey:
    """One transaction is reversed at most once."""
    return fact_key("reversal", reversed_key)


def settle_key(account: str, asset: str, reference: str) -> CommandKey:
    """One settlement of what an account of the platform has earned is one request."""
    require_reference(reference)
    return fact_key("settle", account, asset, reference)


def departure_key(location: str, reference: str) -> CommandKey:
    """One departure of the operator's own money is one request."""
    require_reference(reference)
    return fact_key("departure", location, reference)


def float_key(asset: str, reference: str) -> CommandKey:
    """One funding of the fee float is one request."""
    require_reference(reference)
    return fact_key("float", asset, reference)


def require_reference(reference: str) -> None:
    """Raise CallerFault unless ``reference`` can name something out there."""
    good = 0 < len(reference) <= REFERENCE_MAX and reference.isprintable()
    require(good, f"reference: expected 1 to {REFERENCE_MAX} printable characters")


def booking(outcome: Outcome) -> Booking:
    """What the operator is told."""
    if isinstance(outcome, Posted):
        return Booked(outcome.seq, outcome.already)
    return NotBooked(outcome.reason)


def custody_rows(
    balances: Mapping[tuple[str, str], int],
    in_flight: Sequence[InFlight],
    not_booked: Sequence[InFlight] = (),
) -> tuple[CustodyRow, ...]:
    """Balances by (location, asset) with the rows in flight that belong to each, in order.

    A place that is only in flight is in the answer too.
    """
    rows = {**{(row.location, row.asset): 0 for row in (*in_flight, *not_booked)}, **balances}

    def at(rows: Sequence[InFlight], place: tuple[str, str]) -> tuple[InFlight, ...]:
        return tuple(row for row in rows if (row.location, row.asset) == place)

    return tuple(
        CustodyRow(*place, units, at(in_flight, place), at(not_booked, place))
        for place, units in sorted(rows.items())
    )


def not_booked(transfers: Sequence[Transfer]) -> list[InFlight]:
    """What the ledger has in transit, at the places that may have it still or already."""
    rows = []
    for row in transfers:
        what, state = f"transfer {row.id}", row.state
        if state in (TransferState.MOVED_OUT, TransferState.SENT, TransferState.REFUSED):
            certain = state is TransferState.MOVED_OUT
            rows.append(InFlight(row.source, row.asset, row.units, what, certain))
        if state in (TransferState.SENT, TransferState.LEFT, TransferState.ARRIVED):
            rows.append(InFlight(row.target, row.asset, row.arrived_units or row.units, what))
    return rows


# ----------------------------------------------------------------- what is promised, what is needed


def reference_of(transfer: SagaId) -> str:
    """What the provider knows a transfer by: a pure function of its saga, 32 hexadecimal digits."""
    return request_uuid(transfer, "transfer").hex


@dataclass(frozen=True, slots=True)
class Promise:
    """What of a place is promised, and how the ledger tells whether it has left already.

    While the promise stands the ledger has it at ``account`` when ``kept_there``; otherwise it has
    nothing there until then.
    """

    account: str
    units: int
    kept_there: bool

    def open_units(self, there_units: int) -> int:
        """What is promised still, by what the ledger has at ``account`` now."""
        if self.kept_there:
            return min(self.units, there_units)
        return 0 if there_units else self.units


def promises(
    location: str, asset: str, rows: Sequence[FundingRow], transfers: Sequence[Transfer]
) -> list[Promise]:
    """What of a place is claimed by funded orders and by transfers not moved out yet.

    The ledger books a join or a departure before its saga hears of it: until then the row claims
    what has gone from the place already. The ledger itself says so.
    """
    funded = [
        Promise(order_locked(row.order), row.units, kept_there=True)
        for row in rows
        if row.state is FundingState.FUNDED
        and (custody_venue(row.account), row.asset) == (location, asset)
    ]
    planned = [
        Promise(transit(row.id), row.units, kept_there=False)
        for row in transfers
        if row.state is TransferState.PLANNED and (row.source, row.asset) == (location, asset)
    ]
    return [*funded, *planned]


def fundable(rows: Sequence[FundingRow], spare_units: int) -> list[FundingRow]:
    """Those of one queue that can be funded now.

    Whoever came later waits behind who came first, even if he needs less: else many small ones
    would keep a large one waiting for ever.
    """
    found = []
    for row in rows:
        if row.state is not FundingState.WANTED:
            continue
        spare_units -= row.units
        if spare_units < 0:
            break
        found.append(row)
    return found


def incoming_units(location: str, asset: str, transfers: Sequence[Transfer]) -> int:
    """What is on its way to a place, as far as it is known to arrive."""
    return sum(
        row.units - row.fee_units
        for row in transfers
        if (row.target, row.asset) == (location, asset) and row.state is not TransferState.REFUSED
    )


def way_of(row: Transfer) -> str:
    """How people are told of the way of a transfer."""
    return f"{row.asset} from {row.source} to {row.target}"


def is_resting(route: Route, newest: Sequence[Transfer], since_us: int) -> bool:
    """Whether the last transfer on a way was refused since then.

    What was refused once will be refused again, and every try is two entries in the ledger and a
    call outside.
    """
    lane = (route.source, route.target, route.asset)
    last = next((row for row in newest if row.lane == lane), None)
    refused = (TransferState.REFUSED, TransferState.RETURNED)
    return last is not None and last.state in refused and last.requested_us > since_us


def planned_units(need_units: int, free_units: int, route: Route) -> int:
    """How much to send over a route so that ``need_units`` arrive, 0 for nothing.

    The way's fee comes on top. Less than the route takes is not sent; where less is needed than
    that, the least that it takes is sent. Never more than is free at the source.
    """
    if need_units <= 0:
        return 0
    step = route.step_units
    wanted = -(-max(need_units + route.fee_units, route.minimum_units) // step) * step
    units = min(wanted, free_units // step * step)
    return units if units >= route.minimum_units and units > route.fee_units else 0


# ------------------------------------------------------------------------------------ what arrives


def is_from_a_chain(arrival: Arrival) -> bool:
    """Whether it came from outside of the place, so that who sent it is not known there."""
    return bool(arrival.transaction_id)


def suspense_source(arrival: Arrival) -> str:
    """The name of the suspense account of one arrival; see ``suspense_name``."""
    return suspense_name(arrival.location, arrival.reference)


def suspense_name(location: str, reference: str) -> str:
    """The name of a suspense account: the place of what came, and its reference there."""
    return f"{location.split(':')[1]}:{reference}"


def is_on_its_way(location: str, asset: str, reference: str, transfers: Sequence[Transfer]) -> bool:
    """Whether what came under a reference is a transfer of ours, or may turn out to be one."""
    there = [row for row in transfers if (row.target, row.asset) == (location, asset)]
    unknown = any(row.state is TransferState.SENT and not row.transaction_id for row in there)
    return unknown or any(row.transaction_id == reference for row in there)


def the_transfer(arrival: Arrival, transfers: Sequence[Transfer]) -> Transfer | None:
    """The transfer of ours that has arrived, by its transaction id."""
    if not arrival.transaction_id:
        return None
    place = (arrival.location, arrival.asset, arrival.transaction_id)
    for row in transfers:
        known = (row.target, row.asset, row.transaction_id)
        if row.state is TransferState.LEFT and not row.arrival and known == place:
            return row
    return None


def may_be_ours(arrival: Arrival, transfers: Sequence[Transfer]) -> bool:
    """Whether a transfer is SENT whose transaction nobody knows yet: this may be it."""
    return is_from_a_chain(arrival) and any(
        row.state is TransferState.SENT
        and (row.target, row.asset) == (arrival.location, arrival.asset)
        for row in transfers
    )
