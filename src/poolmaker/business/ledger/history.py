"""The ledger's log and balances as pages and statements read them; nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.ledger._store.history import PgLedgerHistory
from poolmaker.business.ledger.model import EntryRow, Flow, LedgerHead, LedgerTransaction, Leg
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, LedgerId


class LedgerHistory(Protocol):
    """Pages of the log. Every method runs in the caller's transaction."""

    async def head(self, tx: Tx) -> LedgerHead:
        """The newest point of the log."""
        ...

    async def balances(self, tx: Tx) -> list[Leg]:
        """Every raw balance that is not zero, by account and asset."""
        ...

    async def entries(
        self, tx: Tx, accounts: Sequence[str], after_seq: int, limit: int
    ) -> list[EntryRow]:
        """Entries of these accounts after ``after_seq``, oldest first, whole transactions only.

        At least one transaction is answered when there is one, however many entries it has.
        """
        ...

    async def flows(self, tx: Tx, accounts: Sequence[str]) -> list[Flow]:
        """What each kind of transaction moved on these accounts since the ledger began."""
        ...

    async def newest(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        """The newest transactions after ``after_seq``, newest first."""
        ...

    async def following(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        """The transactions that follow ``after_seq``, in order."""
        ...

    async def seq_of(self, tx: Tx, key: CommandKey) -> int:
        """Where the transaction that a key posted stands, 0 when it posted none."""
        ...

    async def at(self, tx: Tx, seq: int) -> LedgerTransaction | None:
        """The transaction at a sequence, or None."""
        ...


def open_history(ledger: LedgerId = MAIN_LEDGER) -> LedgerHistory:
    """The history of a ledger in PostgreSQL."""
    return PgLedgerHistory(ledger)
