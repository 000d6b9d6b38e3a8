"""The processes of the story: the venue, the platform, and the platform's own commands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.story.model import StoryFailed

READY_S: Final = 20
STOP_S: Final = 15
COMMAND_S: Final = 60
LINE_BYTES_MAX: Final = 65_536
_TAIL_BYTES: Final = 4_096
_OWN_NAMES: Final = "POOLMAKER_"


def environment() -> dict[str, str]:
    """The environment without the operator's own settings: the demo has its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN_NAMES)}


class Child:
    """One process in a group of its own, so that Ctrl-C reaches only the story."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, stdout: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        """Start it; what it logs goes to its file."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
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


def venue_child(seed: int, recording: Path | None, initial: str, log: Path) -> Child:
    """The sandbox venue as a process of its own; its first account starts with ``initial``."""
    command = [sys.executable, "-m", "poolmaker.sandbox.venue", "--port", "0", "--seed", str(seed)]
    command += ["--initial-1", initial]
    if recording is not None:
        command += ["--recording", str(recording)]
    return Child("venue", command, log)


def platform_child(config: Path, log: Path) -> Child:
    """The platform as a process of its own."""
    command = [sys.executable, "-m", "poolmaker.cli", "up", "--config", str(config)]
    return Child("platform", command, log)


async def addresses(venue: Child) -> Mapping[str, Any]:
    """Start the venue and read the line that it prints when it is ready."""
    process = await venue.start(asyncio.subprocess.PIPE)
    if process.stdout is None:
        raise StoryFailed("the venue has no output")
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise StoryFailed(f"the venue was not ready within {READY_S} s; see {venue.log}") from None
    if not line:
        await venue.wait()
        raise EnvironmentProblem(venue.last_words() or f"the venue did not start; see {venue.log}")
    found: Mapping[str, Any] = json.loads(line)
    return found


async def command_json(arguments: list[str]) -> Mapping[str, Any]:
    """Run one command of the platform in a process of its own; its JSON answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "poolmaker.cli",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        raise StoryFailed(f"{' '.join(arguments)} did not end in {COMMAND_S} s") from None
    lines = output.decode().strip().splitlines()
    if not lines:
        raise StoryFailed(f"{' '.join(arguments)} said nothing: {errors.decode()[-500:].strip()}")
    found: Mapping[str, Any] = json.loads(lines[-1])
    return found
