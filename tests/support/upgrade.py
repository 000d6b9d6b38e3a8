"""Databases that the platform of commit 3cbbc0b wrote, and the world outside as it was then.

``tests/vectors/upgrade_3cbbc0b/make.py.txt`` is the program that made them there.
"""

from __future__ import annotations

import io
import json
import lzma
from collections import deque
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from poolmaker.business.treasury.model import SendRequest, TransferRequest
from poolmaker.infra.postgres.dsn import connect_arguments
from tests.support.business import PRICE
from tests.support.rewards import RewardWorld

VECTORS = Path(__file__).parent.parent / "vectors" / "upgrade_3cbbc0b"
REVISION = "0014"


@cache
def read(name: str) -> Any:
    """The content of a file of vectors."""
    with lzma.open(VECTORS / f"{name}.json.xz", "rt") as file:
        return json.load(file)


def snapshots() -> dict[str, dict[str, Any]]:
    """By ``<kind of saga>:<state>``, the moment when a saga was first about to leave that state."""
    return {one["name"]: one for one in read("sagas")["snapshots"]}


async def load(admin_dsn: str, database: Mapping[str, Any]) -> None:
    """Fill a database of revision ``REVISION`` with what was dumped, as it was."""
    connection = await asyncpg.connect(**connect_arguments(admin_dsn))
    try:
        async with connection.transaction():
            # Triggers judge what is written anew; these rows were judged when they were written.
            triggers = await connection.fetch(_TRIGGERS)
            for table in sorted({row["relation"] for row in triggers}):
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            await _fill(connection, database)
            for row in triggers:
                await connection.execute(
                    f"ALTER TABLE {row['relation']} ENABLE {_MODES[row['mode']]} "
                    f"TRIGGER {row['name']}"
                )
    finally:
        await connection.close()


_TRIGGERS = """
    SELECT tgrelid::regclass::text AS relation, quote_ident(tgname) AS name, tgenabled AS mode
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
"""
_MODES = {b"O": "", b"A": "ALWAYS", b"R": "REPLICA"}


async def _fill(connection: asyncpg.Connection, database: Mapping[str, Any]) -> None:
    tables = {
        name: table
        for name, table in database["tables"].items()
        if not name.endswith(".schema_revision")
    }
    await connection.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
    for name, table in tables.items():
        schema, _, relation = name.partition(".")
        await connection.copy_to_table(
            relation,
            schema_name=schema,
            columns=table["columns"],
            source=io.BytesIO(table["rows"].encode()),
        )
    for name, value in database["sequences"].items():
        await connection.execute("SELECT setval($1::text::regclass, $2)", name, value)


def restore_outside(world: RewardWorld, outside: Mapping[str, Any]) -> None:
    """What the provider, the venue and the engine knew; from now on all of them are well."""
    provider, engine = world.provider, world.engine
    provider.requests = msgspec.convert(outside["requests"], list[SendRequest])
    provider.taken = msgspec.convert(outside["taken"], dict[str, list[SendRequest]])
    provider.looked, provider.failed = dict(outside["looked"]), set(outside["failed"])
    provider.refused = set(outside["refused"])
    provider.moods = {name: deque() for name in outside["moods"]}
    world.relays = outside["relays"]
    engine.facts_seq, engine.trades = outside["facts_seq"], outside["trades"]
    engine.pools, engine.price = set(outside["pools"]), PRICE
    book = outside["transfer_book"]
    world.transfer_book.wishes = msgspec.convert(book["wishes"], dict[str, TransferRequest])
    world.transfer_book.refused = set(book["refused"])
    world.payouts.requested = {
        key: (user, asset, units) for key, (user, asset, units) in outside["payouts"].items()
    }
