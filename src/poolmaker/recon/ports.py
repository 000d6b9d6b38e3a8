"""What reconciliation asks of the places where we hold money, and what others ask of its list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from poolmaker.recon.listing import AttentionPage, CloseAnswer

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

    async def is_caught_up(self) -> bool:
        """Whether all that it is known to have done is in the books."""
        ...


class Attention(Protocol):
    """The one list of what needs a person."""

    async def summary(self) -> AttentionPage:
        """The first few of every kind with all counts."""
        ...

    async def recent(self) -> AttentionPage:
        """The summary as of a few seconds ago, at no cost."""
        ...

    async def of_kind(self, kind: str, after: str, limit: int) -> AttentionPage:
        """Every item of a kind ``<source>:<kind>`` after an item's id, page by page."""
        ...

    async def close(self, item_id: str, by: str, reason: str) -> CloseAnswer:
        """A named person closes an item that evidence cannot close."""
        ...
