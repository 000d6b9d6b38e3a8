"""A platform that quotes at a sandbox venue, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ccxt

from poolmaker.bus.ports import NewEvent
from poolmaker.bus.service import open_bus
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.infra.postgres.placement import place
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.market.execution.client_ids import decode_client_id
from poolmaker.messages.market import (
    CapitalSet,
    MarketSpec,
    StartQuoting,
    StrategySnapshot,
    control_stream,
)
from tests.support.venue import ccxt_settings

START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 60
POOL, ACCOUNT, SYMBOL = PoolId("btcusdt"), VenueAccountId("main"), "BTC/USDT"
SPEC = MarketSpec(symbol=SYMBOL, base="BTC", base_scale=8, quote="USDT", quote_scale=8)
CAPITAL = CapitalSet(
    pool=POOL, version=1, base_units=10**8, quote_units=60_000 * 10**8, includes_stream_seq=0
)


@dataclass
class QuotingPlatform:
    """The platform's process, its home, and how it and its venue are asked."""

    folder: Path
    port: int
    venue: Mapping[str, Any]
    process: subprocess.Popen[bytes]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def config(self) -> Path:
        return self.folder / "platform.toml"

    def token(self, role: str = "operator") -> str:
        return (self.home / f"{role}.token").read_text("utf-8").strip()

    def call(
        self, method: str, path: str, body: object = None, role: str = "operator"
    ) -> tuple[int, Any]:
        """Status and body of a request below /api/v1."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {
            "Authorization": f"Bearer {self.token(role)}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"test-{os.urandom(8).hex()}",
        }
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def command(self, *arguments: str, full_disk: bool = False) -> tuple[int, Any]:
        """Exit code and JSON of a command of this home, in a process of its own.

        With ``full_disk`` it can make files and write nothing into any.
        """
        done = subprocess.run(
            [sys.executable, "-m", "poolmaker.cli", *arguments, "--config", str(self.config),
             "--json"],
            cwd=self.folder, env=_clean(), capture_output=True, text=True, timeout=240,
            check=False, preexec_fn=_write_nothing if full_disk else None,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def ours(self) -> list[str]:
        """Our client ids in the venue's own list, as ccxt, a program of others, sees it."""
        client = ccxt.binance(ccxt_settings(dict(self.venue), 1))
        rows = client.private_get_openorders({"symbol": "BTCUSDT"})
        return [r["clientOrderId"] for r in rows if decode_client_id(r["clientOrderId"])]

    def signal(self, number: int) -> None:
        """Send a signal to the platform's process."""
        os.kill(self.process.pid, number)

    def signal_database(self, number: int) -> None:
        """Send a signal to every process of the database server."""
        parent = int((place(self.home).data / "postmaster.pid").read_text().split("\n")[0])
        for pid in [parent, *_children(parent)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def quote(self) -> None:
        """Let the engine quote with capital, as the business would."""
        asyncio.run(self._quote())

    async def _quote(self) -> None:
        clock = SystemClock()
        cluster = await Cluster.start(self.home, clock)
        try:
            database = await Database.open(cluster.dsn(DatabaseRole.APP), max_size=2)
            try:
                await self._tell(database, clock.now_us())
            finally:
                await database.close()
        finally:
            await cluster.stop()

    async def _tell(self, database: Database, now_us: int) -> None:
        strategy = StrategySnapshot(version=1, spread_cbps=30_000)
        start = StartQuoting(pool=POOL, account=ACCOUNT, market=SPEC, strategy=strategy, version=1)
        events = [NewEvent("t:start", start, now_us), NewEvent("t:capital", CAPITAL, now_us)]
        async with database.begin("test control") as tx:
            await open_bus().append(tx, control_stream(ACCOUNT), events, now_us)


def until(holds: Callable[[], object], what: str, timeout_s: float = 240) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.2)


def _write_nothing() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "POOLMAKER" not in name}


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


def _configuration(home: Path, port: int, venue: Mapping[str, Any]) -> str:
    text, used = json.dumps, venue["accounts"][0]
    return f"""\
mode = "sandbox"
home = {text(str(home))}
[web]
port = {port}
[tokens]
treasurer_token_file = {text(str(home / "treasurer.token"))}
[[assets]]
code = "BTC"
scale = 8
[[assets]]
code = "USDT"
scale = 8
[[venue_accounts]]
id = "main"
api_key = {text(used["key"])}
secret = {text(used["secret"])}
rest_url = {text(venue["rest"])}
ws_url = {text(venue["ws"])}
ws_api_url = {text(venue["ws_api"])}
symbols = ["BTC/USDT"]
tick_ms = 200
[[venue_accounts]]
id = "locked-out"
api_key = "a-key-that-the-venue-does-not-know"
secret = "none"
rest_url = {text(venue["rest"])}
ws_url = {text(venue["ws"])}
ws_api_url = {text(venue["ws_api"])}
symbols = ["BTC/USDT"]
tick_ms = 200
[[pools]]
id = "btcusdt"
account = "main"
symbol = "BTC/USDT"
"""


@contextlib.contextmanager
def _running(command: list[str], folder: Path, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{command[0]}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=_clean(), stderr=log, **pipes
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def quoting_platform(folder: Path) -> Iterator[QuotingPlatform]:
    """A venue and a platform; what they leave is removed."""
    home = folder / "home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = ["poolmaker.sandbox.venue", "--port", "0", "--seed", "1", "--flow", "seeded"]
    with contextlib.ExitStack() as stack:
        stack.callback(_erase, home)
        venue = stack.enter_context(_running(command, folder, stdout=subprocess.PIPE))
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        config = folder / "platform.toml"
        config.write_text(_configuration(home, port, ready), "utf-8")
        up = ["poolmaker.cli", "up", "--config", str(config)]
        process = stack.enter_context(_running(up, folder, stdout=subprocess.DEVNULL))
        platform = QuotingPlatform(folder, port, ready, process)
        until(lambda: _answers(platform), "the platform answers", START_TIMEOUT_S)
        yield platform
        platform.signal_database(signal.SIGCONT)


def _answers(platform: QuotingPlatform) -> bool:
    assert platform.process.poll() is None, "the platform did not start"
    try:
        return platform.call("GET", "/kill")[0] == 200
    except OSError:
        return False


def _erase(home: Path) -> None:
    base = place(home).base
    if base.exists():
        asyncio.run(Cluster.erase(home, SystemClock()))
        shutil.rmtree(base, ignore_errors=True)
