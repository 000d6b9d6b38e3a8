"""What saga code needs of its store, and what the runner needs of a saga's kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.infra.sagas.model import (
    ParkedSaga,
    Saga,
    SagaChange,
    SagaStep,
    WaitingSaga,
)
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import SagaId


class SagaStore(Protocol):
    """Leased rows of sagas. Every method runs in the caller's transaction."""

    async def start(self, tx: Tx, saga: Saga) -> bool:
        """Insert a saga; False when its id exists already (then nothing changed)."""
        ...

    async def claim(
        self, tx: Tx, kinds: Sequence[str], holder: str, now_us: int, lease_us: int, limit: int
    ) -> list[Saga]:
        """Lease rows that are due at ``now_us``, oldest due first, that nobody else holds.

        Leases are judged by the database's clock, in the model by ``now_us``.
        """
        ...

    async def advance(self, tx: Tx, saga: Saga, change: SagaChange, now_us: int) -> Saga:
        """Compare-and-set on (id, state, version); writes a step row and frees the lease.

        A saga that was woken since it was claimed is due at once, whatever ``change`` says.
        Raises SagaMoved when the row is no longer as ``saga`` says: the transaction must end.
        """
        ...

    async def retry(self, tx: Tx, saga: Saga, due_us: int, note: str) -> None:
        """Keep the state, count a try, free the lease and come back at ``due_us``.

        No effect when the row moved meanwhile.
        """
        ...

    async def wake(self, tx: Tx, saga: SagaId, now_us: int) -> None:
        """Make a waiting saga due now; no effect on an ended one."""
        ...

    async def find(self, tx: Tx, saga: SagaId) -> Saga | None:
        """The row, or None."""
        ...


class RunnerStore(SagaStore, Protocol):
    """What the runner and the people who mend need beyond it."""

    async def renew(
        self, tx: Tx, sagas: Sequence[SagaId], holder: str, now_us: int, lease_us: int
    ) -> None:
        """Prolong the leases that ``holder`` still has on ``sagas``; see ``claim`` for clocks."""
        ...

    async def next_due(self, tx: Tx, kinds: Sequence[str], after_us: int) -> int | None:
        """When the next saga of these kinds becomes due after ``after_us``, None for never."""
        ...

    async def park(self, tx: Tx, saga: Saga, incident: str) -> None:
        """Stop the saga until a person looks; no effect when the row moved meanwhile."""
        ...

    async def unpark(self, tx: Tx, saga: SagaId, now_us: int) -> bool:
        """A person looked: due now, tries forgotten. False when it is not parked."""
        ...

    async def parked(self, tx: Tx, limit: int) -> list[ParkedSaga]:
        """Sagas that wait for a person, by id."""
        ...

    async def needing(self, tx: Tx, limit: int) -> tuple[list[WaitingSaga], int]:
        """Parked sagas by id, and how many there are in all."""
        ...

    async def unmoved(
        self, tx: Tx, steady: Sequence[str], before_us: int, limit: int
    ) -> tuple[list[WaitingSaga], int]:
        """Open sagas whose last advance was before a time, but none whose wait is ``steady``.

        ``steady`` names kinds, or ``<kind>:<state>`` where only that state may last.

        The one that waits longest comes first; the number is of all of them.
        """
        ...

    async def waiting(self, tx: Tx, saga: SagaId) -> WaitingSaga | None:
        """Where a saga stands and why, None for an unknown one."""
        ...

    async def steps(self, tx: Tx, saga: SagaId) -> list[SagaStep]:
        """Every advance in order."""
        ...


class SagaHandler(Protocol):
    """One kind of saga. ``step`` opens its own transactions and advances the row, or raises."""

    async def step(self, saga: Saga) -> None:
        """Do the step of the saga's state; everything it writes commits with the advance."""
        ...
