"""The operator's own PostgreSQL by URL: checked before use, one clear sentence when it is unfit."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.migrations.runner import current_revision, migrate, newest_revision
from poolmaker.infra.postgres import external
from poolmaker.infra.postgres.binaries import in_wheel
from poolmaker.infra.postgres.data_directory import as_account
from poolmaker.infra.postgres.external import ExternalCluster
from poolmaker.infra.postgres.model import Account, DatabaseRole
from poolmaker.infra.postgres.opening import open_postgres
from poolmaker.infra.postgres.placement import make_private, place
from poolmaker.kernel.errors import EnvironmentProblem
from tests.support.folders import open_folder, own_placement
from tests.support.poolers import dropping_pooler

ADMINISTRATOR = "dba"
PASSWORD = "odd:p@ss\\word%25"
ENCODED = "odd%3Ap%40ss%5Cword%2525"


@dataclass(frozen=True)
class Outside:
    """A server that is not ours, on a port of loopback."""

    port: int
    process: subprocess.Popen[bytes]

    def url(self, user: str = ADMINISTRATOR, database: str = "postgres") -> str:
        return f"postgresql://{user}:{ENCODED}@127.0.0.1:{self.port}/{database}"

    async def administrator(self, database: str = "postgres") -> asyncpg.Connection:
        return await asyncpg.connect(self.url(database=database))


def _installations() -> list[Path]:
    """The wheel's own and, where the machine has one, another supported version."""
    others = sorted(Path("/usr/lib/postgresql").glob("1[5-9]/bin"))
    return [in_wheel().bin, *others[:1]]


@contextmanager
def _running(programs: Path, folder: Path, *options: str) -> Iterator[Outside]:
    placement = own_placement(folder)
    account = placement.account
    data = folder / "outside"
    make_private(data, 0o700, account)
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    _run(
        f"{programs}/initdb -D {data} -U {ADMINISTRATOR} -A scram-sha-256 --pwfile={secret}"
        " --no-sync -E UTF8 --locale=C",
        account,
    )
    command = [f"{programs}/postgres", f"-D{data}", "-h127.0.0.1", "-k", "", *options]
    outside = None
    while outside is None:
        outside = _listening(command, account)
    process = outside.process
    try:
        yield outside
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        process.wait()


def _listening(command: list[str], account: Account | None) -> Outside | None:
    """A server on a free port; None when somebody else took the port meanwhile."""
    port = _free_port()
    process = subprocess.Popen(
        [*command, f"-p{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_account(account),
    )
    while process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return Outside(port, process)
        time.sleep(0.02)
    return None


def _run(command: str, account: Account | None) -> None:
    done = subprocess.run(command.split(), capture_output=True, check=False, **as_account(account))
    assert done.returncode == 0, done.stderr.decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _opened(url: str) -> ExternalCluster:
    """Waits for a server that is just starting, as an operator would by starting again."""
    while True:
        try:
            return await ExternalCluster.open(url, SystemClock())
        except EnvironmentProblem as problem:
            if "Connect call failed" not in str(problem):
                raise


async def _refused(url: str, *needles: str) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        await _opened(url)
    sentence = str(caught.value)
    for needle in (*needles, "POOLMAKER_DATABASE_URL"):
        assert needle in sentence
    assert PASSWORD not in sentence
    assert ENCODED not in sentence
    assert "\n" not in sentence


@pytest.fixture(scope="module", params=_installations(), ids=lambda path: str(path.parent.name))
def outside(request: pytest.FixtureRequest) -> Iterator[Outside]:
    with open_folder() as folder, _running(request.param, folder) as running:
        yield running


async def test_an_administrators_url_gives_the_same_platform_as_the_embedded_server(
    outside: Outside,
) -> None:
    cluster = await _opened(outside.url())
    assert await current_revision(cluster) is None
    assert await migrate(cluster) == newest_revision()
    for role in DatabaseRole:
        dsn = cluster.dsn(role)
        assert PASSWORD not in dsn
        assert ENCODED not in dsn
        database = await Database.open(dsn)
        async with database.transaction() as connection:
            assert await connection.fetchval("SELECT current_user") == role
            assert await connection.fetchval("SHOW lock_timeout") == "10s"
            assert await connection.fetchval("SELECT 10::numeric(38,0) ^ 37") == 10**37
        await database.close()
    reader = await Database.open(cluster.dsn(DatabaseRole.READER))
    async with reader.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM infra.schema_revision")
    await reader.close()
    again = await ExternalCluster.open(outside.url(), SystemClock())
    assert await current_revision(again) == newest_revision()
    await again.stop()
    await cluster.stop()


async def test_a_login_without_rights_is_told_the_statements_for_an_administrator(
    outside: Outside,
) -> None:
    await (await _opened(outside.url())).stop()
    administrator = await outside.administrator()
    await administrator.execute(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")
    await administrator.execute("CREATE DATABASE plain")
    await _refused(outside.url("plain", "plain"), "GRANT poolmaker_owner TO plain;", "CREATE ON")
    with pytest.raises(EnvironmentProblem) as caught:
        await _opened(outside.url("plain", "plain"))
    statements = str(caught.value).split("run: ")[1]
    await administrator.execute(statements)
    await administrator.close()
    cluster = await _opened(outside.url("plain", "plain"))
    assert await migrate(cluster) == newest_revision()
    writer = await Database.open(cluster.dsn(DatabaseRole.WRITER))
    async with writer.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == DatabaseRole.WRITER
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE ledger.sample (id int)")
    await writer.close()
    await cluster.stop()


LOST = ["role", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]


@pytest.mark.parametrize("dropped", [[name] for name in LOST] + [LOST])
async def test_found_48_behind_a_pooler_that_drops_parameters_nothing_is_opened(
    outside: Outside, dropped: list[str]
) -> None:
    direct = await _opened(outside.url())
    await migrate(direct)
    async with dropping_pooler(outside.port, dropped) as port:
        url = outside.url().replace(f":{outside.port}/", f":{port}/")
        pooled = await ExternalCluster.open(url, SystemClock())
        for role in DatabaseRole:
            with pytest.raises(EnvironmentProblem, match="pooler") as caught:
                await Database.open(pooled.dsn(role))
            for name in dropped:
                assert name in str(caught.value)
        if "role" in dropped:
            with pytest.raises(EnvironmentProblem, match="role"):
                await current_revision(pooled)
        await pooled.stop()
    async with dropping_pooler(outside.port, []) as port:
        url = outside.url().replace(f":{outside.port}/", f":{port}/")
        pooled = await ExternalCluster.open(url, SystemClock())
        database = await Database.open(pooled.dsn(DatabaseRole.APP))
        await database.close()
        await pooled.stop()
    await direct.stop()


async def test_a_wrong_password_a_missing_database_and_a_missing_login_are_each_named(
    outside: Outside,
) -> None:
    await (await _opened(outside.url())).stop()
    wrong = outside.url().replace(ENCODED, "wrong")
    await _refused(wrong, "does not let the login in", "password")
    await _refused(outside.url(user="nobody_here"), "does not let the login in")
    await _refused(outside.url(database="not_there"), "not_there", "create it")


async def test_a_server_that_acknowledges_before_it_is_durable_is_refused(
    outside: Outside,
) -> None:
    await (await _opened(outside.url())).stop()
    administrator = await outside.administrator()
    await administrator.execute("CREATE DATABASE hasty")
    await administrator.execute("ALTER DATABASE hasty SET synchronous_commit = off")
    await administrator.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    await administrator.close()
    await _refused(outside.url(database="hasty"), "synchronous_commit")
    await _refused(outside.url(database="latin"), "LATIN1", "UTF8")


async def test_a_server_with_fsync_off_is_refused() -> None:
    with open_folder() as folder, _running(in_wheel().bin, folder, "-c", "fsync=off") as running:
        await _refused(running.url(), "fsync", "switch both on")


async def test_a_server_that_says_nothing_is_unreachable_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(external, "_TIMEOUT_S", 2)
    with open_folder() as folder, _running(in_wheel().bin, folder) as running:
        await (await _opened(running.url())).stop()
        os.kill(running.process.pid, signal.SIGSTOP)
        await _refused(running.url(), f"127.0.0.1:{running.port}", "start it")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{ENCODED}@127.0.0.1:1/x",
        f"postgresql://me:{ENCODED}@no-such-host.invalid/x",
        f"postgresql:///x?host=/no/such/folder&user=me&password={ENCODED}",
    ],
)
async def test_an_unreachable_database_is_named_without_its_password(url: str) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be used") as caught:
        await open_postgres(Path("/nowhere"), SystemClock(), url=url)
    assert "start it" in str(caught.value)
    assert ENCODED not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://me:{ENCODED}@host/x",
        f"me:{ENCODED}@host",
        f"postgresql://:{ENCODED}@host/x",
        f"postgresql://me:{ENCODED}@host:port/x",
        f"postgresql://me:{ENCODED}@host/x#fragment",
        "postgresql://[::1/x",
    ],
)
async def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(EnvironmentProblem, match="POOLMAKER_DATABASE_URL") as caught:
        await open_postgres(Path("/nowhere"), SystemClock(), url=url)
    assert ENCODED not in str(caught.value)


async def test_no_url_means_the_embedded_server() -> None:
    with open_folder() as folder:
        placement = place(folder / "home", service_root=folder / "service")
        if os.getuid() == 0:
            assert placement.base.is_relative_to(folder / "service")
        else:
            server = await open_postgres(folder / "home", SystemClock())
            assert str(folder) in server.dsn(DatabaseRole.APP).replace("%2F", "/")
            await server.stop()
