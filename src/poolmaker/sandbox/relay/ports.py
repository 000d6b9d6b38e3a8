"""What the relay needs from a side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.sandbox.relay.model import Leaving, Side, TxId
from poolmaker.sandbox.relay.routes import Route


class World(Protocol):
    """One side. Every call raises Unavailable without an answer, CallerFault when refused."""

    @property
    def side(self) -> Side:
        """Which one it is."""
        ...

    async def pending(self) -> Sequence[Leaving]:
        """The withdrawals that have not been completed."""
        ...

    async def receive(self, leaving: Leaving, route: Route, tx_id: TxId) -> None:
        """Credit what left the other side; the same ``tx_id`` is credited once."""
        ...

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` as the transaction of the withdrawal."""
        ...
