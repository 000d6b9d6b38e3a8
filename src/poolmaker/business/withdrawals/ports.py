"""What withdrawals need: their store, a payout provider, and to know what a place can spare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.withdrawals.model import Freeze, Withdrawal, WithdrawalLine
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import UserId, WithdrawalId


class WithdrawalStore(Protocol):
    """Rows of withdrawals, lanes and the freeze, in the caller's transaction."""

    async def add(self, tx: Tx, row: Withdrawal, line: WithdrawalLine) -> bool:
        """Insert a withdrawal; False when its key is there already (then nothing changed)."""
        ...

    async def by_key(self, tx: Tx, key: str) -> Withdrawal | None:
        """The withdrawal that was requested under ``key``, or None."""
        ...

    async def row(self, tx: Tx, withdrawal: WithdrawalId) -> Withdrawal | None:
        """One withdrawal, or None."""
        ...

    async def lock(self, tx: Tx, withdrawal: WithdrawalId) -> Withdrawal | None:
        """One withdrawal, locked until the transaction ends, or None."""
        ...

    async def save(self, tx: Tx, row: Withdrawal, line: WithdrawalLine) -> None:
        """Overwrite a withdrawal that this transaction has locked and add a line to its story."""
        ...

    async def claims(self, tx: Tx, source: str, asset: str) -> Sequence[Withdrawal]:
        """Withdrawals HELD, SENT or CONFIRMED that are paid from there, first held first."""
        ...

    async def waiting_units(self, tx: Tx, source: str, asset: str) -> int:
        """Atomic units of all withdrawals AWAITING_CASH there."""
        ...

    async def in_flight(self, tx: Tx) -> Sequence[Withdrawal]:
        """Withdrawals SENT or CONFIRMED, by id."""
        ...

    async def under_way(self, tx: Tx, limit: int) -> Sequence[Withdrawal]:
        """Withdrawals that have not ended, oldest first."""
        ...

    async def of_user(
        self, tx: Tx, user: UserId, after: WithdrawalId, limit: int
    ) -> Sequence[Withdrawal]:
        """A user's withdrawals whose id comes after ``after``, by id."""
        ...

    async def newest(
        self, tx: Tx, user: UserId | None, before: WithdrawalId, limit: int
    ) -> Sequence[Withdrawal]:
        """Withdrawals of one user or of all before an id, newest first; an empty id begins."""
        ...

    async def timeline(self, tx: Tx, withdrawal: WithdrawalId) -> Sequence[WithdrawalLine]:
        """The story of a withdrawal, oldest first."""
        ...

    async def claim_lane(self, tx: Tx, row: Withdrawal) -> bool:
        """Become the one in flight per (source, asset, address); False while another is."""
        ...

    async def free_lane(self, tx: Tx, row: Withdrawal) -> None:
        """Let the next one go; no effect when the lane is not this withdrawal's."""
        ...

    async def freeze(self, tx: Tx) -> Freeze | None:
        """Why outgoing money is stopped, or None."""
        ...

    async def set_freeze(self, tx: Tx, freeze: Freeze) -> None:
        """Stop outgoing money. Its time names it: a freeze that is set again has a later one."""
        ...

    async def lift_freeze(self, tx: Tx, at_us: int) -> None:
        """Let outgoing money go that was stopped at ``at_us``; another freeze stays."""
        ...


class CashService(Protocol):
    """What a place of ours holds beyond what others than withdrawals claim; the treasury."""

    async def surplus(self, tx: Tx, source: str, asset: str) -> int | None:
        """Atomic units, or None while nobody can say.

        Nobody else decides about that place until the transaction ends.
        """
        ...


class SuspenseService(Protocol):
    """Whom to tell how a refund ended; the treasury."""

    async def refund_ended(self, tx: Tx, source: str, reason: str) -> None:
        """A refund is over: paid when ``reason`` is empty, else it is nobody's money again."""
        ...
