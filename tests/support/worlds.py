"""Sandbox worlds as processes for tests: started, reached over their sockets, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

START_TIMEOUT_S = 100
STOP_TIMEOUT_S = 20
UNUSABLE = 2


@dataclass(frozen=True)
class RunningWorld:
    """The ready line of a world, and its admin port."""

    ready: dict[str, Any]
    pid: int

    async def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Do what the outside world does; the answer with its ``status``."""
        timeout = aiohttp.ClientTimeout(total=90)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.ready["admin"] + path, json=body) as answer,
        ):
            found: dict[str, Any] = await answer.json()
            return {**found, "status": answer.status}


@contextlib.asynccontextmanager
async def running_world(name: str, *arguments: str) -> AsyncIterator[RunningWorld]:
    """Start ``python -m poolmaker.sandbox.NAME``, stop it with SIGTERM, expect exit code 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"poolmaker.sandbox.{name}", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT_S)
        if not line:
            said = (await process.stderr.read()).decode()
            missing = await process.wait() == UNUSABLE and os.environ.get("CI") != "true"
            if missing and "npm" in said:
                pytest.skip(f"install what it names: {said}")
            raise AssertionError(said[-2_000:])
        yield RunningWorld(json.loads(line), process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        said_bytes = (await asyncio.wait_for(process.communicate(), STOP_TIMEOUT_S))[1]
    assert process.returncode == 0, said_bytes.decode()[-2_000:]
