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
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.sagas._store import PgSagaStore
from poolmaker.lab.loop import VirtualClock
from poolmaker.lab.platform import WorldStores
from poolmaker.lab.world import OpenStores, WorldReport


def postgres_stores(dsn: Callable[[DatabaseRole], str]) -> OpenStores:
    @asynccontextmanager
    async def opened(clock: VirtualClock) -> AsyncIterator[WorldStores]:
        app = await Database.open(dsn(DatabaseRole.APP))
        writer = await Database.open(dsn(DatabaseRole.WRITER))
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
