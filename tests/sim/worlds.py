"""A simulated world on the test's own PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from poolmaker.bus.service import open_bus
from poolmaker.business.ledger import service as ledger
from poolmaker.business.pools import service as pools
from poolmaker.business.treasury import service as treasury
from poolmaker.business.user_orders import service as user_orders
from poolmaker.business.withdrawals import service as withdrawals
from poolmaker.infra.database import Connection, Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.sagas._store import PgSagaStore
from poolmaker.lab.loop import VirtualClock
from poolmaker.lab.platform import WorldStores
from poolmaker.lab.world import OpenStores, WorldReport

_VIRTUAL = """
CREATE OR REPLACE FUNCTION infra.lease_now_us() RETURNS bigint LANGUAGE sql
AS $$ SELECT current_setting('poolmaker.virtual_us')::bigint $$
"""


class VirtualDatabase(Database):
    """A database whose own clock, by which it judges leases, is the world's."""

    clock: VirtualClock

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        async with super().lent() as connection:
            now_us = str(self.clock.now_us())
            await connection.execute("SELECT set_config('poolmaker.virtual_us', $1, false)", now_us)
            yield connection


async def _virtual(dsn: str, clock: VirtualClock) -> VirtualDatabase:
    database = await VirtualDatabase.open(dsn)
    database.clock = clock
    return database


def postgres_stores(dsn: Callable[[DatabaseRole], str]) -> OpenStores:
    @asynccontextmanager
    async def opened(clock: VirtualClock) -> AsyncIterator[WorldStores]:
        owner = await Database.open(dsn(DatabaseRole.OWNER))
        async with owner.acquire() as connection:
            await connection.execute(_VIRTUAL)
        await owner.close()
        app = await _virtual(dsn(DatabaseRole.APP), clock)
        writer = await _virtual(dsn(DatabaseRole.WRITER), clock)
        try:
            yield WorldStores(
                transactions=app,
                sagas=PgSagaStore(),
                bus=open_bus(),
                ledger_store=lambda: ledger.open_store(writer, clock),
                ledger_rows=ledger.open_rows(),
                evidence=ledger.open_evidence(app),
                pools=pools.open_store(),
                orders=user_orders.open_store(),
                withdrawals=withdrawals.open_store(),
                treasury=treasury.open_store(),
            )
        finally:
            await app.close()
            await writer.close()

    def open_stores(clock: VirtualClock) -> AbstractAsyncContextManager[WorldStores]:
        return opened(clock)

    return open_stores


def explained(report: WorldReport) -> str:
    """What somebody needs to look at a seed: run it again with ``run_world(seed)``."""
    lines = [f"seed {report.seed}, trace {report.trace}", *report.violations, *report.tail]
    return "\n".join(lines)
