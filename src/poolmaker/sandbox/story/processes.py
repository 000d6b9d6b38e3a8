"""The processes of the story: the worlds, the platform, its commands, and the judge."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.story.model import StoryFailed
from poolmaker.sandbox.story.patience import Patience

READY_S: Final = 120
STOP_S: Final = 90
COMMAND_S: Final = 120
LINE_BYTES_MAX: Final = 262_144
_TAIL_BYTES: Final = 16_384
_LOOK_S: Final = 0.5
_WHY: Final = ("problem", "error", "why", "sentence")
_OWN_NAMES: Final = "POOLMAKER_"


def environment() -> dict[str, str]:
    """The environment without the operator's own settings: the demo has its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN_NAMES)}


def _leash() -> list[str]:
    """What makes a program end when we do, however we end."""
    program = str(Path(__file__).with_name("leash.py"))
    return [sys.executable, "-I", "-S", program, str(os.getpid())]


class Child:
    """One process in a group of its own, so that Ctrl-C reaches only the story.

    It ends when the story does, also when that is killed.
    """

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, stdout: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        """Start it; what it logs goes to its file."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_leash(),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                env=environment(),
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        return self._process

    @property
    def pid(self) -> int:
        """Its process id; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs or before the start."""
        return self._process.returncode if self._process else None

    def kill(self) -> None:
        """SIGKILL: no farewell."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code once it has ended."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not end."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        if not await _within(STOP_S, self._process.wait()):
            self.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """The last sentence of its log; of a line of JSON what it says, never the line itself."""
        try:
            lines = self.log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((said for line in reversed(lines) if (said := _sentence(line))), "")

    def ending(self) -> str:
        """How it ended, in words."""
        code = self.ended
        if code is None:
            return f"the {self.name} is running"
        if code < 0:
            return f"the {self.name} was ended from outside by {signal.Signals(-code).name}"
        said = self.last_words() or "it said nothing"
        return f"the {self.name} ended by itself (exit code {code}): {said}"


async def _within(patience_s: int, work: Awaitable[object]) -> bool:
    """Whether ``work`` ended before patience did; it is cancelled otherwise."""
    clock = SystemClock()
    patience = Patience(clock, patience_s * SECOND_US)
    task = asyncio.ensure_future(work)
    try:
        while not task.done() and not patience.is_over():
            await asyncio.wait({task}, timeout=_LOOK_S)
        return task.done()
    finally:
        task.cancel()


def _sentence(line: str) -> str:
    line = line.strip()
    if not line.startswith("{"):
        return line.removeprefix("poolmaker: ")
    try:
        found = json.loads(line)
    except ValueError:
        return ""  # The beginning or the end of a line.
    why = next((str(found[name]) for name in _WHY if found.get(name)), "")
    return ": ".join(filter(None, (str(found.get("event", "")), why)))


def world_child(name: str, arguments: Sequence[str], log: Path) -> Child:
    """A world as a process of its own, on ports that the system chooses."""
    command = [sys.executable, "-m", f"poolmaker.sandbox.{name}", *arguments]
    return Child(name, command, log)


def venue_arguments(seed: int, recording: Path | None) -> list[str]:
    """A venue whose first account starts with nothing and whose withdrawals others carry."""
    arguments = ["--seed", str(seed), "--initial-1", "", "--withdrawals-by-hand"]
    return arguments if recording is None else [*arguments, "--recording", str(recording)]


def platform_child(config: Path, log: Path) -> Child:
    """The platform as a process of its own."""
    command = [sys.executable, "-m", "poolmaker.cli", "up", "--config", str(config)]
    return Child("platform", command, log)


async def ready_line(world: Child) -> Mapping[str, Any]:
    """Start a world and read the line that it prints when it is ready."""
    process = await world.start(asyncio.subprocess.PIPE)
    if process.stdout is None:
        raise StoryFailed(f"the {world.name} has no output")
    reading = asyncio.ensure_future(process.stdout.readline())
    if not await _within(READY_S, reading):
        raise StoryFailed(f"the {world.name} does not become ready; see {world.log}")
    line = reading.result()
    if not line:
        await world.wait()
        said = world.last_words() or f"it said nothing; see {world.log}"
        raise EnvironmentProblem(f"the {world.name} did not start: {said}")
    found: Mapping[str, Any] = json.loads(line)
    return found


def checkout() -> Path:
    """The folder that the judge lies in, which is not a part of an installed package."""
    folder = Path(__file__).resolve().parents[4]
    if not (folder / "tools" / "judge" / "__main__.py").is_file():
        raise EnvironmentProblem(
            "the judge of the demo is in tools/judge of the sources; run the demo from a checkout"
        )
    return folder


async def command_json(arguments: list[str]) -> Mapping[str, Any]:
    """Run one command of the platform in a process of its own; its JSON answer."""
    return await _json_of([sys.executable, "-m", "poolmaker.cli", *arguments], None)


async def judge_json(config: Path, database: str, patience_s: int) -> Mapping[str, Any]:
    """What the judge says, in a process of its own."""
    arguments = ["--config", str(config), "--database", database, "--json"]
    arguments += ["--patience-s", str(patience_s)]
    return await _json_of([sys.executable, "-m", "tools.judge", *arguments], checkout())


async def _json_of(command: list[str], folder: Path | None) -> Mapping[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        start_new_session=True,
        limit=LINE_BYTES_MAX,
    )
    said = " ".join(command[2:4])
    talking = asyncio.ensure_future(process.communicate())
    try:
        if not await _within(COMMAND_S, talking):
            raise StoryFailed(f"{said} does not end")
    finally:
        if process.returncode is None:
            process.kill()
    output, errors = talking.result()
    lines = output.decode().strip().splitlines()
    if not lines:
        raise StoryFailed(f"{said} said nothing: {errors.decode()[-500:].strip()}")
    found: Mapping[str, Any] = json.loads(lines[-1])
    return found
