"""The treasury's decisions, each against its sentence, by table and by search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.business.ledger.model import LedgerRefusal, Posted, PostingRefused
from poolmaker.business.treasury import rules
from poolmaker.business.treasury.booking import Booked, NotBooked
from poolmaker.business.treasury.decisions import (
    DecisionRefusal,
    OutcomeDecision,
    attention_item,
    completed_by_decision,
    decided,
    decision_refusal,
)
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
    SendRequest,
    SendStatus,
    SendUnderWay,
    Transfer,
    TransferState,
)
from poolmaker.business.treasury.rules import Promise, Verdict
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import CommandKey, CorrelationId, OrderId, SagaId, VenueAccountId
from poolmaker.kernel.money import Asset

MIXIN, VENUE, EVM = "custody:mixin:usdt", "custody:venue:main", "custody:evm:0xaa:usdt"
LEFT = SendCompleted(provider_id="p", transaction_id="t", units=10, fee_units=3)
DOUBT_US = 60
SENT_US = 1_000


def _outgoing(sending: Sending, *, source: str = VENUE, provider_id: str = "") -> OutgoingPayment:
    request = SendRequest(
        source=source, reference="r", asset="USDT", units=10, network="n", address="a", tag=""
    )
    return OutgoingPayment(request=request, since_us=1, sending=sending, provider_id=provider_id)


def _judged(status: SendStatus, outgoing: OutgoingPayment, now_us: int = SENT_US) -> Verdict:
    return rules.verdict(status, outgoing, now_us, DOUBT_US)


def _transfer(number: int = 1, **fields: Any) -> Transfer:
    made = Transfer(
        id=SagaId(f"sg_{number}"), key=CommandKey(f"k{number}"), source=VENUE, target=MIXIN,
        asset="USDT", units=100, network="n", address="a", tag="", reference="r",
        requested_us=50, correlation=CorrelationId("c"),
    )  # fmt: skip
    return replace(made, **fields)


# ------------------------------------------------------------------------------ what a history says


@pytest.mark.parametrize("decision", [None, *SendDecision])
@pytest.mark.parametrize("provider_id", ["", "p"])
@pytest.mark.parametrize("in_doubt", [False, True])
def test_what_the_history_knows_comes_before_what_a_person_decided(
    decision: SendDecision | None, provider_id: str, *, in_doubt: bool
) -> None:
    sending = Sending(sends=2, in_doubt=in_doubt, decision=decision)
    outgoing = _outgoing(sending, provider_id=provider_id)
    assert _judged(LEFT, outgoing) is Verdict.COMPLETED
    assert _judged(SendFailed("p", "no"), outgoing) is Verdict.REFUSED
    assert _judged(SendUnderWay("p"), outgoing) is Verdict.WAIT


def test_what_is_postponed_waits_or_asks_a_person_who_can_only_give_it_up() -> None:
    for decision in (None, SendDecision.SENT, SendDecision.AGAIN):
        outgoing = _outgoing(Sending(decision=decision))
        assert _judged(SendPostponed("later"), outgoing) is Verdict.WAIT
        assert _judged(SendPostponed("closed", needs_person=True), outgoing) is Verdict.ASK_PERSON
    given_up = _outgoing(Sending(decision=SendDecision.NOT_SENT))
    assert _judged(SendPostponed("later"), given_up) is Verdict.REFUSED
    assert _judged(SendPostponed("closed", needs_person=True), given_up) is Verdict.REFUSED


@given(
    source=st.sampled_from([MIXIN, VENUE, EVM]),
    provider_id=st.sampled_from(["", "p"]),
    in_doubt=st.booleans(),
    late_us=st.integers(-2, 2),
)
def test_a_silent_history_alone_never_sends_twice(
    source: str, provider_id: str, late_us: int, *, in_doubt: bool
) -> None:
    sending = Sending(sends=1, sent_at_us=SENT_US, in_doubt=in_doubt)
    outgoing = _outgoing(sending, source=source, provider_id=provider_id)
    found = _judged(SendAbsent(), outgoing, SENT_US + DOUBT_US + late_us)
    if provider_id or (in_doubt and source == VENUE):
        assert found is (Verdict.ASK_PERSON if late_us >= 0 else Verdict.WAIT)
    else:
        assert found is Verdict.SEND_AGAIN


@pytest.mark.parametrize(
    ("decision", "verdict"),
    [
        (SendDecision.SENT, Verdict.COMPLETED_BY_DECISION),
        (SendDecision.AGAIN, Verdict.SEND_AGAIN),
        (SendDecision.NOT_SENT, Verdict.REFUSED),
    ],
)
def test_a_person_ends_what_nobody_else_knows(decision: SendDecision, verdict: Verdict) -> None:
    sending = Sending(sends=1, sent_at_us=SENT_US, in_doubt=True, decision=decision)
    assert _judged(SendAbsent(), _outgoing(sending, provider_id="p")) is verdict


# ---------------------------------------------------------------------------- what is remembered

_ANSWERS = ("taken", "not_sent", "postponed", "closed")


@given(st.lists(st.sampled_from(_ANSWERS), min_size=1, max_size=6))
def test_a_refusal_is_believed_while_no_earlier_sending_can_have_left(answers: list[str]) -> None:
    sending, may_have_left = Sending(), False
    for number, answer in enumerate(answers):
        sending = rules.recorded(sending, SENT_US + number)
        assert (sending.sends, sending.sent_at_us) == (number + 1, SENT_US + number)
        assert sending.in_doubt, "what is sent may have left until its answer is read"
        assert rules.believes_refusal(sending) is not may_have_left
        if answer == "taken":
            may_have_left = True
        elif answer == "not_sent":
            sending = rules.surely_not_sent(sending)
        else:
            said = SendPostponed(answer, needs_person=answer == "closed")
            sending = rules.postponed(sending, said)
            assert sending.needs_person is (answer == "closed")
            assert sending.trouble == (answer if answer == "closed" else "")
        assert sending.in_doubt is (may_have_left or answer == "taken")


def test_of_what_an_older_version_began_only_the_first_refusal_is_believed() -> None:
    assert rules.believes_refusal(Sending(sends=1, earlier_in_doubt=None))
    assert not rules.believes_refusal(Sending(sends=2, earlier_in_doubt=None))
    assert rules.recorded(Sending(sends=2), SENT_US).earlier_in_doubt


def test_what_a_person_wanted_sent_again_is_wanted_until_it_is_sent() -> None:
    wanted = Sending(sends=1, in_doubt=True, decision=SendDecision.AGAIN, decided_by="ada")
    again = rules.recorded(wanted, SENT_US)
    assert (again.asked_again, again.decision, again.decided_by) == (True, None, "ada")
    assert rules.surely_not_sent(again).decision is SendDecision.AGAIN
    assert rules.surely_not_sent(rules.recorded(Sending(), SENT_US)).decision is None
    asking = rules.asking_person(again, "silent")
    assert (asking.needs_person, asking.trouble, asking.sends) == (True, "silent", 2)


def test_the_reason_is_the_providers_or_names_who_decided() -> None:
    by_ada = Sending(decided_by="ada")
    assert rules.why_not_sent(SendFailed("p", "closed wallet"), by_ada) == "closed wallet"
    assert rules.why_not_sent(SendAbsent(), by_ada) == "not sent, by decision of ada"
    assert rules.received_units(LEFT) == 7


# -------------------------------------------------------------------------- what a person decides


@given(
    needs_person=st.booleans(), in_doubt=st.booleans(), decision=st.sampled_from(SendDecision),
    transaction=st.sampled_from(["", "t"]), units=st.integers(-1, 12), fee=st.integers(-1, 12),
    sends=st.integers(1, 3),
)  # fmt: skip
def test_a_decision_is_taken_where_a_person_is_asked_and_the_amounts_can_be(
    decision: SendDecision, transaction: str, units: int, fee: int, sends: int,
    *, needs_person: bool, in_doubt: bool,
) -> None:  # fmt: skip
    outgoing = _outgoing(Sending(sends=2, needs_person=needs_person, in_doubt=in_doubt))
    word = OutcomeDecision(
        sending=sends, decision=decision, by="ada", transaction_id=transaction, units=units,
        fee_units=fee,
    )  # fmt: skip
    expected = None
    if sends != 2 or not needs_person or (not in_doubt and decision is not SendDecision.NOT_SENT):
        expected = DecisionRefusal.NOT_WAITING
    elif decision is SendDecision.SENT and not (
        transaction and fee >= 0 and fee < units and units <= outgoing.request.units
    ):
        expected = DecisionRefusal.BAD_AMOUNT
    assert decision_refusal(outgoing, word) is expected


def test_what_left_by_a_persons_word_is_what_the_person_said() -> None:
    asking = rules.asking_person(Sending(sends=1, sent_at_us=SENT_US, in_doubt=True), "silent")
    word = OutcomeDecision(
        sending=1,
        decision=SendDecision.SENT,
        by="ada",
        transaction_id="t",
        units=9,
        fee_units=2,
    )
    heard = decided(asking, word)
    assert (heard.needs_person, heard.trouble, heard.decision) == (False, "", SendDecision.SENT)
    left = completed_by_decision(_outgoing(heard))
    expected = SendCompleted(provider_id="decided by ada", transaction_id="t", units=9, fee_units=2)
    assert left == expected
    named = completed_by_decision(_outgoing(heard, provider_id="p"))
    assert named == replace(expected, provider_id="p")


def test_who_is_asked_sees_the_evidence_and_only_what_can_be_done() -> None:
    assets = {"USDT": Asset("USDT", 2)}
    doubt = rules.asking_person(Sending(sends=2, sent_at_us=SENT_US, in_doubt=True), "silent")
    assert attention_item("payouts", "w1", _outgoing(Sending(sends=2)), assets) is None
    item = attention_item("payouts", "w1", _outgoing(doubt), assets)
    assert item is not None
    assert (item.kind, item.subject, item.since_us) == ("in_doubt", "w1", SENT_US)
    assert item.evidence["amount"] == "0.10 USDT"
    assert item.evidence["sendings"] == "2"
    assert "provider_id" not in item.evidence, "what is not known is not shown"
    assert [one.action for one in item.remedies] == ["sent", "again", "not_sent"]
    closed = rules.postponed(Sending(sends=1), SendPostponed("closed", needs_person=True))
    item = attention_item("payouts", "w1", _outgoing(closed), {})
    assert item is not None
    assert (item.kind, item.evidence["reason"]) == ("postponed", "closed")
    assert item.evidence["amount"] == "10 units of USDT"
    assert [one.action for one in item.remedies] == ["not_sent"]


# ------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("reference", "good"),
    [("a", True), ("a" * 120, True), ("", False), ("a" * 121, False), ("a\n", False)],
)
def test_every_fact_from_outside_needs_a_reference_that_can_name_it(
    reference: str, *, good: bool
) -> None:
    keys: tuple[Callable[[], CommandKey], ...] = (
        partial(rules.arrival_key, VENUE, reference),
        partial(rules.arrival_again_key, VENUE, reference, 0),
        partial(rules.departure_key, VENUE, reference),
        partial(rules.float_key, "USDT", reference),
        partial(rules.settle_key, "platform:fees", "USDT", reference),
    )
    for key in keys:
        if good:
            assert key() == key()
        else:
            with pytest.raises(PreconditionError, match="reference: expected 1 to 120 printable"):
                key()


def test_one_arrival_is_one_fact_until_it_is_reversed() -> None:
    first = rules.arrival_key(VENUE, "r")
    assert rules.arrival_again_key(VENUE, "r", 0) == first
    again = [rules.arrival_again_key(VENUE, "r", number) for number in range(4)]
    others = [rules.arrival_key(MIXIN, "r"), rules.arrival_key(VENUE, "s")]
    assert len({*again, *others, rules.departure_key(VENUE, "r")}) == 7
    assert rules.reversal_key(first) != rules.reversal_key(again[1])


def test_the_operator_is_told_where_it_was_booked_or_why_not() -> None:
    posted = Posted(7, 5, already=True)
    assert rules.booking(posted) == Booked(7, already=True)
    refused = PostingRefused(LedgerRefusal.INSUFFICIENT)
    assert rules.booking(refused) == NotBooked(LedgerRefusal.INSUFFICIENT)


# ---------------------------------------------------------------- what is where, what is promised


def test_a_place_that_is_only_in_flight_is_in_the_answer_too() -> None:
    one = InFlight(VENUE, "USDT", 5, "w1")
    other = InFlight(MIXIN, "BTC", 6, "w2")
    rows = rules.custody_rows({(VENUE, "USDT"): 9, (VENUE, "BTC"): 2}, [one], [other])
    assert rows == (
        CustodyRow(MIXIN, "BTC", 0, (), (other,)),
        CustodyRow(VENUE, "BTC", 2, ()),
        CustodyRow(VENUE, "USDT", 9, (one,)),
    )


@pytest.mark.parametrize("state", TransferState)
@pytest.mark.parametrize("arrived_units", [0, 97])
def test_what_the_ledger_has_in_transit_may_be_at_either_end(
    state: TransferState, arrived_units: int
) -> None:
    row = _transfer(state=state, arrived_units=arrived_units)
    at_target = InFlight(MIXIN, "USDT", arrived_units or 100, "transfer sg_1")
    expected = {
        TransferState.MOVED_OUT: [InFlight(VENUE, "USDT", 100, "transfer sg_1", certain=True)],
        TransferState.SENT: [InFlight(VENUE, "USDT", 100, "transfer sg_1"), at_target],
        TransferState.LEFT: [at_target],
        TransferState.ARRIVED: [at_target],
        TransferState.REFUSED: [InFlight(VENUE, "USDT", 100, "transfer sg_1")],
    }
    assert rules.not_booked([row]) == expected.get(state, [])


@given(units=st.integers(0, 9), there=st.integers(0, 9))
def test_what_the_ledger_has_moved_is_promised_no_more(units: int, there: int) -> None:
    kept = Promise("order:o:locked", units, kept_there=True)
    assert kept.open_units(there) == (min(units, there))
    gone = Promise("transit:t", units, kept_there=False)
    assert gone.open_units(there) == (0 if there > 0 else units)


def _funding(
    number: int, units: int, state: FundingState, *, account: str = "main", asset: str = "USDT"
) -> FundingRow:
    return FundingRow(
        saga=SagaId(f"s{number}"), order=OrderId(f"o{number}"), account=VenueAccountId(account),
        asset=asset, units=units, state=state,
    )  # fmt: skip


def test_funded_orders_and_planned_transfers_claim_what_is_at_their_place() -> None:
    funded = FundingState.FUNDED
    rows = [_funding(number, 10 + number, state) for number, state in enumerate(FundingState)]
    rows += [_funding(8, 1, funded, account="other"), _funding(9, 1, funded, asset="BTC")]
    transfers = [_transfer(number, state=state) for number, state in enumerate(TransferState)]
    transfers += [_transfer(20, source=MIXIN), _transfer(21, asset="BTC")]
    planned = list(TransferState).index(TransferState.PLANNED)
    of_orders = list(FundingState).index(funded)
    assert rules.promises(VENUE, "USDT", rows, transfers) == [
        Promise(f"order:o{of_orders}:locked", 10 + of_orders, kept_there=True),
        Promise(f"transit:sg_{planned}", 100, kept_there=False),
    ]


@given(
    rows=st.lists(st.tuples(st.integers(1, 9), st.sampled_from(FundingState)), max_size=8),
    spare=st.integers(0, 40),
)
def test_the_queue_is_funded_from_its_head_as_far_as_it_reaches(
    rows: list[tuple[int, FundingState]], spare: int
) -> None:
    queue = [_funding(number, *row) for number, row in enumerate(rows)]
    wanted = [row for row in queue if row.state is FundingState.WANTED]
    found = rules.fundable(queue, spare)
    assert found == wanted[: len(found)]
    assert sum(row.units for row in found) <= spare
    following = wanted[: len(found) + 1]
    assert following == found or sum(row.units for row in following) > spare


def test_what_is_on_its_way_to_a_place_comes_less_its_fee() -> None:
    rows = [_transfer(1, fee_units=3), _transfer(2, state=TransferState.REFUSED)]
    rows += [_transfer(3, target=EVM), _transfer(4, asset="BTC"), _transfer(5)]
    assert rules.incoming_units(MIXIN, "USDT", rows) == 197
    assert rules.way_of(rows[0]) == f"USDT from {VENUE} to {MIXIN}"
    assert rules.reference_of(SagaId("sg_1")) != rules.reference_of(SagaId("sg_2"))
    assert len(bytes.fromhex(rules.reference_of(SagaId("sg_1")))) == 16


# ------------------------------------------------------------------------------------------- ways


def _route(fee: int = 0, minimum: int = 1, step: int = 1) -> Route:
    return Route(
        source=VENUE, target=MIXIN, asset="USDT", network="n", address="a",
        fee_units=fee, minimum_units=minimum, step_units=step,
    )  # fmt: skip


@pytest.mark.parametrize("state", TransferState)
@pytest.mark.parametrize("requested_us", [49, 50, 51])
def test_a_way_rests_only_while_its_last_transfer_was_refused_since_then(
    state: TransferState, requested_us: int
) -> None:
    other = _transfer(1, target=EVM, state=TransferState.REFUSED, requested_us=99)
    last = _transfer(2, state=state, requested_us=requested_us)
    older = _transfer(3, state=TransferState.RETURNED, requested_us=99)
    refused = state in (TransferState.REFUSED, TransferState.RETURNED)
    found = rules.is_resting(_route(), [other, last, older], 50)
    assert found is (refused and requested_us > 50)
    assert not rules.is_resting(_route(), [other], 50)


@given(
    need=st.integers(-1, 60), free=st.integers(0, 80), fee=st.integers(0, 9),
    minimum=st.integers(1, 30), step=st.integers(1, 7),
)  # fmt: skip
def test_a_way_carries_what_is_needed_and_never_more_than_is_free(
    need: int, free: int, fee: int, minimum: int, step: int
) -> None:
    sendable = [units for units in range(0, free + 1, step) if units >= minimum and units > fee]
    enough = [units for units in sendable if units - fee >= need]
    expected = 0 if need <= 0 or not sendable else min(enough, default=sendable[-1])
    assert rules.planned_units(need, free, _route(fee, minimum, step)) == expected


# ----------------------------------------------------------------------------------- what arrives


def _arrival(transaction: str = "t") -> Arrival:
    return Arrival(
        location=MIXIN, asset="USDT", units=5, reference="r:1", at_us=1, transaction_id=transaction
    )


_PLACES: list[dict[str, Any]] = [{}, {"target": EVM}, {"asset": "BTC"}]


@pytest.mark.parametrize("state", TransferState)
@pytest.mark.parametrize("transaction", ["", "t", "other"])
@pytest.mark.parametrize("place", _PLACES)
def test_what_came_is_a_transfer_of_ours_by_its_transaction(
    state: TransferState, transaction: str, place: dict[str, Any]
) -> None:
    row = _transfer(state=state, transaction_id=transaction, **place)
    here = not place
    unknown = here and state is TransferState.SENT
    assert rules.may_be_ours(_arrival(), [row]) is unknown
    assert not rules.may_be_ours(_arrival(""), [row]), "it came from inside of the place"
    maybe = unknown and not transaction
    assert rules.is_on_its_way(MIXIN, "USDT", "t", [row]) is (
        here and (maybe or transaction == "t")
    )
    found = rules.the_transfer(_arrival(), [row])
    assert (found == row) is (here and state is TransferState.LEFT and transaction == "t")
    assert rules.the_transfer(_arrival(""), [row]) is None


def test_a_transfer_arrives_once() -> None:
    row = _transfer(state=TransferState.LEFT, transaction_id="t")
    arrived = replace(row, arrival="r:0")
    assert rules.the_transfer(_arrival(), [arrived]) is None
    assert rules.the_transfer(_arrival(), [arrived, row]) == row


def test_suspense_is_named_by_the_place_and_the_reference_there() -> None:
    assert rules.suspense_source(_arrival()) == "mixin:r:1"
    assert rules.is_from_a_chain(_arrival())
    assert not rules.is_from_a_chain(_arrival(""))
    asked = {source: rules.knows_again(source) for source in (MIXIN, VENUE, EVM)}
    assert asked == {MIXIN: True, VENUE: False, EVM: True}


def test_every_verdict_can_be_reached() -> None:
    statuses: tuple[SendStatus, ...] = (
        LEFT,
        SendFailed("p", "no"),
        SendUnderWay("p"),
        SendAbsent(),
        SendPostponed("x"),
    )
    sendings = [
        Sending(sends=1, in_doubt=doubt, decision=decision)
        for doubt, decision in product((False, True), (None, *SendDecision))
    ]
    found = {
        _judged(status, _outgoing(sending), SENT_US + DOUBT_US)
        for status, sending in product(statuses, sendings)
    }
    assert found == set(Verdict)
