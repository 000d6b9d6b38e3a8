"""The database of a process: the server, its connections, and what lives in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from poolmaker.app.schema import bring_up_to_date
from poolmaker.business.ledger.service import LedgerWriter, open_evidence, open_store
from poolmaker.infra.connections import SharedDatabase
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.model import DatabaseRole, PostgresServer, Progress
from poolmaker.infra.postgres.opening import open_postgres
from poolmaker.infra.settings.model import Settings
from poolmaker.infra.transactions import patiently
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.money import Asset


@dataclass(frozen=True, slots=True)
class Data:
    """An open, migrated database. ``app`` is for everything but the ledger's writer."""

    server: PostgresServer
    app: Database
    writer: Database


@asynccontextmanager
async def open_server(
    settings: Settings, clock: Clock, on_progress: Progress
) -> AsyncIterator[PostgresServer]:
    """The server that the settings name, up and migrated; let go of at the end.

    Raises LeaseHeld when its schema is older and another platform works on it.
    """
    url = settings.database_url
    server = await open_postgres(
        settings.home,
        clock,
        url=url.get_secret_value() if url is not None else None,
        on_progress=on_progress,
    )
    try:
        await bring_up_to_date(server, clock, on_progress)
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def open_data(settings: Settings, clock: Clock, on_progress: Progress) -> AsyncIterator[Data]:
    """The server with its connections; closed at the end."""
    async with open_server(settings, clock, on_progress) as server:
        app = await SharedDatabase.open_shared(server.dsn(DatabaseRole.APP))
        try:
            writer = await Database.open(server.dsn(DatabaseRole.WRITER), min_size=1, max_size=4)
            try:
                yield Data(server, app, writer)
            finally:
                await writer.close()
        finally:
            await app.close()


async def open_writer(data: Data, settings: Settings, clock: Clock, holder: str) -> LedgerWriter:
    """The ledger's writer, started: verified, leased, loaded, every configured asset registered.

    Raises EnvironmentProblem where the ledger knows one with other decimals.
    """
    known = await patiently(open_store(data.app, clock).assets, clock)
    _require_scales(settings, {asset.code: asset.scale for asset in known})
    writer = LedgerWriter(open_store(data.writer, clock), clock, holder)
    await patiently(lambda: writer.start(open_evidence(data.app)), clock)
    for asset in settings.assets:
        registered = Asset(asset.code, asset.scale)
        await patiently(lambda registered=registered: writer.register_asset(registered), clock)  # type: ignore[misc]
    return writer


def _require_scales(settings: Settings, known: Mapping[str, int]) -> None:
    """What the ledger has counted in an asset's decimals stays so for ever.

    A venue may name an asset first, in a fee: the ledger then knows it as that venue counts it.
    """
    differ = [one for one in settings.assets if known.get(one.code, one.scale) != one.scale]
    if differ:
        held = ", ".join(f"{one.code} with {known[one.code]} decimals" for one in differ)
        wanted = ", ".join(f"scale = {known[one.code]} for {one.code}" for one in differ)
        raise EnvironmentProblem(
            f"The ledger knows {held}, for ever, but [[assets]] says otherwise; set {wanted}, or "
            "give an asset that needs other decimals, as the coin of a chain does, another code."
        )
