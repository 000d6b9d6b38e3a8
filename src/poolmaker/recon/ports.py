"""What reconciliation asks of the places where we hold money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Holdings = Mapping[tuple[str, str], int]
"""(custody account, asset) -> atomic units of the register."""


class CustodyPlace(Protocol):
    """Somewhere that holds money of ours."""

    @property
    def name(self) -> str:
        """The beginning of all its custody accounts, whole words."""
        ...

    def covers(self, location: str) -> bool:
        """Whether a custody account is one that it reports."""
        ...

    async def holdings(self) -> Holdings:
        """All that it has; what is left out is nothing. Raises Unavailable where it is silent."""
        ...
