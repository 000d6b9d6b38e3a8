"""The database as stores use it: exact numbers, units of work, roles, notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import asyncpg
import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import (
    CommitUnknown,
    Connection,
    Database,
    DatabaseFull,
    DatabaseGone,
    DatabaseUnavailable,
    connection_of,
)
from poolmaker.infra.migrations.runner import (
    current_revision,
    migrate,
    newest_revision,
    refuse_newer,
    revision_at,
)
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.errors import (
    EnvironmentProblem,
    OutcomeUnknown,
    PreconditionError,
    Unavailable,
)

LARGEST = 10**38 - 1


async def _make_table(migrated_dsn: Callable[[DatabaseRole], str]) -> None:
    owner = await asyncpg.connect(migrated_dsn(DatabaseRole.OWNER))
    await owner.execute("CREATE TABLE views.sample (id int PRIMARY KEY, units numeric(38,0))")
    await owner.close()


async def _end_session(cluster: Cluster, connection: Connection) -> None:
    pid = await connection.fetchval("SELECT pg_backend_pid()")
    admin = await asyncpg.connect(cluster.admin_dsn())
    await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    await admin.close()


@pytest.mark.parametrize("units", [0, 1, -1, 10**27 + 1, 10**28 + 1, LARGEST, -LARGEST])
async def test_a_numeric_keeps_every_digit_beyond_the_28_of_a_decimal_context(
    database: Database, units: int
) -> None:
    async with database.acquire() as connection:
        answer = await connection.fetchval("SELECT $1::numeric(38,0)", units)
        array = await connection.fetchval("SELECT $1::numeric(38,0)[]", [units, units])
    assert type(answer) is int
    assert answer == units
    assert array == [units, units]


async def test_a_sum_of_units_is_an_exact_int(database: Database) -> None:
    async with database.acquire() as connection:
        query = "SELECT sum(x) FROM unnest($1::numeric[]) AS x"
        assert await connection.fetchval(query, [LARGEST, LARGEST]) == 2 * LARGEST


async def test_a_numeric_with_a_fraction_is_an_exact_decimal(database: Database) -> None:
    value = Decimal("12345678901234567890.123456789012345678")
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT $1::numeric", value) == value
        assert await connection.fetchval("SELECT $1::numeric", Decimal("1E+30")) == 10**30


@pytest.mark.parametrize("value", [1.5, True, Decimal("NaN"), Decimal("Infinity"), "1"])
async def test_what_is_not_an_exact_number_is_never_sent_as_numeric(
    database: Database, value: object
) -> None:
    async with database.acquire() as connection:
        with pytest.raises((PreconditionError, asyncpg.DataError)):
            await connection.fetchval("SELECT $1::numeric", value)
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_unit_of_work_commits_at_its_end_and_rolls_back_when_it_raises(
    database: Database, migrated_dsn: Callable[[DatabaseRole], str]
) -> None:
    await _make_table(migrated_dsn)
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO views.sample VALUES (1, 1)")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO views.sample VALUES (2, 2)")
            raise ZeroDivisionError
    async with database.acquire() as connection:
        assert [row["id"] for row in await connection.fetch("SELECT id FROM views.sample")] == [1]


async def test_a_unit_of_work_is_read_committed_whatever_the_server_prefers(
    database: Database,
) -> None:
    async with database.begin("look at the isolation") as tx:
        level = await connection_of(tx).fetchval("SHOW transaction_isolation")
    assert level == "read committed"


def test_another_stores_transaction_is_refused() -> None:
    with pytest.raises(PreconditionError):
        connection_of(Tx())


async def test_the_servers_refusal_passes_unchanged_and_writes_nothing(
    database: Database, migrated_dsn: Callable[[DatabaseRole], str]
) -> None:
    await _make_table(migrated_dsn)
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO views.sample VALUES (1, 1)")
            await connection.execute("INSERT INTO views.sample VALUES (1, 1)")
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM views.sample") == 0


async def test_a_connection_lost_before_the_commit_means_that_nothing_was_written(
    cluster: Cluster, database: Database, migrated_dsn: Callable[[DatabaseRole], str]
) -> None:
    await _make_table(migrated_dsn)
    with pytest.raises(DatabaseUnavailable) as caught:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO views.sample VALUES (1, 1)")
            await _end_session(cluster, connection)
            await connection.execute("INSERT INTO views.sample VALUES (2, 2)")
    assert isinstance(caught.value, Unavailable)
    assert not isinstance(caught.value, OutcomeUnknown)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM views.sample") == 0


async def test_a_connection_lost_at_the_commit_leaves_the_outcome_unknown(
    cluster: Cluster, database: Database
) -> None:
    with pytest.raises(CommitUnknown) as caught:
        async with database.transaction() as connection:
            await _end_session(cluster, connection)
    assert isinstance(caught.value, OutcomeUnknown)
    assert isinstance(caught.value, DatabaseGone)
    assert not isinstance(caught.value, Unavailable)


async def test_a_statement_that_commits_by_itself_and_is_lost_leaves_the_outcome_unknown(
    cluster: Cluster, database: Database
) -> None:
    with pytest.raises(CommitUnknown):
        async with database.acquire() as connection:
            await _end_session(cluster, connection)
            await connection.execute("SELECT 1")


async def test_a_deadlock_is_unavailable_for_one_and_nothing_for_the_other(
    database: Database,
) -> None:
    """Two units that lock in opposite order: the server ends one, which wrote nothing."""
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> bool:
        try:
            async with database.transaction() as connection:
                await connection.execute("SELECT pg_advisory_xact_lock($1)", first)
                await both_hold_one.wait()
                await connection.execute("SELECT pg_advisory_xact_lock($1)", second)
        except DatabaseUnavailable:
            return False
        return True

    assert sorted(await asyncio.gather(lock(1, 2), lock(2, 1))) == [False, True]
    assert await lock_alone(database)


async def lock_alone(database: Database) -> bool:
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        return bool(await connection.fetchval("SELECT true"))


async def test_after_a_loss_the_pool_serves_again(cluster: Cluster, database: Database) -> None:
    for _ in range(3):
        with pytest.raises(DatabaseGone):
            async with database.acquire() as connection:
                await _end_session(cluster, connection)
                await connection.execute("SELECT 1")
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_statement_that_the_server_cut_off_for_time_is_its_refusal_not_a_loss(
    database: Database,
) -> None:
    async with database.acquire() as connection:
        await connection.execute("SET statement_timeout = 20")
        with pytest.raises(asyncpg.QueryCanceledError):
            await connection.execute("SELECT pg_sleep(10)")
        assert await connection.fetchval("SELECT 1") == 1


async def test_the_server_limits_statements_locks_and_idle_transactions(
    database: Database,
) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    async with database.acquire() as connection:
        limits = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]
    assert limits == ["1min", "10s", "1min"]


async def test_an_idle_transaction_that_the_server_ended_is_gone(database: Database) -> None:
    with pytest.raises(DatabaseGone):
        async with database.transaction() as connection:
            await connection.execute("SET idle_in_transaction_session_timeout = 50")
            await asyncio.sleep(0.5)
            await connection.execute("SELECT 1")


async def test_an_unreachable_server_is_unavailable(cluster: Cluster) -> None:
    dsn = cluster.dsn(DatabaseRole.APP).replace("port=5432", "port=5433")
    with pytest.raises(DatabaseUnavailable):
        await Database.open(dsn)


async def test_a_listener_hears_notifications_and_looks_for_itself_after_each_connect(
    cluster: Cluster, database: Database
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await database.listen("sample", heard.put_nowait, SystemClock())
    try:
        assert await heard.get() == ""
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_notify('sample', 'one')")
            assert await heard.get() == "one"
            listening = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            )
        admin = await asyncpg.connect(cluster.admin_dsn())
        await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", listening)
        await admin.close()
        assert await heard.get() == ""
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_notify('sample', 'two')")
        assert await heard.get() == "two"
    finally:
        await listener.close()


async def test_a_migrated_database_is_at_the_newest_revision_and_migrating_again_changes_nothing(
    migrated_dsn: Callable[[DatabaseRole], str], cluster: Cluster
) -> None:
    dsn = migrated_dsn(DatabaseRole.OWNER)
    assert await revision_at(dsn) == newest_revision()
    name = dsn.split("@/")[1].split("?")[0]
    assert await migrate(cluster, name) == newest_revision()
    assert await current_revision(cluster, name) == newest_revision()


async def test_two_starters_migrate_the_same_empty_database_once(cluster: Cluster) -> None:
    admin = await asyncpg.connect(cluster.admin_dsn())
    await admin.execute(f"CREATE DATABASE two_starters OWNER {DatabaseRole.OWNER}")
    try:
        assert await current_revision(cluster, "two_starters") is None
        both = await asyncio.gather(
            migrate(cluster, "two_starters"), migrate(cluster, "two_starters")
        )
        assert list(both) == [newest_revision()] * 2
    finally:
        await admin.execute("DROP DATABASE two_starters WITH (FORCE)")
        await admin.close()


async def test_a_database_of_a_newer_poolmaker_is_refused_with_one_sentence(
    migrated_dsn: Callable[[DatabaseRole], str], cluster: Cluster
) -> None:
    owner = await asyncpg.connect(migrated_dsn(DatabaseRole.OWNER))
    await owner.execute("UPDATE infra.schema_revision SET version_num = '9999'")
    await owner.close()
    name = migrated_dsn(DatabaseRole.OWNER).split("@/")[1].split("?")[0]
    with pytest.raises(EnvironmentProblem, match="revision 9999"):
        await migrate(cluster, name)
    refuse_newer(None)


async def test_a_revision_that_fails_leaves_nothing_of_any_revision(cluster: Cluster) -> None:
    admin = await asyncpg.connect(cluster.admin_dsn())
    await admin.execute(f"CREATE DATABASE in_the_way OWNER {DatabaseRole.OWNER}")
    owner = await asyncpg.connect(cluster.dsn(DatabaseRole.OWNER, "in_the_way"))
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1"
    try:
        await owner.execute("CREATE SCHEMA views")
        before = await owner.fetch(schemas)
        with pytest.raises(EnvironmentProblem, match=r"views.*nothing was changed"):
            await migrate(cluster, "in_the_way")
        assert await owner.fetch(schemas) == before
        assert await current_revision(cluster, "in_the_way") is None
    finally:
        await owner.close()
        await admin.execute("DROP DATABASE in_the_way WITH (FORCE)")
        await admin.close()


@pytest.mark.parametrize("role", [DatabaseRole.WRITER, DatabaseRole.APP, DatabaseRole.READER])
@pytest.mark.parametrize("room", ["infra", "bus", "market", "business", "views", "ledger"])
async def test_each_role_may_do_by_default_what_its_sentence_says(
    migrated_dsn: Callable[[DatabaseRole], str], role: DatabaseRole, room: str
) -> None:
    owner = await asyncpg.connect(migrated_dsn(DatabaseRole.OWNER))
    await owner.execute(f"CREATE TABLE {room}.sample (id int)")
    await owner.execute(f"CREATE FUNCTION {room}.nothing() RETURNS int RETURN 1")
    connection = await asyncpg.connect(migrated_dsn(role))
    assert await connection.fetch(f"SELECT FROM {room}.sample") == []
    writes = role is DatabaseRole.APP and room != "ledger"
    calls = writes or (role is DatabaseRole.WRITER and room == "ledger")
    for allowed, statement in (
        (writes, f"INSERT INTO {room}.sample VALUES (1)"),
        (writes, f"UPDATE {room}.sample SET id = 2"),
        (writes, f"DELETE FROM {room}.sample"),
        (False, f"TRUNCATE {room}.sample"),
        (False, f"DROP TABLE {room}.sample"),
        (False, f"CREATE TABLE {room}.another (id int)"),
        (calls, f"SELECT {room}.nothing()"),
    ):
        if allowed:
            await connection.execute(statement)
        else:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    await owner.close()
    await connection.close()


_REFUSING = """
DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device'
USING ERRCODE = '{code}'; END $$
"""


@pytest.mark.parametrize(
    ("code", "kind"),
    [("53100", DatabaseFull), ("53200", DatabaseUnavailable), ("53300", DatabaseUnavailable)],
)
async def test_found_57_a_server_without_room_is_away_and_nothing_was_written(
    database: Database,
    migrated_dsn: Callable[[DatabaseRole], str],
    code: str,
    kind: type[DatabaseUnavailable],
) -> None:
    """Infra invariant 8."""
    await _make_table(migrated_dsn)
    refusing = _REFUSING.format(code=code)
    with pytest.raises(kind, match="nothing was written"):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO views.sample VALUES (1, 1)")
            await connection.execute(refusing)
    with pytest.raises(kind, match="nothing was written"):
        async with database.acquire() as connection:
            await connection.execute(refusing)
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM views.sample") == 0


async def test_a_look_is_one_statement_that_reads_and_opens_no_transaction(
    database: Database,
) -> None:
    """What needs two statements of one moment, or writes, cannot be done in a look."""
    async with database.look("one") as tx:
        assert await connection_of(tx).fetchval("SELECT 1") == 1
        assert not connection_of(tx).is_in_transaction()
        with pytest.raises(PreconditionError, match="one statement"):
            await connection_of(tx).fetchrow("SELECT 2")
    async with database.look("writes") as tx:
        with pytest.raises(PreconditionError, match="reads"):
            await connection_of(tx).execute("DELETE FROM infra.lease")
        with pytest.raises(PreconditionError, match="reads"):
            await connection_of(tx).executemany("DELETE FROM infra.lease WHERE name = $1", [("a",)])
        (row,) = await connection_of(tx).fetch("SELECT 3")
        assert row[0] == 3
    async with database.begin("many") as tx:
        assert await connection_of(tx).fetchval("SELECT 1") == 1
        assert await connection_of(tx).fetchval("SELECT 2") == 2
