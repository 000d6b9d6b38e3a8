"""One PostgreSQL for a whole run, and a fresh migrated database for each test in it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.migrations.runner import migrate
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.postgres.placement import Placement
from tests.support.folders import (
    MEMORY,
    abandon_what_killed_runs_left,
    is_alive,
    own_placement,
    roomy_parent,
)

T = TypeVar("T")

# Where the run's server lies; the controller decides, its workers inherit the variable.
SERVER_FOLDER_VARIABLE = "POOLMAKER_TEST_SERVER"

_PREFIX = f"poolmaker-tests-{os.getuid()}-"
_TEMPLATE = "poolmaker_template"
_SETTINGS = {
    "synchronous_commit": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
}


class Workshop:
    """Makes and drops databases from a thread of its own, so that any kind of test may ask."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._folder = Path(os.environ[SERVER_FOLDER_VARIABLE])
        self._made = 0
        placement = _run_placement(self._folder)
        start = Cluster.start(
            placement.home, SystemClock(), placement=placement, settings=_SETTINGS
        )
        self.cluster: Cluster = self._do(start)
        self._admin = self._do(asyncpg.connect(**connect_arguments(self.cluster.admin_dsn())))
        with _only_one(self._folder / "template.lock"):
            self._do(self._make_template())

    def make_database(self) -> str:
        """The name of a new migrated database."""
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        self._do(self._copy_template(name))
        return name

    def make_old_database(self, revision: str) -> str:
        """The name of a new database whose schema is at ``revision``."""
        template = f"{_TEMPLATE}_{revision}"
        with _only_one(self._folder / "template.lock"):
            self._do(self._make_template(template, revision))
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        self._do(self._copy_template(name, template))
        return name

    def migrate(self, name: str) -> None:
        """Bring a database to the newest revision."""
        self._do(migrate(self.cluster, name))

    def drop_database(self, name: str) -> None:
        """Remove it, whoever is still connected."""
        self._do(self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)"))

    def close(self) -> None:
        """Leave the server; the last to leave stops it."""
        self._do(self._admin.close())
        self._do(self.cluster.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _make_template(self, template: str = _TEMPLATE, revision: str = "head") -> None:
        known = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
        if await self._admin.fetchval(known, template):
            return
        half = f"{template}_half"
        await self._admin.execute(f"CREATE DATABASE {half} OWNER {DatabaseRole.OWNER}")
        await migrate(self.cluster, half, revision)
        await self._admin.execute(f"ALTER DATABASE {half} RENAME TO {template}")

    async def _copy_template(self, name: str, template: str = _TEMPLATE) -> None:
        # In memory copying files is quickest; on a disk its checkpoints are slower than the log.
        strategy = "file_copy" if self._folder.is_relative_to(MEMORY) else "wal_log"
        await self._admin.execute(
            f"CREATE DATABASE {name} TEMPLATE {template} OWNER {DatabaseRole.OWNER} "
            f"STRATEGY {strategy}"
        )

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def choose_server_folder() -> None:
    """The controller of a run decides once where its server lies; nothing is made yet."""
    if SERVER_FOLDER_VARIABLE not in os.environ:
        _erase_what_killed_runs_left()
        abandon_what_killed_runs_left()
        os.environ[SERVER_FOLDER_VARIABLE] = str(roomy_parent() / f"{_PREFIX}{os.getpid()}")


def erase_server_folder() -> None:
    """The controller removes the run's server at its end."""
    name = os.environ.pop(SERVER_FOLDER_VARIABLE, None)
    if name is not None and Path(name).exists():
        _erase(Path(name))


def _run_placement(folder: Path) -> Placement:
    folder.mkdir(mode=0o711, exist_ok=True)
    (folder / "service").mkdir(mode=0o755, exist_ok=True)
    return own_placement(folder)


def _erase_what_killed_runs_left() -> None:
    for parent in (MEMORY, Path("/tmp")):
        for folder in parent.glob(f"{_PREFIX}*"):
            if not is_alive(int(folder.name.removeprefix(_PREFIX))):
                _erase(folder)


def _erase(folder: Path) -> None:
    placement = own_placement(folder)
    asyncio.run(Cluster.erase(placement.home, SystemClock(), placement=placement))
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
