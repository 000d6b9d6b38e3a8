"""``poolmaker demo --once`` as a user runs it: real processes, a real crash, the counting."""

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.placement import place
from poolmaker.kernel.money import parse_units
from poolmaker.sandbox.story.model import FILLS_MIN

PATIENCE_S = 400


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
            self.acts |= set(re.findall(r"act (\d) of 9", text))


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
    assert told["users"] == 2, told["said"]
    assert told["restart_survived"] is True, told["said"]
    assert told["fills"] >= FILLS_MIN, told["said"]
    assert told["orders_placed"] > told["fills"] // 10
    assert told["open_orders_unknown"] == 0
    assert told["trial_balance_ok"] is True
    assert told["ledger_verify_ok"] is True
    assert told["custody_ok"] is True
    for assets in told["custody"].values():
        for pair in assets.values():
            assert parse_units(pair["ledger"], 8) == parse_units(pair["reported"], 8)


@pytest.mark.timeout(PATIENCE_S + 60)
def test_the_story_is_told_once_and_leaves_books_that_verify(home: Path) -> None:
    port = _free_port()
    with Watcher(port) as watcher:
        told = _told(home, port, "--seed", "20261")
    _holds(told)
    assert watcher.failed == []
    assert len(watcher.acts) >= 6
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


@pytest.mark.timeout(PATIENCE_S)
def test_ctrl_c_ends_the_demo_and_every_process_it_started(home: Path) -> None:
    process = subprocess.Popen(
        _command("demo", "--port", "0", "--home", str(home)),
        env=_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("2/9"):
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert "Traceback" not in rest
    assert "stopping" in rest
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert [line for line in listed.stdout.splitlines() if str(home) in line] == []


@pytest.mark.long
@pytest.mark.timeout(20 * PATIENCE_S)
def test_twenty_seeds_in_a_row(home: Path) -> None:
    for seed in range(20):
        _holds(_told(home, 0, "--seed", str(seed)))
