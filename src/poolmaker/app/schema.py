"""The schema of a database: brought up to date by whoever starts, while nobody works on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from poolmaker.business.ledger.service import open_store
from poolmaker.infra.database import Database
from poolmaker.infra.holder import described
from poolmaker.infra.leases import LeaseEvidence, LeaseHeld, LeaseWatch, PgLeases
from poolmaker.infra.migrations.runner import (
    current_revision,
    migrate,
    newest_revision,
    refuse_newer,
)
from poolmaker.infra.postgres.model import DatabaseRole, PostgresServer
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem

PLATFORM_LEASE: Final = "platform"
LEASE_US: Final = 6 * SECOND_US
"""As long as the longest lease of any version: what is not renewed for so long has lapsed."""
_LOOK_US: Final = SECOND_US // 4


class _Held(NamedTuple):
    """A lease of one who works on the database, or did."""

    holder: str
    epoch: int
    until_us: int


async def bring_up_to_date(
    server: PostgresServer,
    clock: Clock,
    say: Callable[[str], None],
    *,
    database: str | None = None,
    lease_us: int = LEASE_US,
) -> str:
    """The revision after bringing the schema to what this poolmaker needs.

    What is up to date already is left alone. A schema is never changed under a platform that works
    on it: LeaseHeld names it as soon as its lease is seen to be renewed; ``say`` hears whom this
    waits for meanwhile. Raises EnvironmentProblem for a database of a newer poolmaker.
    """
    revision = await current_revision(server, database)
    refuse_newer(revision)
    if revision == newest_revision():
        return revision
    if revision is not None:
        await _wait_until_nobody_works(server, clock, say, database, lease_us)
    return await migrate(server, database)


async def has_schema(server: PostgresServer, database: str | None = None) -> bool:
    """Whether the database has the schema of this poolmaker; False where it has none at all.

    For those who only read: raises EnvironmentProblem for an older or a newer schema, and changes
    nothing.
    """
    revision = await current_revision(server, database)
    refuse_newer(revision)
    if revision is not None and revision != newest_revision():
        raise EnvironmentProblem(
            f"The database is at revision {revision} and this poolmaker reads {newest_revision()}; "
            "bring it up to date with poolmaker up or poolmaker db migrate, or read it with the "
            "poolmaker that wrote it."
        )
    return revision is not None


async def _wait_until_nobody_works(
    server: PostgresServer,
    clock: Clock,
    say: Callable[[str], None],
    database: str | None,
    lease_us: int,
) -> None:
    """Return once every lease was given back or has lapsed."""
    watches: dict[str, LeaseWatch] = {}
    waits_for = ""
    app = await Database.open(server.dsn(DatabaseRole.APP, database), max_size=1)
    writer = await Database.open(server.dsn(DatabaseRole.WRITER, database), max_size=1)
    try:
        while True:
            holder = ""
            for name, held in (await _leases(app, writer, clock)).items():
                watch = watches.setdefault(name, LeaseWatch(clock, lease_us))
                standing = watch.look(*held)
                if standing is LeaseEvidence.RENEWED:
                    raise LeaseHeld(_busy(held.holder))
                holder = held.holder if standing is LeaseEvidence.UNCERTAIN else holder
            if not holder:
                return
            if holder != waits_for:
                waits_for = holder
                say(f"the schema is older; waits to see whether {described(holder)} still runs")
            await clock.sleep_us(min(_LOOK_US, lease_us // 3))
    finally:
        await writer.close()
        await app.close()


async def _leases(app: Database, writer: Database, clock: Clock) -> dict[str, _Held]:
    """The leases that are held, run out or not: the platform's, and the ledger's writer's."""
    found: dict[str, _Held] = {}
    async with app.begin("schema.platform_lease") as tx:
        platform = await PgLeases().find(tx, PLATFORM_LEASE)
    if platform is not None:
        found["platform"] = _Held(platform.holder, platform.epoch, platform.until_us)
    ledger = await open_store(writer, clock).lease()
    if ledger is not None:
        found["ledger"] = _Held(ledger.holder, ledger.epoch, ledger.until_us)
    return {name: held for name, held in found.items() if held.until_us}


def _busy(holder: str) -> str:
    return (
        f"{described(holder)} works on this database, whose schema is older than this poolmaker "
        f"needs ({newest_revision()}); stop it first, or give this one another home with "
        "POOLMAKER_HOME. Nothing was changed."
    )
