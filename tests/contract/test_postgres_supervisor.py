"""Our own server: who gets in, what it refuses, and what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from unittest.mock import patch

import asyncpg
import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres import binaries, data_directory, passwords
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.data_directory import as_account
from poolmaker.infra.postgres.doctor import examine
from poolmaker.infra.postgres.dsn import connect_arguments
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.model import ADMIN, DatabaseRole
from poolmaker.infra.postgres.opening import open_postgres
from poolmaker.infra.postgres.placement import SOCKET_PATH_BYTES_MAX, Placement, make_private, place
from poolmaker.infra.postgres.process import fixed_settings
from poolmaker.infra.postgres.processes import listener_of
from poolmaker.kernel.errors import EnvironmentProblem
from tests.support.folders import open_folder, own_placement
from tests.support.servers import IDENTITIES, Scenario, postmaster, run_scenario, start

Snapshot = dict[str, tuple[int, int, int, int]]


def _snapshot(folder: Path) -> Snapshot:
    """Mode, owner, size and time of everything in ``folder``."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        is_ = path.lstat()
        found[str(path)] = (is_.st_mode, is_.st_uid, is_.st_size, is_.st_mtime_ns)
    return found


async def _refused(folder: Path, *needles: str) -> None:
    """The start is refused with one sentence that names each needle."""
    with pytest.raises(EnvironmentProblem) as caught:
        await start(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    for needle in needles:
        assert needle in sentence


async def _made(folder: Path) -> Placement:
    """The files of a database that was made and stopped."""
    cluster = await start(folder)
    await cluster.stop()
    return cluster.placement


async def a_stranger_on_the_socket(folder: Path) -> None:
    """Trap: everybody who reached the socket was trusted."""
    cluster = await start(folder)
    placement = cluster.placement
    assert stat.S_IMODE(placement.run.stat().st_mode) == 0o700
    passwords.write_private(folder / "nothing", "")
    for user in (ADMIN, *DatabaseRole, "postgres", "root"):
        for password in (None, "", "wrong", str(user)):
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                await asyncpg.connect(
                    host=str(placement.run),
                    user=str(user),
                    password=password,
                    passfile=folder / "nothing",
                    database="poolmaker",
                )
    await cluster.stop()


async def passwords_stay_secret(folder: Path) -> None:
    """No password stands in an address, an argument, a log or the catalogue."""
    cluster = await start(folder, log_statement="all")
    placement = cluster.placement
    secrets = passwords.read(placement.passwords)
    assert set(secrets) == {ADMIN, *DatabaseRole}
    assert len(set(secrets.values())) == 5
    assert stat.S_IMODE(placement.passwords.stat().st_mode) == 0o600
    assert placement.passwords.stat().st_uid == os.getuid()
    admin = await asyncpg.connect(**connect_arguments(cluster.admin_dsn()))
    stored = await admin.fetch("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
    assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in stored)
    with pytest.raises(asyncpg.PostgresError):
        await admin.execute("SELECT nothing")
    await admin.close()
    arguments = _of_process(postmaster(placement), "cmdline")
    logs = placement.start_log.read_text()
    logs += "".join(log.read_text() for log in (placement.data / "log").iterdir())
    texts = (arguments, logs, cluster.dsn(DatabaseRole.OWNER), repr(cluster))
    assert "CREATE ROLE poolmaker_owner" in logs
    for secret in secrets.values():
        assert all(secret not in text for text in texts)
    await cluster.stop()


async def the_servers_settings(folder: Path) -> None:
    """No network address, durable commits, checksums, and text that sorts alike everywhere."""
    cluster = await start(folder)
    admin = await asyncpg.connect(**connect_arguments(cluster.admin_dsn()))
    shown = {
        name: await admin.fetchval("SELECT current_setting($1)", name)
        for name in (
            "listen_addresses",
            "fsync",
            "full_page_writes",
            "synchronous_commit",
            "data_checksums",
            "server_encoding",
            "TimeZone",
        )
    }
    locale = await admin.fetchrow(
        "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'poolmaker'"
    )
    await admin.execute("ALTER SYSTEM SET fsync = off")
    await admin.close()
    assert shown == {
        "listen_addresses": "",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
    }
    assert tuple(locale) == (b"b", "C.UTF-8")
    await cluster.stop()
    again = await start(folder)
    admin = await asyncpg.connect(**connect_arguments(again.admin_dsn()))
    assert await admin.fetchval("SHOW fsync") == "on"
    await admin.close()
    await again.stop()


async def a_stray_password_variable(folder: Path) -> None:
    """PGPASSWORD in the environment belongs to another server and must not lock us out."""
    os.environ["PGPASSWORD"] = "of another server"
    try:
        await _made(folder)
    finally:
        del os.environ["PGPASSWORD"]


async def a_data_directory_without_its_version(folder: Path) -> None:
    """Trap: every postgres whose command line contained the path was killed."""
    placement = await _made(folder)
    (placement.data / "PG_VERSION").unlink()
    before = _snapshot(placement.data)
    bystander = _bystander(placement)
    await _refused(folder, str(placement.data), "PG_VERSION", "backup")
    assert bystander.poll() is None
    assert _snapshot(placement.data) == before
    bystander.kill()
    bystander.wait()


async def a_running_server_without_its_version_file(folder: Path) -> None:
    """The same while the server runs: it is left alone."""
    cluster = await start(folder)
    version = cluster.placement.data / "PG_VERSION"
    text = version.read_text()
    version.unlink()
    before = postmaster(cluster.placement)
    await _refused(folder, "PG_VERSION")
    assert postmaster(cluster.placement) == before
    version.write_text(text)
    await cluster.stop()


async def somebody_elses_folder_in_our_place(folder: Path) -> None:
    """A folder that is no data directory is refused, even an empty one, and not touched."""
    placement = await _made(folder)
    placement.data.rename(placement.base / "moved")
    placement.data.mkdir()
    if placement.account is not None:
        os.chown(placement.data, placement.account.uid, placement.account.gid)
    before = _snapshot(placement.data)
    await _refused(folder, "PG_VERSION")
    assert _snapshot(placement.data) == before


async def a_data_directory_of_another_version(folder: Path) -> None:
    """One sentence names both versions; nothing is changed."""
    placement = await _made(folder)
    (placement.data / "PG_VERSION").write_text("15\n")
    before = _snapshot(placement.data)
    await _refused(folder, "PostgreSQL 15", "PostgreSQL 18", "dump")
    assert _snapshot(placement.data) == before


async def lost_passwords(folder: Path) -> None:
    """Without its password file a database cannot be opened, and none is made over it."""
    placement = await _made(folder)
    placement.passwords.unlink()
    before = _snapshot(placement.data)
    await _refused(folder, str(placement.passwords), "backup")
    assert _snapshot(placement.data) == before


async def passwords_readable_to_others(folder: Path) -> None:
    """A password file that others can read is refused with the command that mends it."""
    placement = await _made(folder)
    placement.passwords.chmod(0o644)
    await _refused(folder, f"chmod 600 {placement.passwords}")
    placement.passwords.chmod(0o600)
    await _made(folder)


async def a_running_server_with_fsync_off(folder: Path) -> None:
    """A server that somebody started without fsync on our data is not used, and not killed."""
    placement = await _made(folder)
    server = _foreign_server(placement, placement.data, fsync="off")
    await _wait_for(placement)
    await _refused(folder, "fsync", "stop it")
    assert server.poll() is None
    server.send_signal(signal.SIGINT)
    server.wait()
    await _made(folder)


async def a_server_of_another_database_at_our_socket(folder: Path) -> None:
    """A server is adopted only when its data directory and its system identifier are ours."""
    placement = await _made(folder)
    theirs = placement.base / "theirs"
    placement.data.rename(theirs)
    secrets = placement.passwords.read_text()
    await asyncio.to_thread(data_directory.make, placement, binaries.find(placement))
    placement.passwords.write_text(secrets)
    server = _foreign_server(placement, theirs, fsync="on")
    await _wait_for(placement)
    await _refused(folder, str(theirs), "stop it")
    assert server.poll() is None
    server.send_signal(signal.SIGINT)
    server.wait()


async def a_data_directory_exchanged_under_its_server(folder: Path) -> None:
    """The path alone does not make a running server ours: another folder may have taken it."""
    cluster = await start(folder)
    placement = cluster.placement
    secrets = placement.passwords.read_text()
    placement.data.rename(placement.base / "moved")
    await asyncio.to_thread(data_directory.make, placement, binaries.find(placement))
    placement.passwords.write_text(secrets)
    await _refused(folder, "is not the one", "stop it")
    placement.data.rename(placement.base / "new")
    (placement.base / "moved").rename(placement.data)
    await cluster.stop()


async def a_server_started_by_hand(folder: Path) -> None:
    """A server on our data that listens elsewhere is named and left alone."""
    placement = await _made(folder)
    elsewhere = placement.base / "elsewhere"
    make_private(elsewhere, 0o700, placement.account)
    server = _foreign_server(placement, placement.data, unix_socket_directories=str(elsewhere))
    while listener_of(elsewhere / placement.socket.name) is None:
        await asyncio.sleep(0.02)
    found = {finding.name: finding for finding in examine(placement.home, placement=placement)}
    assert not found["server"].ok
    assert str(server.pid) in found["server"].sentence
    server.send_signal(signal.SIGINT)
    server.wait()


async def a_home_with_a_long_path(folder: Path) -> None:
    """A socket's path must stay below 100 bytes, however long the home's path is."""
    deep = folder.joinpath(*["a folder with a long name, and spaces"] * 4)
    deep.mkdir(parents=True)
    (deep / "service").mkdir()
    placement = place(deep / "home", service_root=deep / "service")
    assert len(os.fsencode(placement.socket)) < SOCKET_PATH_BYTES_MAX
    assert not placement.run.is_relative_to(folder)
    cluster = await Cluster.start(placement.home, SystemClock(), placement=placement)
    assert stat.S_IMODE(placement.run.stat().st_mode) == 0o700
    await cluster.stop()
    await Cluster.erase(placement.home, SystemClock(), placement=placement)
    assert not placement.run.exists()
    assert not placement.base.exists()


async def somebody_elses_socket_folder(folder: Path) -> None:
    """A folder that another user, or a link, put where our socket belongs is refused."""
    placement = await _made(folder)
    placement.run.rename(placement.base / "aside")
    placement.run.symlink_to(placement.base / "aside")
    await _refused(folder, str(placement.run), "remove it")


async def a_broken_configuration(folder: Path) -> None:
    """The server's own reason stands in the sentence, at once and not after half a minute."""
    placement = await _made(folder)
    configuration = placement.data / "postgresql.conf"
    sound = configuration.read_text()
    configuration.write_text(f"{sound}\nnonsense\n")
    await _refused(folder, "does not start", "postgresql.conf", "contains errors")
    configuration.write_text(sound)
    await _made(folder)


async def a_start_that_is_called_off(folder: Path) -> None:
    """Ctrl-C while the database is made leaves nothing that the next start stumbles over."""
    placement = own_placement(folder)
    starting = asyncio.create_task(start(folder))
    while not list(placement.base.glob("data.init-*/PG_VERSION")):
        await asyncio.sleep(0.005)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not list(placement.base.glob("data.init-*"))
    cluster = await start(folder)
    assert cluster.is_owner
    await cluster.stop()


async def clients_that_stay_connected(folder: Path) -> None:
    """A stop does not wait for idle clients, nor for one in the middle of a transaction."""
    cluster = await start(folder)
    idle = await asyncpg.connect(**connect_arguments(cluster.dsn(DatabaseRole.READER)))
    busy = await asyncpg.connect(**connect_arguments(cluster.dsn(DatabaseRole.READER)))
    await busy.execute("BEGIN; SELECT 1")
    await cluster.stop()
    assert listener_of(cluster.placement.socket) is None
    idle.terminate()
    busy.terminate()


async def erasing(folder: Path) -> None:
    """A database in use is not erased; afterwards nothing of it is left, and a new one is made."""
    cluster = await start(folder)
    placement = cluster.placement
    with pytest.raises(EnvironmentProblem, match="in use"):
        await Cluster.erase(placement.home, SystemClock(), placement=placement)
    before = data_directory.system_identifier(placement.data)
    await cluster.stop()
    await Cluster.erase(placement.home, SystemClock(), placement=placement)
    await Cluster.erase(placement.home, SystemClock(), placement=placement)
    assert not placement.base.exists()
    await _made(folder)
    assert data_directory.system_identifier(placement.data) != before


async def the_last_to_leave(folder: Path) -> None:
    """Whoever leaves last stops the server, in whatever order they came."""
    clusters = [await start(folder) for _ in range(3)]
    assert [cluster.is_owner for cluster in clusters] == [True, False, False]
    socket_path = clusters[0].placement.socket
    before = listener_of(socket_path)
    for cluster in (clusters[0], clusters[2]):
        await cluster.stop()
        await cluster.stop()
        assert listener_of(socket_path) == before
    await clusters[1].stop()
    assert listener_of(socket_path) is None


async def leaving_at_the_same_moment(folder: Path) -> None:
    """However their steps interleave, nobody leaves the server behind."""
    for _ in range(5):
        clusters = [await start(folder) for _ in range(4)]
        await asyncio.gather(*(cluster.stop() for cluster in clusters))
        assert listener_of(clusters[0].placement.socket) is None


async def leaving_while_the_owner_looks_away(folder: Path) -> None:
    """The other leaves after the owner saw him and before the ownership is given back.

    He finds the server owned and counts on the owner, who therefore must look once more.
    """
    cluster = await start(folder)
    other = FileLock(cluster.placement.users_lock)
    assert other.try_shared()
    give_back = cluster._owner.release

    def after_he_left() -> None:
        other.release()
        give_back()

    with patch.object(cluster._owner, "release", after_he_left):
        await cluster.stop()
    assert listener_of(cluster.placement.socket) is None


async def many_starting_at_once(folder: Path) -> None:
    """On an empty folder one makes the database and all find it."""
    clusters = await asyncio.gather(*(start(folder) for _ in range(4)))
    assert sum(cluster.is_owner for cluster in clusters) == 1
    for cluster in clusters:
        reader = await asyncpg.connect(**connect_arguments(cluster.dsn(DatabaseRole.READER)))
        await reader.close()
    for cluster in clusters:
        await cluster.stop()


async def the_doctor_on_a_sound_server(folder: Path) -> None:
    """The doctor finds everything in order before the first start, while it runs and after."""
    placement = own_placement(folder)
    for finding in examine(placement.home, placement=placement):
        assert finding.ok, finding
    assert _snapshot(folder) == _snapshot(folder)
    cluster = await start(folder)
    running = {finding.name: finding for finding in examine(placement.home, placement=placement)}
    assert all(finding.ok and not finding.remedy for finding in running.values())
    assert str(os.getpid()) in running["owner"].sentence
    assert running["server"].sentence == "The server is running"
    await cluster.stop()
    stopped = {finding.name: finding for finding in examine(placement.home, placement=placement)}
    assert stopped["owner"].sentence == "No process owns the server"
    assert stopped["server"].sentence == "The server is not running"


async def the_doctor_on_an_unsound_server(folder: Path) -> None:
    """The doctor says what is wrong and, apart from it, what to do."""
    placement = await _made(folder)
    (placement.data / "PG_VERSION").write_text("15\n")
    placement.passwords.unlink()
    found = {finding.name: finding for finding in examine(placement.home, placement=placement)}
    assert not found["data directory"].ok
    assert "PostgreSQL 15" in found["data directory"].sentence
    assert found["data directory"].remedy.startswith("Dump it")
    assert not found["passwords"].ok
    assert "backup" in found["passwords"].remedy


SCENARIOS: list[Scenario] = [
    a_stranger_on_the_socket,
    passwords_stay_secret,
    the_servers_settings,
    a_stray_password_variable,
    a_data_directory_without_its_version,
    a_running_server_without_its_version_file,
    somebody_elses_folder_in_our_place,
    a_data_directory_of_another_version,
    lost_passwords,
    passwords_readable_to_others,
    a_running_server_with_fsync_off,
    a_server_of_another_database_at_our_socket,
    a_data_directory_exchanged_under_its_server,
    a_server_started_by_hand,
    a_home_with_a_long_path,
    somebody_elses_socket_folder,
    a_broken_configuration,
    a_start_that_is_called_off,
    clients_that_stay_connected,
    erasing,
    the_last_to_leave,
    leaving_at_the_same_moment,
    leaving_while_the_owner_looks_away,
    many_starting_at_once,
    the_doctor_on_a_sound_server,
    the_doctor_on_an_unsound_server,
]


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_supervisor_is_right_about(scenario: Scenario) -> None:
    await run_scenario(IDENTITIES[0], scenario)


async def a_home_that_we_may_not_write(folder: Path) -> None:
    """Missing permission: one sentence, nothing half-written."""
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    with pytest.raises(EnvironmentProblem, match="POOLMAKER_HOME") as caught:
        await open_postgres(closed / "home", SystemClock())
    assert str(closed) in str(caught.value)
    assert list(closed.iterdir()) == []
    with pytest.raises(EnvironmentProblem, match="POOLMAKER_HOME"):
        await open_postgres(Path("/proc/home"), SystemClock())


@pytest.mark.parametrize("scenario", [a_stranger_on_the_socket, a_home_that_we_may_not_write])
async def test_an_ordinary_user_is_safe_from(scenario: Scenario) -> None:
    await run_scenario(IDENTITIES[-1], scenario)


@pytest.mark.skipif(os.getuid() != 0, reason="root only: run the tests once more as root")
async def test_as_root_nothing_outside_our_folders_is_changed() -> None:
    """Trap: ``useradd`` was run and every parent folder was opened to everybody."""
    with open_folder() as folder:
        checkout = folder / "closed"
        checkout.mkdir(mode=0o700)
        placement = place(checkout / "home", service_root=folder / "service")
        outside = [*folder.parents, folder, checkout, Path("/etc"), Path("/var/lib")]
        before = [(path, path.stat().st_mode, path.stat().st_uid) for path in outside]
        accounts = _accounts()

        cluster = await Cluster.start(placement.home, SystemClock(), placement=placement)
        assert placement.account is not None
        status = _of_process(postmaster(placement), "status")
        await cluster.stop()

        uid = placement.account.uid
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
        assert uid != 0
        assert [(path, path.stat().st_mode, path.stat().st_uid) for path in outside] == before
        assert _accounts() == accounts
        assert list(checkout.iterdir()) == []
        assert placement.passwords.stat().st_uid == 0
        assert stat.S_IMODE(placement.passwords.stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="root only: run the tests once more as root")
async def test_root_does_not_make_a_second_database_beside_a_users_own() -> None:
    with open_folder() as folder:
        data = folder / "home" / "postgres" / "data"
        data.mkdir(parents=True)
        os.chown(data, 65534, 65534)
        with pytest.raises(EnvironmentProblem, match="run poolmaker as that user"):
            place(folder / "home", service_root=folder / "service")
        (finding,) = examine(folder / "home")
        assert not finding.ok


def _of_process(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def _accounts() -> list[bytes]:
    return [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group")]


def _bystander(placement: Placement) -> subprocess.Popen[bytes]:
    """An innocent process that looks like a server on our data."""
    return subprocess.Popen(
        ["postgres", "-c", "sleep 100", "-D", str(placement.data)], executable="/bin/sh"
    )


def _foreign_server(placement: Placement, data: Path, **settings: str) -> subprocess.Popen[bytes]:
    """A server that was not started by the supervisor."""
    command = [str(binaries.find(placement).postgres), "-D", str(data)]
    for name, value in (fixed_settings(placement) | settings).items():
        command += ["-c", f"{name}={value}"]
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_account(placement.account),
    )


async def _wait_for(placement: Placement) -> None:
    dsn = Cluster(placement, SystemClock(), print, {}).admin_dsn()
    while True:
        try:
            connection = await asyncpg.connect(**connect_arguments(dsn))
        except (asyncpg.CannotConnectNowError, OSError):
            await asyncio.sleep(0.02)
        else:
            await connection.close()
            return


def test_the_kernel_names_nobody_as_the_listener_of_a_dead_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert listener_of(path) is None
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert listener_of(path) == os.getpid()
    assert listener_of(path) is None
