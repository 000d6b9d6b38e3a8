"""Fixtures for everybody; ``tests/support/__init__.py`` says what there is for databases."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from hypothesis import settings

from poolmaker.infra.database import Database
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from tests.support import clusters
from tests.support.clusters import Workshop

# Properties are judged by what holds, never by how long an example took on a busy machine.
settings.register_profile("poolmaker", deadline=None, print_blob=True)
settings.load_profile("poolmaker")

OpenDatabase = Callable[[DatabaseRole], Awaitable[Database]]


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    clusters.choose_server_folder()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        clusters.erase_server_folder()


@pytest.fixture(scope="session")
def database_workshop() -> Iterator[Workshop]:
    workshop = Workshop()
    yield workshop
    workshop.close()


@pytest.fixture(scope="session")
def cluster(database_workshop: Workshop) -> Cluster:
    """The run's PostgreSQL."""
    return database_workshop.cluster


@pytest.fixture
def migrated_dsn(database_workshop: Workshop) -> Iterator[Callable[[DatabaseRole], str]]:
    """This test's own database, migrated: where to connect as a role."""
    name = database_workshop.make_database()
    yield lambda role: database_workshop.cluster.dsn(role, name)
    database_workshop.drop_database(name)


@pytest.fixture
async def open_database(migrated_dsn: Callable[[DatabaseRole], str]) -> AsyncIterator[OpenDatabase]:
    """Opens this test's own database as any role; closed afterwards."""
    opened: list[Database] = []

    async def open_as(role: DatabaseRole) -> Database:
        database = await Database.open(migrated_dsn(role))
        opened.append(database)
        return database

    yield open_as
    for database in opened:
        await database.close()


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """This test's own database, migrated and open as the application."""
    return await open_database(DatabaseRole.APP)
