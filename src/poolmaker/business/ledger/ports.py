"""The ledger as the other rooms of business see it, and what the ledger needs of its store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import (
    Audited,
    Batch,
    Checkpoint,
    LedgerHead,
    LedgerIncident,
    LedgerTransaction,
    Outcome,
    PendingCommand,
    StoredAnswer,
    WriterLease,
)
from poolmaker.business.ledger.rules import TrialRow
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey
from poolmaker.kernel.money import Asset


class LedgerClient(Protocol):
    """Asks the single writer. Replies leave only after they are durable."""

    async def ask(self, tx: Tx, command: Command) -> None:
        """Write a command row in the caller's own transaction; the writer picks it up.

        The same command twice is one row; the same key with another body raises KeyConflict.
        """
        ...

    async def register_asset(self, asset: Asset) -> None:
        """Make an asset known for ever, in a transaction of its own.

        Raises KeyConflict when it is known with another scale.
        """
        ...

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        """What became of a key; None while it is not decided."""
        ...

    async def submit(self, command: Command) -> Outcome:
        """Hand a command to the writer in this process and wait for its durable outcome.

        Raises OutcomeUnknown when the writer is lost before it answered, and Unbookable when a
        fact has to wait; both may be sent again under the same key.
        """
        ...

    async def balance(self, tx: Tx, account: str, asset: str) -> int:
        """Normal balance in atomic units, durable as of this transaction; 0 for no account."""
        ...

    async def custody(self, tx: Tx) -> Mapping[tuple[str, str], int]:
        """Every custody account's units by (account, asset); what is zero is left out."""
        ...

    async def scale(self, tx: Tx, asset: str) -> int:
        """Decimals of a registered asset; raises InvariantBroken for one that is not."""
        ...

    async def transaction(self, tx: Tx, key: CommandKey) -> LedgerTransaction | None:
        """The transaction that a key posted, with its legs, or None."""
        ...

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        """Transactions after ``after_seq`` in order: the log is its own outbox."""
        ...

    async def head(self, tx: Tx) -> int:
        """The newest sequence, 0 for an empty ledger."""
        ...


class LedgerStore(Protocol):
    """What the single writer needs. Every call is a transaction of its own, durable on return.

    Any call may raise OutcomeUnknown when its answer is lost, or Unavailable when it surely did
    nothing; after either the writer forgets its books and loads them again.
    """

    async def take_lease(
        self, holder: str, lease_us: int, lapsed: WriterLease | None = None
    ) -> LedgerHead | None:
        """Become the only epoch that may append; None while another holder's lease lasts.

        Whether it has run out is judged by the store's own clock; a lease that is still exactly
        as ``lapsed`` counts as run out. It is only for liveness, the new epoch is the fence.
        """
        ...

    async def retake_lease(self, holder: str, lease_us: int) -> LedgerHead | None:
        """A new epoch for the one who holds the lease; None once anybody else has taken it."""
        ...

    async def lease(self) -> WriterLease | None:
        """Who holds the lease, run out or not; None before the first."""
        ...

    async def renew_lease(self, epoch: int, lease_us: int) -> None:
        """Keep the lease, with 0 give it back; raises Fenced when ``epoch`` is not the newest."""
        ...

    async def load(self) -> Checkpoint:
        """Everything the writer keeps in memory, as of one moment."""
        ...

    async def answers(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, StoredAnswer]:
        """What these keys were answered before; keys that were not are left out."""
        ...

    async def recall(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, LedgerTransaction]:
        """The transactions that these keys posted; keys that posted none are left out."""
        ...

    async def append(self, batch: Batch) -> None:
        """Write a batch whole or not at all.

        Raises Fenced when the head has moved on and BooksDiverged when the balances differ.
        """
        ...

    async def open_incidents(self, incidents: Sequence[LedgerIncident]) -> None:
        """Record incidents that belong to no transaction; the same one again has no effect."""
        ...

    async def pending(self, after_row: int, limit: int) -> Sequence[PendingCommand]:
        """Command rows without an answer and with a higher number, in the order of their numbers.

        Numbers are not given in the order of commits: the writer never keeps a cursor on them,
        it begins at 0 again.
        """
        ...

    async def assets(self) -> Sequence[Asset]:
        """The register of assets; it only grows."""
        ...

    async def register_asset(self, asset: Asset) -> None:
        """Make an asset known for ever; raises KeyConflict when its scale differs."""
        ...

    async def listen(self, woken: Callable[[], None]) -> None:
        """Call ``woken`` whenever a command row may have come. A hint: it may be missed."""
        ...


class CommandStore(Protocol):
    """What clients of the ledger read and write in their own transaction."""

    async def ask(self, tx: Tx, key: CommandKey, body: bytes, body_hash: bytes) -> None:
        """Insert a command row and wake the writer when the transaction commits.

        The same body again is no new row; another body under a key that was asked or answered
        before raises KeyConflict.
        """
        ...

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        """What became of a key, whichever way it came in; None while it is not decided."""
        ...

    async def raw_balance(self, tx: Tx, account: str, asset: str) -> int:
        """Raw units (debit positive), 0 when there is no such balance."""
        ...

    async def custody(self, tx: Tx) -> Mapping[tuple[str, str], int]:
        """Raw units of every custody account by (account, asset); what is zero is left out."""
        ...

    async def scale(self, tx: Tx, asset: str) -> int | None:
        """Decimals of an asset, None for one that is not registered."""
        ...

    async def transaction(self, tx: Tx, key: CommandKey) -> LedgerTransaction | None:
        """The transaction that a key posted, or None."""
        ...

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        """Transactions after ``after_seq`` in order."""
        ...

    async def head(self, tx: Tx) -> int:
        """The newest sequence, 0 for an empty ledger."""
        ...


class AuditReader(Protocol):
    """What proves the books, read page by page."""

    async def load(self) -> Checkpoint:
        """What the writer would start from."""
        ...

    async def audit(self, after_seq: int, limit: int) -> Sequence[Audited]:
        """Stored transactions after ``after_seq`` in order, with their hashes and lines."""
        ...

    async def recall(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, LedgerTransaction]:
        """The transactions that these keys posted."""
        ...

    async def trial_balance(self) -> Sequence[TrialRow]:
        """Per asset what is held and owed, summed from the entries without asking a rule."""
        ...

    async def strays(self) -> Sequence[str]:
        """Sentences about rows that belong to nothing; empty when all is well."""
        ...
