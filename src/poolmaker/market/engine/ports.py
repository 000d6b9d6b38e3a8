"""What the engine needs of others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from poolmaker.bus.ports import StreamStore
from poolmaker.infra.leases import LeaseCheck, NoLease
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.infra.wakeup import Wakeup
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import Ids, VenueAccountId
from poolmaker.market.engine.model import PoolInstructions
from poolmaker.market.execution.kill import NO_KILL_SWITCH
from poolmaker.market.execution.ports import IntentStore, KillSwitch, OrderEntry
from poolmaker.market.execution.throttle import Throttle
from poolmaker.market.tracking.ports import TrackingStore, Venue, VenueFeeds
from poolmaker.messages.market import BarrierWanted, DrainTo


class EngineStore(Protocol):
    """Rows of the engine itself. Every method runs in the caller's transaction."""

    async def take_over(self, tx: Tx, account: VenueAccountId, now_us: int) -> int:
        """Begin a new epoch of the account and answer it."""
        ...

    async def check_epoch(self, tx: Tx, account: VenueAccountId, epoch: int) -> None:
        """Lock the account's row; raises EngineReplaced when another engine took over."""
        ...

    async def halted(self, tx: Tx, account: VenueAccountId) -> str:
        """Why the account is halted until a person releases it; empty when it is not."""
        ...

    async def set_halted(self, tx: Tx, account: VenueAccountId, reason: str) -> None:
        """Halt the account in every session to come; an empty reason releases it."""
        ...

    async def accepted_rows(self, tx: Tx, account: VenueAccountId) -> set[str]:
        """Rows of the venue that a person decided to leave out."""
        ...

    async def accept_rows(
        self, tx: Tx, account: VenueAccountId, keys: Iterable[str], word: str, now_us: int
    ) -> None:
        """Leave rows out for ever; ``word`` says who decided it and why."""
        ...

    async def facts_seq(self, tx: Tx, account: VenueAccountId) -> int:
        """Sequence of the newest fact on the account stream, 0 when there is none."""
        ...

    async def set_facts_seq(self, tx: Tx, account: VenueAccountId, seq: int) -> None:
        """Remember the newest fact's sequence."""
        ...

    async def wishes(self, tx: Tx, account: VenueAccountId) -> list[PoolInstructions]:
        """What is wished of every pool."""
        ...

    async def save_wish(self, tx: Tx, account: VenueAccountId, wish: PoolInstructions) -> None:
        """Insert or update."""
        ...

    async def drain_reported(self, tx: Tx, account: VenueAccountId, drain: DrainTo) -> None:
        """Note that ``drain`` is reported as reached; no effect when another one holds by now."""
        ...

    async def barriers(self, tx: Tx, account: VenueAccountId, limit: int) -> list[BarrierWanted]:
        """Barriers that are wanted and not emitted, oldest first."""
        ...

    async def add_barrier(
        self, tx: Tx, account: VenueAccountId, wanted: BarrierWanted, now_us: int
    ) -> bool:
        """Want a barrier; the same one twice is one, as deep as the later one says.

        False where it stands on the stream already: then it is not wanted any more.
        """
        ...

    async def barrier_done(self, tx: Tx, account: VenueAccountId, barrier_id: str) -> None:
        """It stands on the account stream."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStores:
    """Where rows are kept."""

    transactions: Transactions
    bus: StreamStore
    engine: EngineStore
    tracking: TrackingStore
    intents: IntentStore
    lease: LeaseCheck = field(default_factory=NoLease)
    """An epoch is taken, and an order made, only while the process holds it."""
    wake: Wakeup | None = None
    """Rings when something may have been asked of an engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePorts:
    """Everything outside that an engine touches."""

    venue: Venue
    feeds: VenueFeeds
    entry: OrderEntry
    throttle: Throttle
    stores: EngineStores
    clock: Clock
    ids: Ids
    kill: KillSwitch = NO_KILL_SWITCH
