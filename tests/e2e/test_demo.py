"""``poolmaker demo`` as a user runs it: real processes, a real crash, the counting, bad moments."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.data_directory import living_server
from poolmaker.infra.postgres.placement import place
from poolmaker.kernel.money import parse_units
from poolmaker.sandbox.story.model import ACTS, CRASHES, FILLS_MIN
from poolmaker.sandbox.story.plan import make_plan

PATIENCE_S = 500
OF = len(ACTS)
CALM_SEED = next(s for s in range(1_000) if make_plan(s).crash_act is CRASHES[-1])
"""Nothing is killed in its first acts but by the test."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    base = place(folder).base
    if base.exists():
        asyncio.run(Cluster.erase(folder, SystemClock()))
        shutil.rmtree(base, ignore_errors=True)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "poolmaker.cli", *arguments]


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "POOLMAKER" not in name}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Watcher:
    """Somebody who opens the page again and again while the story is told."""

    def __init__(self, port: int) -> None:
        self.failed: list[str] = []
        self.acts: set[str] = set()
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException):
                continue  # before it is up, while it is killed, after it is gone
            finally:
                connection.close()
            if answer.status != 200:
                self.failed.append(text[-500:])
            self.acts |= set(re.findall(rf"act (\d+) of {OF}", text))


def _told(home: Path, port: int, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        _command("demo", "--once", "--json", "--port", str(port), "--home", str(home), *arguments),
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["said"] = done.stderr
    return result


def _holds(told: dict[str, Any]) -> None:
    """Everything that the last line promises but the time, which is the machine's."""
    assert told["users"] == 4, told["said"]
    assert told["restart_survived"] is True, told["said"]
    assert told["fills"] >= FILLS_MIN, told["said"]
    assert told["orders_placed"] > told["fills"] // 10
    assert told["open_orders_unknown"] == 0, told["said"]
    for flag in ("trial_balance_ok", "ledger_verify_ok", "allocations_ok", "custody_ok"):
        assert told[flag] is True, told["said"]
    assert {*told["deposits"]} == {"BTC", "USDT"}
    assert {*told["withdrawn"]} == {"BTC", "HMT", "USDT"}
    assert {*told["refunded"]} == {"USDT"}
    assert {*told["rewards_received"]} == {*told["rewards_allocated"]} == {"HMT"}
    for assets in told["custody"].values():
        for pair in assets.values():
            assert parse_units(pair["ledger"], 18) == parse_units(pair["reported"], 18)


@pytest.mark.timeout(PATIENCE_S + 60)
def test_the_story_is_told_once_and_leaves_books_that_verify(home: Path) -> None:
    port = _free_port()
    with Watcher(port) as watcher:
        told = _told(home, port, "--seed", "20261")
    _holds(told)
    assert watcher.failed == []
    assert len(watcher.acts) >= OF // 2
    done = subprocess.run(
        _command("ledger", "verify", "--json"),
        env=_environ() | {"POOLMAKER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    verified = json.loads(done.stdout)
    assert verified["ok"] is True
    assert verified["transactions"] > told["fills"]


# ------------------------------------------------------------------------------ bad moments


def _begun(home: Path, port: int = 0) -> subprocess.Popen[str]:
    """A demo whose platform is up."""
    # Whoever runs these tests in the background of a shell ignores Ctrl-C, and so would the demo.
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        _command("demo", "--port", str(port), "--home", str(home), "--seed", str(CALM_SEED)),
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.signal(signal.SIGINT, ignored)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"2/{OF}"):
            return process
    process.wait(60)
    pytest.fail("the demo did not reach its second act")


def _children(process: subprocess.Popen[str]) -> dict[str, int]:
    """Process ids of what the demo started, by the last word of the module's name."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in listed.stdout.splitlines():
        match = re.search(r"(\d+) .*-m poolmaker\.(?:sandbox\.)?(\w+)", line)
        if match:
            found[match[2]] = int(match[1])
    return found


def _are_gone(pids: list[int]) -> bool:
    return not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").is_file() and _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


def _hang_up(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGHUP)


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("end", [_interrupt, _hang_up])
def test_ctrl_c_and_a_closed_terminal_end_the_demo_and_every_process_it_started(
    home: Path, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    process = _begun(home)
    pids = list(_children(process).values())
    assert len(pids) == 6
    end(process)
    rest, _ = process.communicate(timeout=120)
    assert "Traceback" not in rest
    assert "stopping" in rest
    assert str(home) in rest
    assert _are_gone(pids)


@pytest.mark.timeout(PATIENCE_S)
def test_a_second_start_and_a_taken_port_are_one_sentence_and_change_nothing(home: Path) -> None:
    port = _free_port()
    process = _begun(home, port)
    try:
        other = home.with_name("other")
        said = []
        for folder in (home, other):
            done = subprocess.run(
                _command("demo", "--once", "--port", str(port), "--home", str(folder)),
                env=_environ(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 2
            said.append(done.stderr.strip().splitlines())
        assert [len(lines) for lines in said] == [1, 1]
        assert "a demo is already running" in said[0][0]
        assert f"port {port} cannot be used" in said[1][0]
        assert not other.exists()
        assert process.poll() is None
    finally:
        _interrupt(process)
        process.communicate(timeout=120)


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("world", ["mixin", "chain"])
def test_a_world_that_stops_ends_the_demo_with_its_name_and_keeps_the_books(
    home: Path, world: str
) -> None:
    process = _begun(home)
    children = _children(process)
    os.kill(children[world], signal.SIGKILL)
    rest, _ = process.communicate(timeout=200)
    assert "Traceback" not in rest
    assert process.returncode == 1
    assert re.search(rf"poolmaker demo: .*({world}|exchange|Mixin)", rest), rest
    assert "logs are in" in rest
    assert _are_gone(list(children.values()))
    done = subprocess.run(
        _command("ledger", "verify", "--json", "--home", str(home)),
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert json.loads(done.stdout)["ok"] is True


@pytest.mark.timeout(PATIENCE_S)
def test_a_demo_that_is_killed_leaves_nothing_behind_and_the_next_one_starts(home: Path) -> None:
    process = _begun(home)
    pids = list(_children(process).values())
    process.kill()
    process.communicate(timeout=60)
    clock = SystemClock()

    async def ended() -> bool:
        for _ in range(600):
            if _are_gone(pids):
                return True
            await clock.sleep_us(100_000)
        return False

    assert asyncio.run(ended())
    again = _begun(home)
    _interrupt(again)
    again.communicate(timeout=120)


@pytest.mark.timeout(PATIENCE_S)
def test_found_59_a_platform_that_is_killed_ends_the_demo_in_words_and_leaves_no_database(
    home: Path,
) -> None:
    process = _begun(home)
    children = _children(process)
    assert living_server(place(home)) is not None
    os.kill(children["cli"], signal.SIGKILL)
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "the platform was ended from outside by SIGKILL" in rest
    assert "{" not in rest
    assert "Traceback" not in rest
    assert _are_gone(list(children.values()))
    assert living_server(place(home)) is None


@pytest.mark.long
@pytest.mark.timeout(20 * PATIENCE_S)
def test_twenty_seeds_in_a_row(home: Path) -> None:
    for seed in range(20):
        _holds(_told(home, 0, "--seed", str(seed)))
