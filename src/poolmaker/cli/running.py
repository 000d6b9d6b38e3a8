"""What commands do with the database and with a running loop; loaded when a command needs it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from poolmaker import app
from poolmaker.cli.output import complain
from poolmaker.kernel.money import format_units

T = TypeVar("T")


def url_of(settings: Any) -> str | None:
    """The operator's own database, or None for the embedded one."""
    return settings.database_url.get_secret_value() if settings.database_url else None


async def _open(settings: Any) -> Any:
    clock = app.load("infra.clock").SystemClock()
    opening = app.load("infra.postgres.opening")
    return await opening.open_postgres(settings.home, clock, url=url_of(settings))


async def _with_server(settings: Any, work: Callable[[Any], Awaitable[T]]) -> T:
    server = await _open(settings)
    try:
        return await work(server)
    finally:
        await server.stop()


async def _with_books(settings: Any, work: Callable[[Any], Awaitable[T]], nothing: T) -> T:
    """Run ``work`` on the ledger's evidence, with the server up for as long as it takes.

    It only reads: another schema than this version's is refused, and where there is none the
    answer is ``nothing``.
    """

    async def on(server: Any) -> T:
        if not await app.load("app.schema").has_schema(server):
            return nothing
        role = app.load("infra.postgres.model").DatabaseRole.READER
        database = await app.load("infra.database").Database.open(server.dsn(role), max_size=2)
        try:
            return await work(app.load("business.ledger.service").open_evidence(database))
        finally:
            await database.close()

    return await _with_server(settings, on)


def verify(settings: Any) -> Any:
    """The report of a replay of the whole log."""
    verifying = app.load("business.ledger.verify")
    return asyncio.run(_with_books(settings, verifying.verify, verifying.NOTHING_WRITTEN))


def trial_balance(settings: Any) -> dict[str, Any]:
    """Held, owed and their difference per asset."""
    return asyncio.run(_with_books(settings, _trial, {"ok": True, "seq": 0, "lines": []}))


async def _trial(evidence: Any) -> dict[str, Any]:
    rows, image = await evidence.trial_balance(), await evidence.load()
    scales = {asset.code: asset.scale for asset in image.assets}
    lines = [
        {
            "asset": row.asset,
            "held": format_units(row.held_units, scales[row.asset]),
            "owed": format_units(row.owed_units, scales[row.asset]),
            "difference": format_units(row.difference, scales[row.asset]),
        }
        for row in rows
    ]
    return {"ok": all(row.difference == 0 for row in rows), "seq": image.head.seq, "lines": lines}


def reader_url(settings: Any) -> str:
    """Where the database is, as a reader."""

    async def work(server: Any) -> str:
        return str(server.dsn(app.load("infra.postgres.model").DatabaseRole.READER))

    return asyncio.run(_with_server(settings, work))


def migrate(settings: Any) -> str:
    """The revision after bringing the schema to what this version needs, with nobody on it."""
    clock = app.load("infra.clock").SystemClock()

    async def work(server: Any) -> str:
        return str(await app.load("app.schema").bring_up_to_date(server, clock, complain))

    return asyncio.run(_with_server(settings, work))


def touch(settings: Any) -> None:
    """Open the database and leave; raises what prevents that."""

    async def nothing(_: Any) -> None:
        return None

    asyncio.run(_with_server(settings, nothing))


def run_database(settings: Any, ready: Callable[[str], None]) -> None:
    """Keep the embedded server up until SIGINT or SIGTERM."""
    asyncio.run(_run_database(settings, ready))


async def _run_database(settings: Any, ready: Callable[[str], None]) -> None:
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    server = await _open(settings)
    watching = asyncio.create_task(server.watch())
    try:
        ready(server.dsn(app.load("infra.postgres.model").DatabaseRole.READER))
        await stopping.wait()
    finally:
        watching.cancel()
        await server.stop()


def stop_database(settings: Any) -> bool:
    """Stop the embedded server if nobody uses it; whether it is down now."""
    clock = app.load("infra.clock").SystemClock()
    cluster = app.load("infra.postgres.cluster").Cluster
    return bool(asyncio.run(cluster.stop_unused(settings.home, clock)))


def run(work: Any) -> Any:
    """Run a coroutine to its end and answer what it returns."""
    return asyncio.run(work)
