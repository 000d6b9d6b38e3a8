"""The shadow ledger: states only move on evidence, fills only grow, nothing is erased."""

from __future__ import annotations

import pytest

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.market import Side
from poolmaker.market.tracking.model import (
    ORDER_STATES,
    OrderReport,
    ReportedState,
    VenueOrderEvent,
    VenueOrderState,
)
from poolmaker.market.tracking.rules import AbsenceRule, Absences
from poolmaker.market.tracking.shadow import ShadowLedger
from tests.unit.market.makers import MARKET, SYMBOL, intent_id, order, report

S, E = VenueOrderState, VenueOrderEvent


def ledger(*numbers: int) -> ShadowLedger:
    shadow = ShadowLedger()
    for number in numbers or (1,):
        shadow.register(order(number))
    return shadow


def state(shadow: ShadowLedger, number: int = 1) -> VenueOrderState:
    found = shadow.find(intent_id(number))
    assert found is not None
    return found.state


def test_the_whole_product_of_states_and_events_is_decided() -> None:
    """Every pair either moves as the table says or is refused; ended orders refuse everything."""
    for before in VenueOrderState:
        for event in VenueOrderEvent:
            after = ORDER_STATES.next(before, event)
            assert (after is None) or before not in ORDER_STATES.terminal
    assert ORDER_STATES.reachable() == frozenset(VenueOrderState)


def test_an_intent_is_registered_once() -> None:
    shadow = ledger()
    with pytest.raises(PreconditionError):
        shadow.register(order())


def test_exchange_fault_6_a_fill_before_the_ack_finds_its_order_by_our_id() -> None:
    shadow = ledger()
    shadow.on_report(report(state=ReportedState.LIVE, filled_units=40), 5)
    assert state(shadow) is S.PARTLY_FILLED
    shadow.acked(intent_id(1), "x1", 6)
    assert state(shadow) is S.PARTLY_FILLED


def test_exchange_fault_7_an_order_never_goes_back() -> None:
    """Hummingbot fact 7: a stale OPEN overwrote even CANCELED there."""
    shadow = ledger()
    shadow.on_report(report(filled_units=60), 1)
    shadow.on_report(report(filled_units=20), 2)
    found = shadow.find(intent_id(1))
    assert found is not None
    assert found.reported_units == 60
    assert found.state is S.PARTLY_FILLED
    shadow.on_report(report(state=ReportedState.CANCELLED, filled_units=60), 3)
    shadow.on_report(report(state=ReportedState.LIVE, filled_units=0), 4)
    assert state(shadow) is S.CANCELLED


def test_hummingbot_fact_5_a_late_fill_of_an_ended_order_is_booked() -> None:
    shadow = ledger()
    shadow.on_report(report(state=ReportedState.CANCELLED), 1)
    found = shadow.find(intent_id(1))
    assert found is not None
    shadow.book(found, "x1", 30)
    assert (found.state, found.booked_units) == (S.CANCELLED, 30)
    assert found in shadow.take_changed()


def test_fills_that_are_reported_and_not_booked_stay_at_stake() -> None:
    """Hummingbot fact 8: "completed" is not believed before its trades are there."""
    shadow = ledger()
    shadow.on_report(report(state=ReportedState.FILLED, filled_units=100), 1)
    (found,) = shadow.unexplained()
    assert found.unexplained_units == 100
    assert list(shadow.at_stake()) == [found]
    shadow.book(found, "x1", 100)
    assert list(shadow.at_stake()) == []


def test_p15_a_sparse_update_merges_and_erases_nothing() -> None:
    """P15: a terminal update without numbers keeps the numbers."""
    shadow = ledger()
    shadow.on_report(report(filled_units=70), 1)
    sparse = OrderReport(
        symbol=SYMBOL,
        exchange_order_id="x1",
        client_id="",
        intent=None,
        state=ReportedState.CANCELLED,
        filled_units=0,
        venue_time_us=0,
    )
    shadow.on_report(sparse, 2)
    found = shadow.find(intent_id(1))
    assert found is not None
    assert (found.state, found.reported_units, found.ticks) == (S.CANCELLED, 70, 6_000_000)
    assert found.client_ids == ["c1"]


def test_one_order_keeps_every_id_it_ever_had() -> None:
    shadow = ledger()
    shadow.on_report(report(exchange_order_id="x1"), 1)
    shadow.on_report(report(exchange_order_id="x2", client_id="c2"), 2)
    assert shadow.find_exchange_id(SYMBOL, "x1") is shadow.find_exchange_id(SYMBOL, "x2")


def test_e12_two_orders_without_an_exchange_id_do_not_collide() -> None:
    """E12: restored pending creates are told apart by their intents."""
    shadow = ShadowLedger()
    shadow.restore([order(1), order(2)])
    assert state(shadow, 1) is state(shadow, 2) is S.UNKNOWN
    assert len(shadow.living()) == 2


def test_e11_what_was_never_answered_is_unknown_after_a_restart() -> None:
    """E11: before send and after send look alike, so neither is resent nor forgotten."""
    shadow = ShadowLedger()
    shadow.restore(
        [
            order(1),
            order(2, state=S.OPEN, exchange_ids=["x2"]),
            order(3, state=S.PENDING_CANCEL, exchange_ids=["x3"]),
        ]
    )
    assert [state(shadow, n) for n in (1, 2, 3)] == [S.UNKNOWN, S.OPEN, S.PENDING_CANCEL]


def test_a_cancel_that_did_not_happen_leaves_the_order_as_live_as_before() -> None:
    shadow = ledger()
    shadow.on_report(report(filled_units=10), 1)
    shadow.on_event(intent_id(1), E.CANCEL_SENT, 2)
    shadow.cancel_failed(intent_id(1), 3)
    assert state(shadow) is S.PARTLY_FILLED


def test_a_report_of_a_stranger_is_not_ours() -> None:
    assert ledger().on_report(report(9, intent=None), 1) is None


def test_exchange_fault_33_an_order_that_self_trade_prevention_ended_has_expired() -> None:
    shadow = ledger()
    shadow.on_report(report(state=ReportedState.EXPIRED), 1)
    assert state(shadow) is S.EXPIRED


def test_proven_absence_rejects_what_never_arrived_and_ends_what_was_seen() -> None:
    shadow = ledger(1, 2)
    for number in (1, 2):
        shadow.on_event(intent_id(number), E.OUTCOME_LOST, 1)
    seen = shadow.find(intent_id(2))
    assert seen is not None
    seen.seen = True
    shadow.absent(intent_id(1), 2)
    shadow.absent(intent_id(2), 2)
    assert (state(shadow, 1), state(shadow, 2)) == (S.REJECTED, S.CANCELLED)


def test_hummingbot_fact_4_misses_count_only_in_a_row_and_over_time() -> None:
    """E5: N misses over T; anything seen begins the count anew."""
    absences = Absences(AbsenceRule(misses_min=3, span_min_us=1_000))
    assert not any(absences.missed(intent_id(1), at) for at in (0, 10, 20, 999))
    assert absences.missed(intent_id(1), 1_000)
    absences.seen(intent_id(1))
    assert absences.count(intent_id(1)) == 0
    assert not absences.missed(intent_id(1), 5_000)


def test_ended_orders_are_forgotten_late_and_only_when_stored() -> None:
    shadow = ledger()
    shadow.on_report(report(state=ReportedState.CANCELLED), 1)
    far = 10**12
    assert shadow.forget_ended(far) == 0
    shadow.take_changed()
    assert shadow.forget_ended(far) == 1
    assert shadow.find(intent_id(1)) is None


def test_own_sizes_are_what_the_public_book_may_show_of_us() -> None:
    """Sent and unanswered counts; what ended, the other side and other markets do not."""
    shadow = ledger(1, 2)
    price, lot = 6_000_000 * MARKET.tick_units, MARKET.lot_units
    assert shadow.own_units(SYMBOL, Side.BUY) == {price: 200 * lot}
    shadow.on_report(report(1, filled_units=40), 1)
    shadow.acked(intent_id(2), "x2", 1)
    assert shadow.own_units(SYMBOL, Side.BUY) == {price: 200 * lot - 40}
    shadow.on_event(intent_id(2), E.OUTCOME_LOST, 2)
    assert shadow.own_units(SYMBOL, Side.BUY) == {price: 200 * lot - 40}
    shadow.on_report(report(2, state=ReportedState.CANCELLED, filled_units=50), 3)
    assert shadow.own_units(SYMBOL, Side.BUY) == {price: 100 * lot - 40}
    assert shadow.own_units(SYMBOL, Side.SELL) == {}
    assert shadow.own_units("OTHER", Side.BUY) == {}
