"""Hostile SQL against the ledger's tables: the database refuses, whoever asks.

Ledger 2.5-1, 2.5-2 and 2.5-3: append-only, double entry and one transaction for everything are
kept by the server, not by habit. Ledger invariants 1, 2, 4, 5 and 6.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from tests.support.ledger import BOB, deposit, lock, pooled_page, usdt
from tests.support.ledgers import OpenDatabase, running_ledger

Dsn = Callable[[DatabaseRole], str]

APPEND_ONLY = ("asset", "account", "tx", "entry", "idem", "conflict", "incident")
TABLES = (*APPEND_ONLY, "head", "balance", "state", "command")

FORGERIES = {
    "change an entry": "UPDATE ledger.entry SET units = units * 2",
    "change nothing of an entry": "UPDATE ledger.entry SET units = units WHERE false",
    "change a body": "UPDATE ledger.tx SET body = 'x', body_hash = sha256('x')",
    "free a key": "DELETE FROM ledger.idem WHERE key = 'd1'",
    "answer a key otherwise": "UPDATE ledger.idem SET reject = 'insufficient', seq = NULL",
    "change a balance": "UPDATE ledger.balance SET raw = raw - 5",
    "a balance below zero": (
        "UPDATE ledger.balance SET raw = 5 WHERE NOT may_go_below AND NOT is_held"
    ),
    "let a user go below zero": "UPDATE ledger.balance SET may_go_below = true",
    "a balance from nothing": (
        "INSERT INTO ledger.balance SELECT ledger_id, account_id + 1000, 5, 1, true, true"
        " FROM ledger.balance LIMIT 1"
    ),
    "an unbalanced entry": (
        "INSERT INTO ledger.entry"
        " SELECT ledger_id, seq, 99, account_id, asset_id, 5, 5 FROM ledger.entry LIMIT 1"
    ),
    "balanced entries in an old transaction": (
        "INSERT INTO ledger.entry"
        " SELECT ledger_id, seq, line + 90, account_id, asset_id, units, 5"
        " FROM ledger.entry WHERE seq = 1"
    ),
    "a forged sequence": (
        "INSERT INTO ledger.tx SELECT ledger_id, 999, 'forged', kind, epoch, at_us, body,"
        " body_hash, chain_hash FROM ledger.tx LIMIT 1"
    ),
    "the next sequence": (
        "INSERT INTO ledger.tx SELECT ledger_id, seq + 1, 'forged', kind, epoch, at_us + 1, body,"
        " body_hash, chain_hash FROM ledger.tx ORDER BY seq DESC LIMIT 1"
    ),
    "an entry beyond the head": (
        "INSERT INTO ledger.entry SELECT ledger_id, 999, line, account_id, asset_id, units,"
        " balance_after FROM ledger.entry WHERE seq = 1"
    ),
    "move the head on": "UPDATE ledger.head SET prev_seq = last_seq, last_seq = last_seq + 1",
    "move the head back": "UPDATE ledger.head SET last_seq = 0, prev_seq = 0",
    "another head hash": "UPDATE ledger.head SET last_hash = sha256('x')",
    "an older epoch": "UPDATE ledger.head SET epoch = epoch - 1",
    "rewrite a pool": "UPDATE ledger.state SET body = '{}'",
    "invent a pool": "INSERT INTO ledger.state VALUES ('main', 'pool', 'p9', '{}')",
    "answer a command": "UPDATE ledger.command SET seq = 1",
    "hide an incident": "DELETE FROM ledger.incident",
    "another scale": "UPDATE ledger.asset SET scale = 2",
}
REMOVALS = {
    f"{word.lower()} {table}": f"{word} ledger.{table}"
    for table in TABLES
    for word in ("DELETE FROM", "TRUNCATE")
}
CASCADES = {f"truncate {table} and all": f"TRUNCATE ledger.{table} CASCADE" for table in TABLES}
HOSTILE = FORGERIES | REMOVALS | CASCADES

# What the database says: no right, append-only, a check, or one of the ledger's own words.
REFUSED_AS = {"42501", "23001", "23514", "23505", "LE003", "LE004", "LE006", "0A000"}


@pytest.fixture
async def written(open_database: OpenDatabase) -> AsyncIterator[None]:
    """A ledger with some transactions, a refusal, a conflict, a pool and a command row."""
    async with running_ledger(open_database) as running:
        page = pooled_page()
        for command in (
            deposit("d1", usdt(100)),
            deposit("d1", usdt(101)),
            lock("l1", usdt(60)),
            lock("l2", usdt(60)),
            deposit("d2", usdt(5), user=BOB),
        ):
            await running.ledger.submit(command)
        assert page.balanced()
        async with running.app.begin("ask") as tx:
            await running.ledger.ask(tx, lock("l3", usdt(1)))
        await running.answered("l3")
        yield
        report = await running.verify()
    assert report.problems == ()


async def _said(connection: Any, statement: str) -> str:
    """The code of the refusal, or that there was none."""
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        return error.sqlstate or str(error)
    return "done"


async def _state(dsn: str) -> list[object]:
    connection = await asyncpg.connect(dsn)
    try:
        return [
            await connection.fetchval(
                "SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')"
                f" FROM ledger.{table} t"
            )
            for table in ("tx", "entry", "idem", "balance", "account", "asset", "state")
        ]
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "role", [DatabaseRole.WRITER, DatabaseRole.APP, DatabaseRole.OWNER, DatabaseRole.READER]
)
async def test_every_hostile_statement_is_refused(
    role: DatabaseRole, written: None, migrated_dsn: Dsn
) -> None:
    before = await _state(migrated_dsn(DatabaseRole.READER))
    connection = await asyncpg.connect(migrated_dsn(role))
    said = {}
    for name, statement in HOSTILE.items():
        said[name] = await _said(connection, statement)
    await connection.close()
    wanted = REFUSED_AS if role is DatabaseRole.OWNER else {"42501"}
    assert {name: code for name, code in said.items() if code not in wanted} == {}
    assert await _state(migrated_dsn(DatabaseRole.READER)) == before


async def test_no_session_setting_turns_the_triggers_off(
    written: None, migrated_dsn: Dsn, cluster: Cluster
) -> None:
    """Even a superuser who replays as a replica meets them."""
    database = migrated_dsn(DatabaseRole.READER).rpartition("/")[2].partition("?")[0]
    connection = await asyncpg.connect(cluster.admin_dsn(database))
    await connection.execute("SET session_replication_role = replica")
    for name, statement in FORGERIES.items():
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)
            pytest.fail(name)
    await connection.close()


@pytest.mark.parametrize("role", [DatabaseRole.APP, DatabaseRole.READER])
async def test_only_the_writer_may_propose(
    role: DatabaseRole, written: None, migrated_dsn: Dsn
) -> None:
    connection = await asyncpg.connect(migrated_dsn(role))
    calls = [
        "SELECT ledger.take_lease('main', 'me', 0, 0, 0)",
        "SELECT ledger.take_lease('main', 'me', 0)",
        "SELECT ledger.prolong_lease('main', 1, 0)",
        "SELECT ledger.register_asset('main', 'X', 1)",
        "SELECT ledger.open_incidents('main', '{}', '{}', '{}', '')",
    ]
    if role is DatabaseRole.READER:
        calls.append("SELECT ledger.ask('main', 'k', 'x')")
    for call in calls:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(call)
    await connection.close()


async def test_nobody_shadows_what_the_functions_call(written: None, migrated_dsn: Dsn) -> None:
    """SECURITY DEFINER with a fixed search path: a table of the same name elsewhere is not seen."""
    connection = await asyncpg.connect(migrated_dsn(DatabaseRole.APP))
    await connection.execute("SET search_path = pg_temp, public")
    await connection.execute("CREATE TEMP TABLE command (x int)")
    await connection.execute("SELECT ledger.ask('main', 'shadow', $1)", b"{}")
    found = await connection.fetchval("SELECT count(*) FROM ledger.command WHERE key = 'shadow'")
    await connection.close()
    assert found == 1


async def test_every_trigger_is_always_on_and_every_function_has_a_fixed_path(
    migrated_dsn: Dsn,
) -> None:
    connection = await asyncpg.connect(migrated_dsn(DatabaseRole.READER))
    lax = await connection.fetch(
        "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE c.relnamespace IN ('ledger'::regnamespace, 'bus'::regnamespace)"
        " AND NOT t.tgisinternal AND t.tgenabled <> 'A'"
    )
    open_paths = await connection.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace IN"
        " ('ledger'::regnamespace, 'bus'::regnamespace)"
        " AND NOT coalesce(array_to_string(proconfig, ','), '')"
        " LIKE '%search_path=pg_catalog, pg_temp%'"
    )
    public = await connection.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace"
        " AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) a WHERE a.grantee = 0))"
    )
    await connection.close()
    assert [dict(row) for row in lax] == []
    assert [row["proname"] for row in open_paths] == []
    assert [row["proname"] for row in public] == []
