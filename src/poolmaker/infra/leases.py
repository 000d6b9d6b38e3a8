"""Named leases: a lease decides who may try, the fence in the holder's own writes who can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from poolmaker.infra.database import connection_of
from poolmaker.infra.transactions import Transactions, Tx
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown, PoolmakerError, Unavailable


class LeaseLost(PoolmakerError):
    """The lease ran out or somebody else holds it: the holder must stop at once."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class Lease:
    """Held by ``holder`` until ``until_us``. The epoch grows with every take-over."""

    name: str
    epoch: int
    holder: str
    until_us: int


class Leases(Protocol):
    """Lease rows. Every method runs in the caller's transaction."""

    async def take(
        self, tx: Tx, name: str, holder: str, now_us: int, lease_us: int
    ) -> Lease | None:
        """Take a lease that is free, has run out or is ours; None while another holds it.

        A holder's name must be unique to one start of one process.
        """
        ...

    async def renew(self, tx: Tx, lease: Lease, now_us: int, lease_us: int) -> Lease | None:
        """Prolong a lease that is still ours and has not run out; None otherwise."""
        ...

    async def release(self, tx: Tx, lease: Lease) -> None:
        """Give it back; no effect when it is no longer ours."""
        ...


_TAKE: Final = """
INSERT INTO infra.lease AS held (name, epoch, holder, until_us) VALUES ($1, 1, $2, $4)
ON CONFLICT (name) DO UPDATE
SET epoch = held.epoch + CASE WHEN held.holder = $2 AND held.until_us > $3 THEN 0 ELSE 1 END,
    holder = $2, until_us = $4
WHERE held.holder = $2 OR held.until_us <= $3
RETURNING epoch
"""
_RENEW: Final = """
UPDATE infra.lease SET until_us = $5
WHERE name = $1 AND epoch = $2 AND holder = $3 AND until_us > $4
"""
_RELEASE: Final = """
UPDATE infra.lease SET until_us = 0 WHERE name = $1 AND epoch = $2 AND holder = $3
"""


class PgLeases:
    """``Leases`` over the table ``infra.lease``."""

    async def take(
        self, tx: Tx, name: str, holder: str, now_us: int, lease_us: int
    ) -> Lease | None:
        """See ``Leases.take``."""
        until_us = now_us + lease_us
        epoch = await connection_of(tx).fetchval(_TAKE, name, holder, now_us, until_us)
        return Lease(name, epoch, holder, until_us) if epoch is not None else None

    async def renew(self, tx: Tx, lease: Lease, now_us: int, lease_us: int) -> Lease | None:
        """See ``Leases.renew``."""
        until_us = now_us + lease_us
        done = await connection_of(tx).execute(
            _RENEW, lease.name, lease.epoch, lease.holder, now_us, until_us
        )
        held = Lease(lease.name, lease.epoch, lease.holder, until_us)
        return held if done == "UPDATE 1" else None

    async def release(self, tx: Tx, lease: Lease) -> None:
        """See ``Leases.release``."""
        await connection_of(tx).execute(_RELEASE, lease.name, lease.epoch, lease.holder)


class LeaseKeeper:
    """Takes one lease and keeps it: ``acquire``, then ``run`` beside the work it protects."""

    def __init__(
        self, leases: Leases, transactions: Transactions, clock: Clock, holder: str, lease_us: int
    ) -> None:
        self._leases = leases
        self._transactions = transactions
        self._clock = clock
        self._holder = holder
        self._lease_us = lease_us
        self._lease: Lease | None = None

    def holds(self, margin_us: int = 0) -> bool:
        """Whether the lease is ours for at least ``margin_us`` from now."""
        lease = self._lease
        return lease is not None and self._clock.now_us() + margin_us < lease.until_us

    async def acquire(self, name: str) -> Lease:
        """Wait until the lease ``name`` is ours; asks three times per lease time."""
        while True:
            try:
                async with self._transactions.begin(f"lease take {name}") as tx:
                    now_us = self._clock.now_us()
                    taken = await self._leases.take(tx, name, self._holder, now_us, self._lease_us)
            except (Unavailable, OutcomeUnknown):
                taken = None
            if taken is not None:
                self._lease = taken
                return taken
            await self._clock.sleep_us(self._lease_us // 3)

    async def run(self) -> None:
        """Renew until cancelled. Raises LeaseLost when it is no longer ours."""
        while True:
            await self._clock.sleep_us(self._lease_us // 3)
            await self._renew()

    async def release(self) -> None:
        """Give it back, so that the next holder need not wait."""
        lease, self._lease = self._lease, None
        if lease is not None:
            async with self._transactions.begin(f"lease release {lease.name}") as tx:
                await self._leases.release(tx, lease)

    async def _renew(self) -> None:
        lease = self._lease
        if lease is None or not self.holds():
            raise LeaseLost("the lease ran out before it could be renewed")
        try:
            async with self._transactions.begin(f"lease renew {lease.name}") as tx:
                now_us = self._clock.now_us()
                renewed = await self._leases.renew(tx, lease, now_us, self._lease_us)
        except (Unavailable, OutcomeUnknown):
            return  # Two more attempts fit into the lease; holds() tells when it has run out.
        if renewed is None:
            self._lease = None
            raise LeaseLost(f"the lease {lease.name} is no longer ours")
        self._lease = renewed
