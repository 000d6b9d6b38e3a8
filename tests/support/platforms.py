"""A whole platform as processes for tests: venue, Mixin and ``poolmaker up`` on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.placement import place
from poolmaker.sandbox.relay.routes import BY_COIN

START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 60
USDT = BY_COIN["USDT", "MATIC"]
"""USDT on Polygon, as Mixin and the venue know it."""


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class RunningPlatform:
    """Where a platform listens, its operator's token, its home, and the worlds around it."""

    port: int
    token: str
    home: Path
    venue: Mapping[str, Any]
    mixin: Mapping[str, Any]
    pid: int

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        token: str | None = None,
        key: str = "",
        timeout_s: int = 60,
    ) -> HttpAnswer:
        """Ask the platform as the operator, or with another token; an empty one sends none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        shown = self.token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        if method == "POST":
            headers |= {"Idempotency-Key": key or f"test-{os.urandom(8).hex()}"}
            headers |= {"Content-Type": "application/json"}
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return HttpAnswer(
                answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
            )
        finally:
            connection.close()

    def get(self, path: str, token: str | None = None) -> Any:
        """What is there below /api/v1; the call must succeed."""
        answer = self.call("GET", f"/api/v1{path}", token=token)
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, path: str, body: object, token: str | None = None) -> HttpAnswer:
        """The answer to a request below /api/v1."""
        return self.call("POST", f"/api/v1{path}", body, token)

    def until(self, holds: Any, what: str) -> None:
        """Wait until ``holds()`` is true."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not holds():
            assert time.monotonic() < deadline, f"it never came: {what}"
            time.sleep(0.2)

    def insist(self, path: str, body: object) -> Any:
        """The answer to a request of the operator that the treasurer may have to send, too."""
        treasurer = (self.home / "treasurer.token").read_text("utf-8").strip()
        answer = self.post(path, body)
        if answer.status == 409 and answer.json["code"] == "approval_pending":
            approval = answer.json["facts"]["approval_id"]
            assert self.post(f"/approvals/{approval}/approve", {}, treasurer).status == 201
            answer = self.post(path, body)
        assert answer.status == 201, answer.body
        return answer.json

    def at_mixin(self, path: str, body: object) -> Any:
        """Do what somebody does at Mixin."""
        return self._outside(self.mixin, path, body)

    def at_venue(self, path: str, body: object) -> Any:
        """Do what somebody does at the venue."""
        return self._outside(self.venue, path, body)

    @staticmethod
    def _outside(world: Mapping[str, Any], path: str, body: object) -> Any:
        found = urlsplit(world["admin"])
        connection = http.client.HTTPConnection(found.netloc, timeout=60)
        try:
            content = json.dumps(body)
            connection.request(
                "POST", found.path + path, content, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, said
            return json.loads(said)
        finally:
            connection.close()


@contextlib.contextmanager
def _process(*command: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    clean = {name: value for name, value in os.environ.items() if "POOLMAKER" not in name}
    log = cwd / f"{command[0].rpartition('.')[2]}-{os.urandom(2).hex()}.log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=cwd,
            env=clean,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a world ended before it was ready"
    found: dict[str, Any] = json.loads(line)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configuration(home: Path, port: int, venue: Mapping[str, Any], mixin: Mapping[str, Any]) -> str:
    """A platform with one market at a venue and a bot at Mixin that holds USDT."""
    keys, bot = venue["accounts"][0], mixin["bot"]
    text = json.dumps
    return f"""\
mode = "sandbox"
home = {text(str(home))}
barrier_interval_s = 1
[web]
port = {port}
[log]
format = "json"
[tokens]
treasurer_token_file = {text(str(home / "treasurer.token"))}
[payout]
poll_s = 1
networks = [{{ asset = "USDT", network = "mixin" }}]
[[assets]]
code = "BTC"
scale = 8
[[assets]]
code = "USDT"
scale = 8
[[forms]]
name = "usdt-polygon"
asset = "USDT"
decimals = 6
mixin_id = "{USDT.asset_id}"
mixin_chain_id = "{USDT.chain_id}"
venue_network = "{USDT.network}"
[[venue_accounts]]
id = "main"
api_key = {text(keys["key"])}
secret = {text(keys["secret"])}
rest_url = {text(venue["rest"])}
ws_url = {text(venue["ws"])}
ws_api_url = {text(venue["ws_api"])}
symbols = ["BTC/USDT"]
tick_ms = 500
[[pools]]
id = "btcusdt"
account = "main"
symbol = "BTC/USDT"
[mixin]
api_url = {text(mixin["api"])}
app_id = {text(bot["app_id"])}
session_id = {text(bot["session_id"])}
session_private_key = {text(bot["session_private_key"])}
server_public_key = {text(bot["server_public_key"])}
spend_private_key = {text(bot["spend_private_key"])}
poll_ms = 500
"""


@contextlib.contextmanager
def running_platform(folder: Path, *venue: str) -> Iterator[RunningPlatform]:
    """Venue, Mixin and the platform; everything is stopped and what they left is removed.

    ``venue`` is what else the venue is started with.
    """
    home, port = folder / "home", _free_port()
    with contextlib.ExitStack() as stack:
        stack.callback(_erase, home)
        worlds = {
            name: _ready(
                stack.enter_context(
                    _process(f"poolmaker.sandbox.{name}", "--port", "0", *more, cwd=folder)
                )
            )
            for name, more in (("venue", venue), ("mixin", ()))
        }
        config = folder / "platform.toml"
        config.write_text(configuration(home, port, **worlds), "utf-8")
        platform = stack.enter_context(
            _process("poolmaker.cli", "up", "--config", str(config), cwd=folder)
        )
        _wait_for(platform, port)
        token = (home / "operator.token").read_text("utf-8").strip()
        yield RunningPlatform(port, token, home, pid=platform.pid, **worlds)
        assert platform.poll() is None, "the platform ended by itself"


def _wait_for(platform: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(port):
        assert platform.poll() is None, "the platform did not start"
        assert time.monotonic() < deadline, "the platform never answered"
        time.sleep(0.2)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/v1/none")
        connection.getresponse()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _erase(home: Path) -> None:
    base = place(home).base
    if base.exists():
        asyncio.run(Cluster.erase(home, SystemClock()))
        shutil.rmtree(base, ignore_errors=True)
