"""Tracking invariants 2 and 3 for any order of any reports: late, twice, reversed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.market.tracking.model import ORDER_STATES, ReportedState, VenueOrderEvent
from poolmaker.market.tracking.shadow import ShadowLedger
from tests.unit.market.makers import SYMBOL, intent_id, order, report

reports = st.builds(
    report,
    state=st.sampled_from(ReportedState),
    filled_units=st.integers(0, 100),
)
events = st.sampled_from(VenueOrderEvent)


@given(st.lists(st.one_of(reports, events), max_size=12))
def test_fills_only_grow_and_an_ended_order_stays_ended(steps: list[object]) -> None:
    shadow = ShadowLedger()
    shadow.register(order())
    tracked = shadow.find(intent_id(1))
    assert tracked is not None
    for at, step in enumerate(steps):
        before = (tracked.filled_units, tracked.state)
        if isinstance(step, VenueOrderEvent):
            shadow.on_event(intent_id(1), step, at)
        else:
            shadow.on_report(step, at)  # type: ignore[arg-type]
        assert tracked.filled_units >= before[0]
        if before[1] in ORDER_STATES.terminal:
            assert tracked.state is before[1]
        own = 0 if tracked.terminal else tracked.open_units
        assert sum(shadow.own_units(SYMBOL, tracked.side).values()) == own
        at_stake = any(one is tracked for one in shadow.at_stake())
        assert at_stake == (not tracked.terminal or tracked.unexplained_units > 0)


@given(st.lists(reports, max_size=8), st.randoms(use_true_random=False))
def test_the_largest_fill_wins_in_any_order(words: list[object], shuffled: object) -> None:
    one, other = ShadowLedger(), ShadowLedger()
    one.register(order())
    other.register(order())
    again = list(words)
    shuffled.shuffle(again)  # type: ignore[attr-defined]
    for at, word in enumerate(words):
        one.on_report(word, at)  # type: ignore[arg-type]
    for at, word in enumerate(again):
        other.on_report(word, at)  # type: ignore[arg-type]
    first, second = one.find(intent_id(1)), other.find(intent_id(1))
    assert first is not None
    assert second is not None
    assert first.reported_units == second.reported_units
    assert first.terminal == second.terminal
