"""What the treasury asks of other rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.business.treasury.model import (
    Arrival,
    Disposition,
    InFlight,
    SendAnswer,
    SendRequest,
    SendStatus,
    TransferEnd,
    TransferWish,
)
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


class SendingProvider(Protocol):
    """Who sends money out. Every call has its timeout."""

    async def send(self, request: SendRequest) -> SendAnswer:
        """Ask to send. Not idempotent: the caller has recorded it and reads the history first.

        Raises OutcomeUnknown when it may have been taken, Unavailable when it surely was not.
        """
        ...

    async def find(self, request: SendRequest, since_us: int) -> SendStatus:
        """What the history says of the request's reference; ``since_us`` is when it was made.

        Raises Unavailable when the history cannot be read.
        """
        ...


class Arrivals(Protocol):
    """Who judges what arrives; the treasury. The rooms of the places outside call it."""

    async def arrived(self, tx: Tx, arrival: Arrival) -> Disposition:
        """Classify an arrival and book it, in the caller's transaction; once per reference.

        WAITING means that nothing was written: the caller keeps it and asks again.
        """
        ...


class Transfers(Protocol):
    """What the treasury does for other rooms: money from one place of ours to another."""

    async def request_transfer(self, tx: Tx, wish: TransferWish) -> str:
        """Begin a transfer; the same key answers the same transfer's id."""
        ...

    async def transfer_end(self, tx: Tx, transfer: str) -> TransferEnd | None:
        """How it ended, None while it is under way."""
        ...
