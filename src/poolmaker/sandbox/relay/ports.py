"""What the relay needs from the sides and from the chain between them."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from poolmaker.sandbox.relay.model import (
    Arriving,
    Leaving,
    Place,
    RelayPayment,
    RelaySide,
    Seen,
    TxId,
)
from poolmaker.sandbox.relay.routes import RelayRoute


class RelayWorld(Protocol):
    """One side. Every call raises Unavailable without an answer, CallerFault when refused."""

    @property
    def side(self) -> RelaySide:
        """Which one it is."""
        ...

    async def pending(self) -> Sequence[Leaving]:
        """The withdrawals that have not been completed."""
        ...

    async def addresses(self) -> AbstractSet[Place]:
        """Every deposit address that was given out for what the chain holds."""
        ...

    async def receive(self, arriving: Arriving) -> bool:
        """Credit what came, once; False when it was known before."""
        ...

    async def complete(self, leaving: Leaving, tx_id: TxId) -> None:
        """Show ``tx_id`` as the transaction of the withdrawal."""
        ...


class RelayChain(Protocol):
    """The chain. Every call raises Unavailable without an answer, CallerFault when refused."""

    async def final_block(self) -> int:
        """The newest block that counts; below 0 while there is none."""
        ...

    async def block_hash(self, number: int) -> str | None:
        """What the block of this number is called now, None where there is none."""
        ...

    async def send(self, leaving: Leaving, route: RelayRoute) -> RelayPayment:
        """Transfer a withdrawal to its address, or learn how far it is: it is sent once."""
        ...

    async def transfers(self, first: int, last: int, places: AbstractSet[Place]) -> Sequence[Seen]:
        """What went to these places in these blocks, oldest first."""
        ...
