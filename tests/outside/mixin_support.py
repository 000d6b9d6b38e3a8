"""A program with Mixin's official Node SDK, and a sandbox Mixin as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.node import Node, program_with_packages

PROGRAMS = Path(__file__).resolve().parent / "programs" / "mixin"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


async def sdk_program(node: Node, name: str) -> Path:
    """The program ``name`` with Mixin's SDK beside it."""
    return await program_with_packages(node, PROGRAMS, name)


@dataclass(frozen=True)
class RunningMixin:
    """The ready line of a process, and its admin port."""

    line: str

    @property
    def ready(self) -> dict[str, Any]:
        """Addresses and keystores."""
        found: dict[str, Any] = json.loads(self.line)
        return found

    async def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Do what the outside world does."""
        timeout = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.ready["admin"] + path, json=body) as answer,
        ):
            found: dict[str, Any] = await answer.json()
            return found


@contextlib.asynccontextmanager
async def running_mixin(*arguments: str) -> AsyncIterator[RunningMixin]:
    """Start ``python -m poolmaker.sandbox.mixin``, stop it with SIGTERM, expect exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.mixin", "--port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        yield RunningMixin(line.decode().strip())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    assert code == 0, f"Mixin ended with {code}"
