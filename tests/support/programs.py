"""Outside programs in environments of their own, made once per machine user and package set."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.venue import RunningVenue

INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 100
PROGRAMS = Path(__file__).resolve().parents[1] / "outside" / "programs"
UV = Path(sys.executable).with_name("uv")


async def _run(*command: str, limit_s: float) -> tuple[int, str, str]:
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), limit_s)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(), errors.decode()


async def run_outside(*command: str, limit_s: float = RUN_TIMEOUT_S) -> tuple[int, str, str]:
    """Run a program to its end: its exit code, what it printed, and its complaints."""
    return await _run(*command, limit_s=limit_s)


async def environment_with(*packages: str) -> Path:
    """The Python of an environment that holds ``packages``; skipped when it cannot be made."""
    digest = hashlib.sha256(" ".join((sys.version, *packages)).encode()).hexdigest()[:16]
    uid = os.getuid()
    home = Path(tempfile.gettempdir()) / f"poolmaker-programs-{uid}" / digest
    python = home / "bin" / "python"
    if (home / "ready").exists():
        return python
    home.parent.mkdir(mode=0o700, exist_ok=True)
    made, _, problem = await _run(
        str(UV), "venv", "-q", "--clear", str(home), limit_s=INSTALL_TIMEOUT_S
    )
    if not made:
        made, _, problem = await _run(
            str(UV), "pip", "install", "-q", "--python", str(python), *packages,
            limit_s=INSTALL_TIMEOUT_S,
        )  # fmt: skip
    if made and os.environ.get("CI") != "true":
        pytest.skip(f"to see it run, install: uv pip install {' '.join(packages)}")
    assert made == 0, problem
    (home / "ready").touch()
    return python


async def run_program(python: Path, name: str, venue: RunningVenue, ready: str) -> str:
    """What the program printed; its own words when it failed."""
    code, output, errors = await _run(
        str(python), str(PROGRAMS / name), ready, limit_s=RUN_TIMEOUT_S
    )
    assert code == 0, errors[-3_000:]
    assert (await venue.admin("GET", "/invariants"))["ok"] is True
    return output
