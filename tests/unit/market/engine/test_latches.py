"""Latches: one table says what sets, clears and releases each, and nothing else exists."""

from __future__ import annotations

import pytest

from poolmaker.market.engine.latches import LATCHES, FailingCancels, Latches, LatchKind
from poolmaker.market.tracking.model import VenueOrderEvent
from poolmaker.market.tracking.shadow import ShadowLedger
from poolmaker.messages.market import QuoteGate
from tests.unit.market.makers import intent_id, order


def test_every_latch_names_what_sets_clears_and_releases_it() -> None:
    assert set(LATCHES) == set(LatchKind)
    for kind, rule in LATCHES.items():
        assert rule.set_by, kind
        assert rule.released_by, kind
        assert rule.command.startswith("poolmaker "), kind
        assert rule.route.split(" ")[0] in ("GET", "POST"), kind
        assert rule.gate is not QuoteGate.NONE, kind


def test_only_what_a_person_or_a_broken_promise_set_waits_for_a_person() -> None:
    """Evidence clears what evidence caused."""
    waiting = {kind for kind, rule in LATCHES.items() if not rule.cleared_by}
    assert waiting == {LatchKind.KILLED, LatchKind.HALTED}


def test_what_an_engine_releases_is_what_the_table_sends_there() -> None:
    """A stop that was read by nobody is no latch to let go: its message is replayed or left out."""
    for kind, rule in LATCHES.items():
        assert rule.by_engine is rule.command.startswith("poolmaker engine release "), kind
        assert rule.by_engine is rule.route.startswith("POST /api/v1/engines/"), kind
    elsewhere = {kind for kind, rule in LATCHES.items() if not rule.by_engine}
    assert elsewhere == {LatchKind.KILLED, LatchKind.CONTROL_STOPPED}


@pytest.mark.parametrize("kind", LatchKind)
def test_a_latch_holds_from_when_it_was_set_until_it_is_cleared(kind: LatchKind) -> None:
    latches = Latches()
    latches.set(kind, "a", "first", 5)
    latches.set(kind, "a", "second", 9)
    (held,) = latches.all()
    assert (held.cause, held.since_us, held.rule) == ("second", 5, LATCHES[kind])
    assert latches.held(kind, "b") is None
    assert latches.clear(kind, "a")
    assert not latches.clear(kind, "a")
    assert latches.all() == []


def test_a_refused_key_is_told_apart_from_other_refusals() -> None:
    latches = Latches()
    latches.set(LatchKind.CREATES_REFUSED, "p:BUY", "KEY: Invalid API-key", 1)
    assert latches.all()[0].gate is QuoteGate.KEY_REFUSED
    latches.set(LatchKind.CREATES_REFUSED, "p:BUY", "FILTER: NOTIONAL", 1)
    assert latches.all()[0].gate is QuoteGate.CREATES_REFUSED


def test_cancels_that_failed_are_solved_by_the_end_of_every_order_concerned() -> None:
    shadow, failing = ShadowLedger(), FailingCancels(2)
    for number in (1, 2):
        shadow.register(order(number))
    assert not failing.failed(intent_id(1))
    assert failing.failed(intent_id(2))
    assert not failing.solved(shadow)
    shadow.on_event(intent_id(1), VenueOrderEvent.CANCEL_PROVED, 1)
    assert not failing.solved(shadow)
    shadow.on_event(intent_id(2), VenueOrderEvent.CANCEL_PROVED, 1)
    assert failing.solved(shadow)
    assert not failing.failed(intent_id(1))
