"""What the chain client needs of its store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from poolmaker.evm.model import (
    Attempt,
    BlockHead,
    ChainTransfer,
    Cursor,
    EvmPayment,
    WaitingTransfer,
    WalletIncident,
)
from poolmaker.infra.transactions import Tx


class WatchStore(Protocol):
    """Cursors and final transfers. Every method runs in the caller's transaction."""

    async def cursor(self, tx: Tx, chain_id: int, wallet: str) -> Cursor | None:
        """How far a wallet's transfers are read, None before the first start."""
        ...

    async def begin_at(self, tx: Tx, chain_id: int, wallet: str, head: BlockHead) -> None:
        """Read from the block after ``head`` on; no effect when there is a cursor."""
        ...

    async def move(
        self, tx: Tx, chain_id: int, wallet: str, before: BlockHead, after: BlockHead
    ) -> bool:
        """Compare and set; False when somebody else moved it: the transaction must end."""
        ...

    async def add(self, tx: Tx, transfer: ChainTransfer, now_us: int) -> bool:
        """Store a final transfer, to be judged at once; False when it is known."""
        ...

    async def waiting(
        self, tx: Tx, chain_id: int, wallet: str, now_us: int, limit: int
    ) -> Sequence[WaitingTransfer]:
        """Transfers that are due to be judged, oldest first."""
        ...

    async def settle(self, tx: Tx, transfer: ChainTransfer, outcome: str, note: str) -> bool:
        """It is judged for ever; False when it already was: the transaction must end."""
        ...

    async def postpone(self, tx: Tx, transfer: ChainTransfer, due_us: int, note: str) -> None:
        """Judge it later, not before ``due_us``."""
        ...


class PinStore(Protocol):
    """Pinned addresses by contract. Every method runs in the caller's transaction."""

    async def pins(self, tx: Tx, chain_id: int) -> Mapping[str, str]:
        """The valid address of every contract."""
        ...

    async def pin(
        self, tx: Tx, chain_id: int, contract: str, address: str, by_whom: str, now_us: int
    ) -> None:
        """Make an address the valid one; the one before is retired and stays readable."""
        ...


class PaymentStore(Protocol):
    """The journal of what was signed. Every method runs in the caller's transaction."""

    async def take_nonce(self, tx: Tx, chain_id: int, wallet: str, first: int) -> tuple[int, int]:
        """The least nonce that no payment holds, and how many below ``first`` were never ours.

        It is ``first`` at least, and above that of every payment that a final block holds. Locks
        the wallet while ``tx`` is open.
        """
        ...

    async def change_nonce(self, tx: Tx, payment: EvmPayment, nonce: int) -> bool:
        """Give a signed payment another nonce; False when it has not the one that was read."""
        ...

    async def add(self, tx: Tx, payment: EvmPayment) -> None:
        """Store a payment under its nonce."""
        ...

    async def find(self, tx: Tx, reference: str) -> EvmPayment | None:
        """The payment of a reference."""
        ...

    async def attempts(self, tx: Tx, reference: str) -> Sequence[Attempt]:
        """Every transaction signed for it, oldest first."""
        ...

    async def add_attempt(self, tx: Tx, reference: str, attempt: Attempt) -> None:
        """Store a signed transaction; the same number twice is refused by the database."""
        ...

    async def note_refusal(self, tx: Tx, attempt: Attempt, refusal: str) -> None:
        """What the node said to an attempt; empty when it took it."""
        ...

    async def open_payments(self, tx: Tx, chain_id: int, wallet: str) -> Sequence[EvmPayment]:
        """Payments that no final block holds, by nonce."""
        ...

    async def report(self, tx: Tx, chain_id: int, wallet: str, incident: WalletIncident) -> None:
        """Keep an incident; its id is the database's."""
        ...

    async def incidents(self, tx: Tx, chain_id: int, wallet: str) -> Sequence[WalletIncident]:
        """The newest incidents, at most 100."""
        ...

    async def finish(self, tx: Tx, payment: EvmPayment) -> None:
        """Write the end of a payment that was signed; no effect on one that has ended."""
        ...


class EvmOutgoingGate(Protocol):
    """Whether money may leave now: a freeze closes it."""

    async def may_send(self, tx: Tx) -> bool:
        """Whether what is signed and in no block may be handed in."""
        ...
