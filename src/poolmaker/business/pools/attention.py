"""Which accounts' pools cannot be coordinated, and since when."""

from __future__ import annotations

from collections.abc import Sequence

from poolmaker.infra.attention import AttentionItem
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
