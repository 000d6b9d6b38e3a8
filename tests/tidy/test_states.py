"""Every state table of the product, walked over the full product of its states and events."""

from __future__ import annotations

import itertools
from enum import Enum
from typing import Any

import pytest

from poolmaker.kernel.states import StateTable
from tests.tidy.tree import REPOSITORY
from tools.diagrams import state_tables

TABLES = {table.name: table for table in state_tables(REPOSITORY)}


def _states(table: StateTable[Any, Any]) -> list[Any]:
    kind: Any = type(table.initial)
    return list(kind)


def _events(table: StateTable[Any, Any]) -> list[Any]:
    kinds = {type(event) for _, event in table.transitions}
    return [event for kind in kinds if issubclass(kind, Enum) for event in kind]


@pytest.mark.parametrize("name", TABLES)
def test_every_state_and_event_has_an_answer_and_terminal_states_refuse_all(name: str) -> None:
    table = TABLES[name]
    for state, event in itertools.product(_states(table), _events(table)):
        after = table.next(state, event)
        assert after is None or after in table.states()
        assert not (state in table.terminal and after is not None)


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached_and_every_event_is_used(name: str) -> None:
    table = TABLES[name]
    assert set(_states(table)) == table.reachable()
    assert {event for _, event in table.transitions} == set(_events(table))


@pytest.mark.parametrize("name", TABLES)
def test_an_end_can_be_reached_from_every_state(name: str) -> None:
    table = TABLES[name]
    # A machine without an end can always begin anew.
    ends = set(table.terminal) or {table.initial}
    for _ in table.states():
        ends |= {state for (state, _), after in table.transitions.items() if after in ends}
    assert ends == set(_states(table))
