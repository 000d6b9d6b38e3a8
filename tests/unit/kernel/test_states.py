"""State machines are one table; what it does not say is refused."""

from __future__ import annotations

from enum import StrEnum

import pytest

from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.states import StateTable


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    GONE = "gone"
    DREAMT = "dreamt"


class Push(StrEnum):
    SHUT = "shut"
    OPEN = "open"
    BREAK = "break"


TABLE = StateTable(
    "door",
    Door.OPEN,
    frozenset({Door.GONE}),
    {
        (Door.OPEN, Push.SHUT): Door.SHUT,
        (Door.SHUT, Push.OPEN): Door.OPEN,
        (Door.SHUT, Push.BREAK): Door.GONE,
    },
)


def test_the_full_product_is_the_table_and_nothing_else() -> None:
    for state in Door:
        for event in Push:
            assert TABLE.next(state, event) == TABLE.transitions.get((state, event))


def test_states_and_reachable_ones_are_known() -> None:
    assert TABLE.states() == {Door.OPEN, Door.SHUT, Door.GONE}
    assert TABLE.reachable() == {Door.OPEN, Door.SHUT, Door.GONE}


def test_an_unreachable_state_is_seen() -> None:
    more = {**TABLE.transitions, (Door.DREAMT, Push.OPEN): Door.OPEN}
    table = StateTable("door", Door.OPEN, frozenset({Door.GONE}), more)
    assert table.states() - table.reachable() == {Door.DREAMT}


def test_a_terminal_state_is_never_left() -> None:
    with pytest.raises(PreconditionError, match="gone"):
        StateTable("door", Door.OPEN, frozenset({Door.GONE}), {(Door.GONE, Push.OPEN): Door.OPEN})


def test_a_table_cannot_be_changed_from_outside() -> None:
    source = dict(TABLE.transitions)
    table = StateTable("door", Door.OPEN, frozenset({Door.GONE}), source)
    source[Door.GONE, Push.OPEN] = Door.OPEN
    assert table.next(Door.GONE, Push.OPEN) is None
