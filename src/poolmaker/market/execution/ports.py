"""What the execution core needs of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.infra.transactions import Tx
from poolmaker.kernel.ids import IntentId, PoolId, VenueAccountId
from poolmaker.market.execution.model import CancelIntent, CancelReply, CreateIntent, CreateReply


class OrderEntry(Protocol):
    """Orders to a venue. Implemented by connectors; nothing here retries.

    Every call ends within the connector's own timeout. A definite refusal is a value; when it
    cannot be known whether the venue acted, OutcomeUnknown is raised.
    """

    @property
    def arrival_max_us(self) -> int:
        """How long after it left a request may still take effect at the venue."""
        ...

    async def create(self, intent: CreateIntent) -> CreateReply:
        """Place a post-only limit order under the intent's client id."""
        ...

    async def cancel(self, cancel: CancelIntent) -> CancelReply:
        """Cancel by exchange id where it is known, else by client id."""
        ...

    def client_id(self, intent: IntentId) -> str:
        """The client order id of an intent, within the venue's limits; reversible."""
        ...


class KillSwitch(Protocol):
    """The latches that a person sets to stop orders."""

    def holds(self, account: VenueAccountId, pool: PoolId) -> str:
        """Why the pool may have no orders; empty when it may. Looks anew at every call."""
        ...


class CreateJournal(Protocol):
    """Makes decided orders durable."""

    async def store_creates(self, intents: Sequence[CreateIntent]) -> None:
        """Store all of them in one transaction; raises when that is not certain."""
        ...


class IntentStore(Protocol):
    """Rows of intents. Every method runs in the caller's transaction."""

    async def add_creates(
        self, tx: Tx, account: VenueAccountId, epoch: int, intents: Sequence[CreateIntent]
    ) -> None:
        """Insert; an intent that is there already fails the transaction."""
        ...

    async def add_cancels(
        self, tx: Tx, account: VenueAccountId, epoch: int, cancels: Sequence[CancelIntent]
    ) -> None:
        """Note cancels after the fact; the same one twice is one row."""
        ...

    async def count_creates(self, tx: Tx, account: VenueAccountId) -> int:
        """How many orders were ever decided."""
        ...


class Outcomes(Protocol):
    """Who hears what became of what was decided. Calls are synchronous and quick."""

    def never_sent(self, intent: CreateIntent, reason: str) -> None:
        """It was fenced off before it left this process."""
        ...

    def created(self, intent: CreateIntent, reply: CreateReply) -> None:
        """The venue answered a create."""
        ...

    def create_lost(self, intent: CreateIntent) -> None:
        """A create was sent and its outcome is unknown."""
        ...

    def cancelled(self, cancel: CancelIntent, reply: CancelReply) -> None:
        """The venue answered a cancel."""
        ...

    def cancel_lost(self, cancel: CancelIntent) -> None:
        """A cancel was sent and its outcome is unknown."""
        ...
