"""Values of sagas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.kernel.errors import PoolmakerError
from poolmaker.kernel.ids import CorrelationId, SagaId

NEVER_US: Final = 2**62
"""``due_us`` of a saga that is never claimed again: it ended or it is parked."""


class SagaMoved(PoolmakerError):
    """Another worker was faster: the row is no longer in the claimed state and version."""

    code = "saga_moved"


@dataclass(frozen=True, slots=True)
class Saga:
    """One saga row. ``data`` is the kind's own canonical bytes; times are microseconds.

    ``version`` counts advances; ``tries`` counts failed steps since the last advance. ``due_us``
    is NEVER_US for a saga that ended or is parked.
    """

    id: SagaId
    kind: str
    state: str
    version: int
    due_us: int
    tries: int
    data: bytes
    correlation: CorrelationId


@dataclass(frozen=True, slots=True)
class SagaChange:
    """What an advance sets. ``due_us`` None ends the saga: it is never claimed again."""

    state: str
    due_us: int | None
    data: bytes
    note: str = ""


@dataclass(frozen=True, slots=True)
class SagaStep:
    """One advance as it was recorded; ``version`` is the version after it."""

    version: int
    state_before: str
    state_after: str
    at_us: int
    note: str


@dataclass(frozen=True, slots=True)
class ParkedSaga:
    """A saga that broke a promise of ours and waits for a person; ``incident`` says which."""

    id: SagaId
    kind: str
    state: str
    incident: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingSaga:
    """A saga that has not ended: ``since_us`` is its last advance, or its start.

    ``incident`` says why it is parked, empty while it runs; ``note`` is what it waits for.
    """

    id: SagaId
    kind: str
    state: str
    incident: str
    note: str
    tries: int
    since_us: int


def back_off_us(tries: int, first_us: int, max_us: int) -> int:
    """How long to wait after the failure number ``tries`` + 1: doubles each time, up to a bound."""
    return min(max_us, first_us << min(tries, 40))
