"""The ledger as the other rooms of business see it."""

from __future__ import annotations

from typing import Protocol

from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import Outcome, Transaction
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import CommandKey


class LedgerClient(Protocol):
    """Asks the single writer. Replies leave only after they are durable."""

    async def ask(self, tx: Tx, command: Command) -> None:
        """Write a command row in the caller's own transaction; the writer picks it up.

        The same command twice is one row; the same key with another body raises KeyConflict.
        """
        ...

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        """What became of a key; None while it is not decided."""
        ...

    async def submit(self, command: Command) -> Outcome:
        """Hand a command to the writer in this process and wait for its durable outcome.

        Raises OutcomeUnknown when the writer is lost before it answered.
        """
        ...

    async def balance(self, tx: Tx, account: str, asset: str) -> int:
        """Normal balance in atomic units, durable as of this transaction; 0 for no account."""
        ...

    async def transaction(self, tx: Tx, key: CommandKey) -> Transaction | None:
        """The transaction that a key posted, with its legs, or None."""
        ...

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[Transaction]:
        """Transactions after ``after_seq`` in order: the log is its own outbox."""
        ...
