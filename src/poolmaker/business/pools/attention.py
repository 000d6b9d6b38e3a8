"""Which accounts need a person: not coordinated, or without the barrier they wait for."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.business.pools.model import PooledAccountRow
from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.kernel.ids import VenueAccountId


class CoordinationFailures:
    """Accounts whose coordination fails. It is tried again whenever there is something to do."""

    def __init__(self) -> None:
        self._since: dict[VenueAccountId, tuple[int, str]] = {}

    def failed(self, account: VenueAccountId, error: Exception, now_us: int) -> None:
        """It failed; since when is kept from the first time."""
        since_us, _ = self._since.get(account, (now_us, ""))
        self._since[account] = since_us, f"{type(error).__name__}: {error}"

    def worked(self, account: VenueAccountId) -> None:
        """It succeeded again."""
        self._since.pop(account, None)

    def items(self) -> Sequence[AttentionItem]:
        """One for each account."""
        return [
            AttentionItem(
                source="pools",
                kind="not_coordinated",
                subject=account,
                since_us=since_us,
                evidence={"error": error},
                blocks=("join", "leave", "quoting"),
            )
            for account, (since_us, error) in sorted(self._since.items())
        ]


def overdue_barrier(row: PooledAccountRow, now_us: int, after_us: int) -> AttentionItem | None:
    """The barrier that an account's engine was asked for and has not emitted, or None.

    It comes by itself once the engine proves that the venue shows nothing unpublished; what the
    engine waits for is in its own items.
    """
    if not row.open_barrier or now_us - row.barrier_at_us < after_us:
        return None
    return AttentionItem(
        source="pools",
        kind="barrier_missing",
        subject=row.account,
        since_us=row.barrier_at_us,
        evidence={"barrier": row.open_barrier, "asked": f"{row.asks} times"},
        blocks=("join", "leave"),
        remedies=(Remedy(action="look", command="poolmaker status"),),
    )
