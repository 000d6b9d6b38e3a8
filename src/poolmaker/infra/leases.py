"""Named leases: a lease decides who may try, the fence in the holder's own writes who can.

Leases are judged by the database's clock, which is the same for all who compete, and never by the
caller's. Where that clock is set, a lease that was not renewed for its whole length of our own
monotonic time has lapsed all the same. What was lost is never taken again by the same process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from poolmaker.infra.database import connection_of
from poolmaker.infra.holder import described, is_gone
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem, OutcomeUnknown, TakenOver, Unavailable

_LOOK_US: Final = SECOND_US // 4
LEASE_LOST: Final = "this process no longer holds its lease"
"""Why nothing leaves any more."""


class LeaseLost(TakenOver):
    """Another process has taken the lease: the holder must stop at once."""

    code = "lease_lost"


class LeaseHeld(EnvironmentProblem):
    """Another process lives and keeps the lease; the sentence says who and what to do."""

    code = "lease_held"


@dataclass(frozen=True, slots=True)
class Lease:
    """Held by ``holder`` until ``until_us`` of the database's clock; each take-over is an epoch."""

    name: str
    epoch: int
    holder: str
    until_us: int


class Leases(Protocol):
    """Lease rows. Every method runs in the caller's transaction.

    PostgreSQL judges them by its own clock, the simulator's store by virtual time.
    """

    async def take(
        self, tx: Tx, name: str, holder: str, lease_us: int, lapsed: Lease | None = None
    ) -> Lease | None:
        """Take a lease that is free, has run out, is ours or is still exactly as ``lapsed``.

        None while another holds it. A holder's name is unique to one start of one process.
        """
        ...

    async def find(self, tx: Tx, name: str) -> Lease | None:
        """The lease as it stands, run out or not."""
        ...

    async def renew(self, tx: Tx, lease: Lease, lease_us: int) -> Lease | None:
        """Prolong a lease; None once anybody else has taken it since."""
        ...

    async def release(self, tx: Tx, lease: Lease) -> None:
        """Give it back; no effect when it is no longer ours."""
        ...

    async def check(self, tx: Tx, lease: Lease) -> None:
        """Raise LeaseLost unless it is still ours; nobody takes it before ``tx`` ends."""
        ...


_TAKE: Final = """
INSERT INTO infra.lease AS held (name, epoch, holder, until_us)
VALUES ($1, 1, $2, infra.lease_now_us() + $3)
ON CONFLICT (name) DO UPDATE
SET epoch = held.epoch + CASE WHEN held.holder = $2 THEN 0 ELSE 1 END,
    holder = $2, until_us = infra.lease_now_us() + $3
WHERE held.holder = $2 OR held.until_us <= infra.lease_now_us()
    OR (held.epoch = $4 AND held.until_us = $5)
RETURNING epoch, until_us
"""
_FIND: Final = "SELECT name, epoch, holder, until_us FROM infra.lease WHERE name = $1"
_RENEW: Final = """
UPDATE infra.lease SET until_us = infra.lease_now_us() + $4
WHERE name = $1 AND epoch = $2 AND holder = $3
RETURNING until_us
"""
_RELEASE: Final = """
UPDATE infra.lease SET until_us = 0 WHERE name = $1 AND epoch = $2 AND holder = $3
"""
_CHECK: Final = """
SELECT epoch FROM infra.lease WHERE name = $1 AND epoch = $2 AND holder = $3 FOR SHARE
"""


class PgLeases:
    """``Leases`` over the table ``infra.lease``."""

    async def take(
        self, tx: Tx, name: str, holder: str, lease_us: int, lapsed: Lease | None = None
    ) -> Lease | None:
        seen = (lapsed.epoch, lapsed.until_us) if lapsed is not None else (None, None)
        row = await connection_of(tx).fetchrow(_TAKE, name, holder, lease_us, *seen)
        return Lease(name, row["epoch"], holder, row["until_us"]) if row is not None else None

    async def find(self, tx: Tx, name: str) -> Lease | None:
        row = await connection_of(tx).fetchrow(_FIND, name)
        return Lease(**dict(row.items())) if row is not None else None

    async def renew(self, tx: Tx, lease: Lease, lease_us: int) -> Lease | None:
        until_us = await connection_of(tx).fetchval(
            _RENEW, lease.name, lease.epoch, lease.holder, lease_us
        )
        if until_us is None:
            return None
        return Lease(lease.name, lease.epoch, lease.holder, until_us)

    async def release(self, tx: Tx, lease: Lease) -> None:
        await connection_of(tx).execute(_RELEASE, lease.name, lease.epoch, lease.holder)

    async def check(self, tx: Tx, lease: Lease) -> None:
        found = await connection_of(tx).fetchval(_CHECK, lease.name, lease.epoch, lease.holder)
        if found is None:
            raise LeaseLost(f"the lease {lease.name} was taken over by another process")


class LeaseEvidence(Enum):
    """What watching another's lease has shown so far."""

    UNCERTAIN = "uncertain"
    RENEWED = "renewed"
    LAPSED = "lapsed"


class LeaseWatch:
    """Judges a lease of somebody else by our own monotonic clock, whatever any wall clock says."""

    def __init__(self, clock: Clock, lease_us: int) -> None:
        self._clock = clock
        self._lease_us = lease_us
        self._seen: tuple[str, int, int] | None = None
        self._since_us = 0

    def look(self, holder: str, epoch: int, until_us: int) -> LeaseEvidence:
        """One look: renewed since the last one, lapsed, or not known yet.

        A lease that was given back or never held is for the database to hand out.
        """
        now_us, found = self._clock.monotonic_us(), (holder, epoch, until_us)
        if self._seen is not None and found != self._seen and until_us:
            return LeaseEvidence.RENEWED
        if self._seen is None or found != self._seen:
            self._seen, self._since_us = found, now_us
        is_old = now_us - self._since_us > self._lease_us
        return LeaseEvidence.LAPSED if is_old or is_gone(holder) else LeaseEvidence.UNCERTAIN


class LeaseCheck(Protocol):
    """What those need who act only while their process holds its lease."""

    def holds(self, margin_us: int = 0) -> bool:
        """Whether the lease is ours for at least ``margin_us`` from now, by our own clock."""
        ...

    async def check(self, tx: Tx) -> None:
        """Raise LeaseLost unless the lease is ours; nobody takes it before ``tx`` ends."""
        ...


class NoLease:
    """``LeaseCheck`` where nobody competes: one process by construction, as in a simulation."""

    def holds(self, margin_us: int = 0) -> bool:
        """Always."""
        return margin_us >= 0

    async def check(self, tx: Tx) -> None:
        """Never raises."""


class LeaseKeeper:
    """Takes one lease and keeps it: ``acquire``, then ``run`` beside the work it protects.

    It takes a lease once. When it was lost nobody takes it again in this process.
    """

    def __init__(
        self, leases: Leases, transactions: Transactions, clock: Clock, holder: str, lease_us: int
    ) -> None:
        self._leases = leases
        self._transactions = transactions
        self._clock = clock
        self._holder = holder
        self._lease_us = lease_us
        self._lease: Lease | None = None
        self._until_us = 0
        self._name = ""

    def holds(self, margin_us: int = 0) -> bool:
        return self._lease is not None and self._clock.monotonic_us() + margin_us < self._until_us

    async def check(self, tx: Tx) -> None:
        if self._lease is None:
            raise LeaseLost("this process holds no lease")
        await self._leases.check(tx, self._lease)

    async def acquire(self, name: str, say: Callable[[str], None]) -> Lease:
        """Take the lease ``name``; ``say`` hears whom it waits for and from whom it takes over.

        Raises LeaseHeld as soon as another holder is seen to renew it.
        """
        self._name = name
        watch = LeaseWatch(self._clock, self._lease_us)
        waits_for = ""
        lapsed: Lease | None = None
        while True:
            asked_us = self._clock.monotonic_us()
            before, taken = await self._try(name, lapsed)
            if taken is not None:
                self._lease, self._until_us = taken, asked_us + self._lease_us
                if before is not None and before.until_us and before.holder != self._holder:
                    say(f"takes over from {described(before.holder)}, which no longer renews")
                return taken
            if before is not None:
                standing = watch.look(before.holder, before.epoch, before.until_us)
                if standing is LeaseEvidence.RENEWED:
                    raise LeaseHeld(_held(name, before.holder))
                lapsed = before if standing is LeaseEvidence.LAPSED else None
                if before.holder != waits_for:
                    waits_for = before.holder
                    say(f"waits for {described(waits_for)}, which holds the lease {name!r}")
            if lapsed is None:
                await self._clock.sleep_us(min(_LOOK_US, self._lease_us // 3))

    async def loss(self) -> LeaseLost:
        """What to say once another process has taken over, in whichever part that was noticed."""
        try:
            async with self._transactions.begin("lease find") as tx:
                found = await self._leases.find(tx, self._name)
        except (Unavailable, OutcomeUnknown):
            found = None
        by = (
            described(found.holder) if found and found.holder != self._holder else "another process"
        )
        return LeaseLost(f"{by} has taken over; this one ends and takes nothing back")

    async def run(self) -> None:
        """Renew until cancelled. Raises LeaseLost when another process has taken it."""
        while True:
            await self._clock.sleep_us(self._lease_us // 3)
            await self._renew()

    async def release(self) -> None:
        """Give it back, so that the next holder need not wait."""
        lease, self._lease = self._lease, None
        if lease is not None:
            async with self._transactions.begin(f"lease release {lease.name}") as tx:
                await self._leases.release(tx, lease)

    async def _try(self, name: str, lapsed: Lease | None) -> tuple[Lease | None, Lease | None]:
        """The lease as it stood, and ours when it could be had."""
        try:
            async with self._transactions.begin(f"lease take {name}") as tx:
                before = await self._leases.find(tx, name)
                taken = await self._leases.take(tx, name, self._holder, self._lease_us, lapsed)
        except (Unavailable, OutcomeUnknown):
            return None, None
        return before, taken

    async def _renew(self) -> None:
        lease = self._lease
        if lease is None:
            raise LeaseLost("this process holds no lease")
        asked_us = self._clock.monotonic_us()
        try:
            async with self._transactions.begin(f"lease renew {lease.name}") as tx:
                renewed = await self._leases.renew(tx, lease, self._lease_us)
        except (Unavailable, OutcomeUnknown):
            return  # The next attempt tells; holds() says meanwhile that it has run out.
        if renewed is None:
            self._lease = None
            raise await self.loss()
        self._lease, self._until_us = renewed, asked_us + self._lease_us


def _held(name: str, holder: str) -> str:
    return (
        f"{described(holder)} is running as {name!r} on this database; stop it first, or give "
        "this one another home with POOLMAKER_HOME"
    )
