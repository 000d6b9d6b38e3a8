"""The demo left running while every core is busy: ``python -m benchmarks.soak --minutes N --json``.

The story is played once, then the market goes on with a reward every 20 s. From there on the page
is opened every second, unfinished work is asked for every five, and memory and disk are looked at
every ten. A second, short story measures what a platform with one pool does when nobody acts and
nobody looks. Prints the figures of ``[soak]`` in ``figures.toml``; exit code 1 when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from poolmaker.cli.bench import FOLDER, holds
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.dsn import connect_arguments, local_dsn
from poolmaker.infra.postgres.model import ADMIN, DATABASE
from poolmaker.infra.postgres.placement import place
from poolmaker.kernel.clock import MINUTE_US, SECOND_US
from poolmaker.sandbox.story import acts
from poolmaker.sandbox.story.model import StoryOptions, Told
from poolmaker.sandbox.story.plan import make_plan
from poolmaker.sandbox.story.stage import TOKEN_NAME, Stage
from poolmaker.sandbox.story.wire import session

SEED: Final = 20261
STORY_S: Final = 1_800
"""How long the story may take before the soak begins."""
MEMORY_FROM_US: Final = 10 * MINUTE_US
"""Slopes are taken from here, in a shorter run from its middle."""
IDLE_S: Final = 30
SETTLE_S: Final = 20
_PAGE: Final = aiohttp.ClientTimeout(total=60)
_CHAIN: Final = ("anvil", "sandbox.chain")
_ENDED: Final = frozenset(
    {"DONE", "RETURNED", "DECLINED", "RELEASED", "DEBITED", "REFUSED", "CLOSED", "CREDITED"}
)
_UNFINISHED: Final = (
    ("transfers", "transfer_id"),
    ("withdrawals", "withdrawal_id"),
    ("rewards", "reward_id"),
)
_FREE: Final = "the market goes on"

Sample = tuple[int, float]
"""(monotonic microseconds, value)."""


class Soak:
    """Everything that one run has measured; times are microseconds of the monotonic clock."""

    def __init__(self, home: Path, port: int, root: int) -> None:
        self.clock = SystemClock()
        self.home = home
        self.page = f"http://127.0.0.1:{port}"
        self.root = root
        self.began_us = self.clock.monotonic_us()
        self.page_s: list[float] = []
        self.oldest_s = 0.0
        self.unfinished: dict[str, int] = {}
        self.memory: dict[tuple[int, str], list[Sample]] = {}
        self.disk: list[Sample] = []
        self.wal_mb = 0.0
        self.problems: list[str] = []
        self._seen_us: dict[str, int] = {}

    async def watch(self, minutes: float) -> None:
        """Look for so long."""
        async with aiohttp.ClientSession(timeout=_PAGE) as http:
            looks = [
                asyncio.create_task(self._every(1, self._open_page, http)),
                asyncio.create_task(self._every(5, self._ask_unfinished, http)),
                asyncio.create_task(self._every(10, self._weigh, http)),
            ]
            await self.clock.sleep_us(round(minutes * MINUTE_US))
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    async def _every(self, seconds: int, look: Any, http: aiohttp.ClientSession) -> None:
        while True:
            try:
                await look(http)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
                self.problems.append(f"{look.__name__}: {type(problem).__name__} {problem}")
            await self.clock.sleep_us(seconds * SECOND_US)

    async def _open_page(self, http: aiohttp.ClientSession) -> None:
        before_us = self.clock.monotonic_us()
        try:
            async with http.get(self.page) as answer:
                await answer.read()
        finally:
            self.page_s.append((self.clock.monotonic_us() - before_us) / SECOND_US)

    async def _ask_unfinished(self, http: aiohttp.ClientSession) -> None:
        token = (self.home / TOKEN_NAME).read_text("utf-8").strip()
        now_us = self.clock.now_us()
        for path, key in _UNFINISHED:
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(f"{self.page}/api/v1/{path}", headers=headers) as answer:
                rows = await answer.json()
            open_rows = [row for row in rows if str(row["state"]).upper() not in _ENDED]
            self.unfinished[path] = max(self.unfinished.get(path, 0), len(open_rows))
            for row in open_rows:
                since_us = self._seen_us.setdefault(str(row[key]), now_us)
                self.oldest_s = max(self.oldest_s, (now_us - since_us) / SECOND_US)

    async def _weigh(self, _http: aiohttp.ClientSession) -> None:
        now_us = self.clock.monotonic_us()
        data = place(self.home).data
        for pid, name in processes(self.root, data).items():
            self.memory.setdefault((pid, name), []).append((now_us, private_mb(pid)))
        total, wal = disk_mb(data)
        self.disk.append((now_us, total))
        self.wal_mb = max(self.wal_mb, wal)

    def figures(self) -> dict[str, float]:
        """The figures of ``[soak]`` but for the idle ones."""
        from_us = self._slopes_from_us()
        slopes = self.slopes()
        chain = (
            mb
            for (_, name), samples in self.memory.items()
            if any(word in name for word in _CHAIN)
            for _, mb in samples
        )
        return {
            "page_p99_s": round(percentile(self.page_s, 99), 3),
            "oldest_unfinished_s": round(self.oldest_s, 1),
            "mb_per_min_of_any_process": round(max(slopes.values(), default=0.0), 2),
            "chain_node_mb": round(max(chain, default=0.0), 1),
            "disk_mb_per_h": round(
                60 * slope_per_min([s for s in self.disk if s[0] >= from_us]), 1
            ),
        }

    def slopes(self) -> dict[str, float]:
        """MB per minute of each process that was there long enough."""
        from_us, until_us = self._slopes_from_us(), self.clock.monotonic_us()
        found = {}
        for (pid, name), samples in self.memory.items():
            late = [sample for sample in samples if sample[0] >= from_us]
            if late and late[-1][0] - late[0][0] > (until_us - from_us) * 0.6:
                found[f"{name} {pid}"] = round(slope_per_min(late), 2)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _slopes_from_us(self) -> int:
        length_us = self.clock.monotonic_us() - self.began_us
        return self.began_us + min(MEMORY_FROM_US, length_us // 2)

    def context(self) -> dict[str, Any]:
        """What a reader needs beside the figures."""
        return {
            "steepest_mb_per_min": dict(list(self.slopes().items())[:6]),
            "most_unfinished": self.unfinished,
            "pages": len(self.page_s),
            "page_p50_s": round(percentile(self.page_s, 50), 3),
            "wal_mb": round(self.wal_mb, 1),
            "problems": len(self.problems),
            "first_problems": self.problems[:3],
        }


# ------------------------------------------------------------------------------------ arithmetic


def percentile(values: list[float], percent: int) -> float:
    """The value that so many per cent do not exceed; 0 without any."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


def slope_per_min(samples: list[Sample]) -> float:
    """Least squares: how much the value grows in a minute; 0 for fewer than three samples."""
    if len(samples) < 3:  # noqa: PLR2004
        return 0.0
    minutes = [(at_us - samples[0][0]) / MINUTE_US for at_us, _ in samples]
    values = [value for _, value in samples]
    middle, level = sum(minutes) / len(minutes), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in minutes)
    moved = sum((at - middle) * (v - level) for at, v in zip(minutes, values, strict=True))
    return moved / spread if spread else 0.0


# ----------------------------------------------------------------------------- what the kernel says


def processes(root: int, data: Path) -> dict[int, str]:
    """Every process below ``root`` and those that work in the database's folder, with a name."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid = int(entry.name)
            fields = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
            parents[pid] = int(fields[1])
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            names[pid] = _name_of(words)
    found = {pid: names[pid] for pid in parents if _is_below(pid, root, parents)}
    for pid in parents:
        with suppress(OSError):
            if (Path("/proc") / str(pid) / "cwd").samefile(data):
                found[pid] = "postgres"
    return {pid: name for pid, name in found.items() if name and "soak" not in name}


def _is_below(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    while pid > 1:
        if pid == root:
            return True
        pid = parents.get(pid, 0)
    return False


def _name_of(words: list[str]) -> str:
    modules = [word for word in words if word.startswith("poolmaker.")]
    if modules:
        return modules[0].removeprefix("poolmaker.")
    return Path(words[0]).name


def private_mb(pid: int) -> float:
    """What only this process holds in memory."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        rows = dict(line.split(":", 1) for line in text.splitlines()[1:])
        kb = sum(int(rows[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
        return kb / 1024
    return 0.0


def disk_mb(data: Path) -> tuple[float, float]:
    """The database's folder without its write-ahead log, and the log."""
    total = wal = 0
    for folder, _, files in os.walk(data):
        for name in files:
            with suppress(OSError):
                size = (Path(folder) / name).stat().st_size
                if "pg_wal" in Path(folder).parts:
                    wal += size
                else:
                    total += size
    return total / (1 << 20), wal / (1 << 20)


# ------------------------------------------------------------------------------------- the two runs


@contextmanager
def busy_cores() -> Iterator[None]:
    """One loop for each core that does nothing but burn it."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@asynccontextmanager
async def running_demo(home: Path, port: int) -> AsyncIterator[int]:
    """The demo after its story, its market going on; the process id."""
    command = ["demo", "--seed", str(SEED), "--home", str(home), "--port", str(port)]
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.cli", *command,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if demo.stdout is None:
        raise RuntimeError("the demo has no output")
    try:
        async with asyncio.timeout(STORY_S):
            while _FREE not in (line := (await demo.stdout.readline()).decode()):
                sys.stderr.write(line)
                if not line:
                    raise RuntimeError("the demo ended before its market went on")
        reading = asyncio.create_task(_copied(demo.stdout))
        yield demo.pid
        reading.cancel()
    finally:
        with suppress(ProcessLookupError):
            demo.terminate()  # whoever starts us in the background has SIGINT ignored
        await demo.wait()


async def _copied(stream: asyncio.StreamReader) -> None:
    while line := await stream.readline():
        sys.stderr.write(line.decode())


async def soak(home: Path, minutes: float) -> tuple[dict[str, float], dict[str, Any]]:
    """Figures and context of the demo that is left running."""
    port = _free_port()
    async with running_demo(home, port) as root:
        with busy_cores():
            run = Soak(home, port, root)
            await run.watch(minutes)
        return run.figures(), run.context()


async def idle_statements_per_s(home: Path) -> float:
    """Statements that a platform with one pool sends when nobody acts and nobody looks."""
    clock = SystemClock()
    options = StoryOptions(
        home=home, port=_free_port(), once=True, as_json=True, seed=SEED, recording=None
    )
    async with session() as wires:
        stage = Stage(options, make_plan(SEED), Told(seed=SEED), clock, wires)
        try:
            await acts.begin(stage)
            await acts.join(stage, await acts.deposit(stage))
            await stage.outside.rest(resting=True)
            await clock.sleep_us(SETTLE_S * SECOND_US)
            return await statements_per_s(home, IDLE_S)
        finally:
            await stage.close()


async def statements_per_s(home: Path, seconds: int) -> float:
    """Every statement that the server is sent, BEGIN and COMMIT included, as its own log says."""
    placement = place(home)
    dsn = local_dsn(placement.run, placement.passwords, ADMIN, DATABASE)
    connection = await asyncpg.connect(**connect_arguments(dsn))
    try:
        await _log_statements(connection, "all")
        before = _logged(placement.data)
        await SystemClock().sleep_us(seconds * SECOND_US)
        after = _logged(placement.data)
        await _log_statements(connection, "none")
    finally:
        await connection.close()
    return (len(after) - len(before)) / seconds


async def _log_statements(connection: Any, which: str) -> None:
    await connection.execute(f"ALTER SYSTEM SET log_statement = '{which}'")
    await connection.execute("SELECT pg_reload_conf()")
    await SystemClock().sleep_us(SECOND_US)


def _logged(data: Path) -> list[str]:
    lines = []
    for log in sorted((data / "log").glob("server-*.log")):
        text = log.read_text("utf-8", "replace").splitlines()
        lines += [line for line in text if "LOG:  execute " in line or "LOG:  statement: " in line]
    return lines


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def measure(home: Path, minutes: float) -> tuple[dict[str, float], dict[str, Any]]:
    """All figures of ``[soak]``; what was made is removed."""
    clock = SystemClock()
    found, context = await soak(home / "demo", minutes)
    try:
        found["idle_statements_per_s"] = round(await idle_statements_per_s(home / "idle"), 1)
    finally:
        for name in ("demo", "idle"):
            await Cluster.erase(home / name, clock)
    return found, context


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--home", type=Path, help="where the demo's data is made and removed")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # what was started is ended
    bounds = tomllib.loads((FOLDER / "figures.toml").read_text("utf-8"))["soak"]
    with tempfile.TemporaryDirectory(prefix="poolmaker-soak-") as folder:
        home = (options.home or Path(folder)).absolute()
        (home / "idle").mkdir(parents=True, exist_ok=True)
        figures, context = asyncio.run(measure(home, options.minutes))
    missed = [name for name, bound in bounds.items() if not holds(figures.get(name), bound)]
    context |= {
        "minutes": options.minutes,
        "cores": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "missed": missed,
    }
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "context": context}) + "\n")
    else:
        for name, bound in bounds.items():
            sys.stdout.write(f"{name:28} {figures.get(name)!s:>10}  {bound}\n")
        sys.stdout.write(json.dumps(context, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
