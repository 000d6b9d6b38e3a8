"""The processes of the story: the worlds, the platform, its commands, and the judge."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.story.model import StoryFailed

READY_S: Final = 90
STOP_S: Final = 15
COMMAND_S: Final = 90
LINE_BYTES_MAX: Final = 262_144
_TAIL_BYTES: Final = 4_096
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
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def world_child(name: str, arguments: Sequence[str], log: Path) -> Child:
    """A world as a process of its own, on ports that the system chooses."""
    command = [sys.executable, "-m", f"poolmaker.sandbox.{name}", *arguments]
    return Child(name, command, log)


def venue_arguments(seed: int, recording: Path | None, initial: str) -> list[str]:
    """A venue whose first account starts with ``initial`` and whose withdrawals others carry."""
    arguments = ["--seed", str(seed), "--initial-1", initial, "--withdrawals-by-hand"]
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
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise StoryFailed(
            f"the {world.name} was not ready within {READY_S} s; see {world.log}"
        ) from None
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
    try:
        async with asyncio.timeout(COMMAND_S):
            output, errors = await process.communicate()
    except BaseException as problem:
        process.kill()
        if isinstance(problem, TimeoutError):
            raise StoryFailed(f"{said} did not end in {COMMAND_S} s") from None
        raise
    lines = output.decode().strip().splitlines()
    if not lines:
        raise StoryFailed(f"{said} said nothing: {errors.decode()[-500:].strip()}")
    found: Mapping[str, Any] = json.loads(lines[-1])
    return found
