"""Values of sagas."""

from __future__ import annotations

from dataclasses import dataclass

from poolmaker.kernel.ids import CorrelationId, SagaId


@dataclass(frozen=True, slots=True)
class Saga:
    """One saga row. ``data`` is the kind's own canonical bytes; times are microseconds.

    ``version`` counts advances; ``tries`` counts failed steps since the last advance.
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
