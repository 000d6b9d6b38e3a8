"""A state machine is one table ``(state, event) -> state``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Generic, TypeVar

from poolmaker.kernel.checks import require

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True)
class StateTable(Generic[S, E]):
    """The whole behaviour of one state machine.

    Every pair that is not in ``transitions`` is refused: ``next`` answers None and the caller
    decides whether that is a duplicate to ignore or a fault to raise.
    """

    name: str
    initial: S
    terminal: frozenset[S]
    transitions: Mapping[tuple[S, E], S]

    def __post_init__(self) -> None:
        left = sorted(state.value for state, _ in self.transitions if state in self.terminal)
        require(not left, f"{self.name}: terminal states must not be left, were {left}")
        object.__setattr__(self, "transitions", MappingProxyType(dict(self.transitions)))

    def next(self, state: S, event: E) -> S | None:
        """The state after ``event``, or None where the table does not allow it."""
        return self.transitions.get((state, event))

    def states(self) -> frozenset[S]:
        """Every state that the table mentions."""
        ends = frozenset(self.transitions.values())
        return ends | {state for state, _ in self.transitions} | self.terminal | {self.initial}

    def reachable(self) -> frozenset[S]:
        """Every state that can be reached from the initial one."""
        seen = {self.initial}
        grown = True
        while grown:
            found = {after for (state, _), after in self.transitions.items() if state in seen}
            grown = not found <= seen
            seen |= found
        return frozenset(seen)
