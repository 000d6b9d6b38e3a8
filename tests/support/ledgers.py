"""A ledger's writer on a test's own database, running beside the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import Outcome
from poolmaker.business.ledger.ports import AuditReader
from poolmaker.business.ledger.service import (
    Ledger,
    LedgerWriter,
    WriterSettings,
    open_evidence,
    open_rows,
    open_store,
)
from poolmaker.business.ledger.verify import VerifyReport, verify
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.ids import CommandKey
from tests.support.ledger import BNB, BTC, USDT

OpenDatabase = Callable[[DatabaseRole], Awaitable[Database]]


@dataclass
class Running:
    """A writer that runs, and a client of it in the role of the application."""

    writer: LedgerWriter
    ledger: Ledger
    app: Database
    evidence: AuditReader
    task: asyncio.Task[None]

    async def verify(self) -> VerifyReport:
        return await verify(self.evidence)

    async def ask(self, *commands: Command) -> None:
        """Command rows, in one transaction of the application."""
        async with self.app.begin("ask") as tx:
            for command in commands:
                await self.ledger.ask(tx, command)

    async def answered(self, key: str) -> Outcome:
        """What became of a key, once it is decided."""
        while True:
            async with self.app.begin("outcome") as tx:
                outcome = await self.ledger.outcome(tx, CommandKey(key))
            if outcome is not None:
                return outcome
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running_ledger(
    open_database: OpenDatabase,
    *,
    holder: str = "writer-1",
    settings: WriterSettings | None = None,
) -> AsyncIterator[Running]:
    """Verify, take the lease, register BTC, USDT and BNB, and run until the block ends."""
    clock = SystemClock()
    database = await open_database(DatabaseRole.WRITER)
    store, evidence = open_store(database, clock), open_evidence(database)
    writer = LedgerWriter(store, clock, holder, settings)
    await writer.start(evidence)
    for asset in (BTC, USDT, BNB):
        await writer.register_asset(asset)
    task = asyncio.create_task(writer.run())
    app = await open_database(DatabaseRole.APP)
    try:
        yield Running(writer, Ledger(open_rows(), writer), app, evidence, task)
    finally:
        task.cancel()
        with suppress(BaseException):
            await task
        await store.close()
