"""What the treasury asks of other rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.treasury.model import InFlight
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import UserId


class Users(Protocol):
    """Who is known; the room of user orders."""

    async def knows(self, tx: Tx, user: UserId) -> bool:
        """Whether there is such a user."""
        ...


class OnTheWayOut(Protocol):
    """What has left or may have left and is not debited yet; the room of withdrawals."""

    async def in_flight(self, tx: Tx) -> Sequence[InFlight]:
        """Every such row."""
        ...
