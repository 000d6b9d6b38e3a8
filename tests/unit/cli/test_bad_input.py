"""What the machine or the configuration prevents: a sentence, exit code 2, nothing half-written."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres import data_directory
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.infra.postgres.placement import place

TIMEOUT_S = 100


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on standard error, after the program's name."""
        lines = [line for line in self.err.splitlines() if not line.startswith("{")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("poolmaker: ")
        return lines[0].removeprefix("poolmaker: ")


def poolmaker(*arguments: str, cwd: Path, **environ: str) -> Ended:
    """Run the command in an empty folder with nothing of ours in its environment."""
    clean = {name: value for name, value in os.environ.items() if "POOLMAKER" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "poolmaker.cli", *arguments],
        cwd=cwd,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder; what a server of it leaves elsewhere is removed."""
    folder = tmp_path / "home"
    yield folder
    base = place(folder).base
    if base.exists():
        asyncio.run(Cluster.erase(folder, SystemClock()))
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A folder in which this user may not write; root may write everywhere but in the kernel's."""
    if os.geteuid() == 0:
        return Path("/sys/poolmaker")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    return closed / "home"


def test_an_unknown_key_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "poolmaker.toml"
    file.write_text('mode = "sandbox"\n[web]\nprot = 8420\n', "utf-8")
    ended = poolmaker("up", cwd=tmp_path)
    assert ended.code == 2
    assert "poolmaker.toml:3" in ended.sentence
    assert "did you mean web.port?" in ended.sentence
    assert sorted(tmp_path.iterdir()) == [file]


def test_an_unknown_variable_is_named(tmp_path: Path) -> None:
    ended = poolmaker("config", "check", cwd=tmp_path, POOLMAKER_HOEM="x")
    assert (ended.code, "POOLMAKER_HOEM" in ended.sentence) == (2, True)


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_taken_port_is_named_before_anything_is_written(
    tmp_path: Path, taken: int, command: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'home = "home"\n[web]\nport = {taken}\n', "utf-8")
    where = ["--config", str(file)] if command == "up" else ["--port", str(taken), "--home", "home"]
    ended = poolmaker(command, *where, cwd=tmp_path)
    assert ended.code == 2
    assert f"port {taken}" in ended.sentence
    assert "--port" in ended.sentence
    assert not (tmp_path / "home").exists() or not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("command", [("ledger", "verify"), ("db", "migrate"), ("db", "url")])
def test_an_unreachable_database_is_one_sentence_without_its_password(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    url = "postgresql://somebody:hunter2@127.0.0.1:1/books"
    ended = poolmaker(*command, cwd=tmp_path, POOLMAKER_DATABASE_URL=url)
    assert ended.code == 2
    assert "POOLMAKER_DATABASE_URL" in ended.sentence
    assert "hunter2" not in ended.err + ended.out


def test_data_of_another_version_is_left_alone(tmp_path: Path, home: Path) -> None:
    placement = place(home)
    data_directory.prepare_folders(placement)
    placement.data.mkdir(mode=0o700)
    (placement.data / "PG_VERSION").write_text("13\n", "ascii")
    if placement.account is not None:
        for path in (placement.data, placement.data / "PG_VERSION"):
            os.chown(path, placement.account.uid, placement.account.gid)
    ended = poolmaker("ledger", "verify", "--json", cwd=tmp_path, POOLMAKER_HOME=str(home))
    assert ended.code == 2
    assert "was made by PostgreSQL 13" in ended.sentence
    assert [path.name for path in placement.data.iterdir()] == ["PG_VERSION"]


def test_a_stale_pid_file_is_no_obstacle(tmp_path: Path, home: Path) -> None:
    """data_foundation section 1: what the dead left is cleared, not asked about."""
    first = poolmaker("db", "migrate", cwd=tmp_path, POOLMAKER_HOME=str(home))
    assert first.code == 0, first.err
    placement = place(home)
    stale = placement.data / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{placement.data}\n1\n5432\n{placement.run}\n\n\n", "ascii")
    ended = poolmaker("ledger", "verify", "--json", cwd=tmp_path, POOLMAKER_HOME=str(home))
    assert ended.code == 0, ended.err
    assert '"ok":true' in ended.out
    assert not stale.exists()


@pytest.mark.parametrize("command", [("up",), ("demo",)])
def test_a_folder_without_permission_is_named(
    tmp_path: Path, forbidden: Path, command: tuple[str, ...]
) -> None:
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
    free.close()
    more = ("--port", port, "--home", str(forbidden)) if command == ("demo",) else ()
    environ = {"POOLMAKER_HOME": str(forbidden), "POOLMAKER_WEB__PORT": port}
    ended = poolmaker(*command, *more, cwd=tmp_path, **environ)
    assert ended.code == 2
    assert str(forbidden) in ended.sentence
    assert not forbidden.exists()


def test_a_folder_of_another_platform_is_never_emptied_by_a_demo(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "operator.token").write_text("precious", "utf-8")
    ended = poolmaker("demo", "--port", "0", "--home", str(home), cwd=tmp_path)
    assert ended.code == 2
    assert "not a demo" in ended.sentence
    assert [path.name for path in home.iterdir()] == ["operator.token"]


def test_a_second_demo_in_the_same_folder_is_told_of_the_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    lock = FileLock(home / "demo.lock")
    assert lock.try_exclusive(note="demo")
    ended = poolmaker("demo", "--port", "0", "--home", str(home), cwd=tmp_path)
    assert (ended.code, "already running" in ended.sentence) == (2, True)
    lock.release()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("demo", "--recording", "missing.gz"), "missing.gz"),
        (("sandbox", "venue", "--flow", "odd"), "odd"),
        (("sandbox", "venue", "--port", "99999"), "99999"),
        (("status",), "poolmaker up"),
        (("config", "check", "--config", "missing.toml"), "missing.toml"),
        (("db", "stop"), "POOLMAKER_DATABASE_URL"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    environ = {"POOLMAKER_DATABASE_URL": "postgresql://a@b/c"} if arguments[0] == "db" else {}
    ended = poolmaker(*arguments, cwd=tmp_path, **environ)
    assert ended.code == 2
    assert said in ended.sentence


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("order", "open"), ("demo", "--port", "99999"), ("pool", "--x")]
)
def test_usage_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = poolmaker(*arguments, cwd=tmp_path)
    assert ended.code == 2
    assert "Usage: poolmaker" in ended.err
