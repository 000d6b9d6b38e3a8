"""The start-up contract: one line when ready, SIGTERM ends it, a taken port is one sentence."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Sequence

from poolmaker.kernel.clock import ManualClock
from poolmaker.mixin.codec.keys import seed_public_key
from poolmaker.sandbox.mixin.options import MixinOptions
from poolmaker.sandbox.mixin.server import build_house

LIMIT_S = 60


async def _start(arguments: Sequence[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "poolmaker.sandbox.mixin", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_it_says_where_it_is_and_ends_when_told() -> None:
    process = await _start(["--users", "2", "--seed", "7"])
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), LIMIT_S))
    assert ready.keys() == {"api", "blaze", "admin", "bot", "users"}
    assert ready["api"].startswith("http://127.0.0.1:")
    assert ready["blaze"].startswith("ws://127.0.0.1:")
    assert len(ready["users"]) == 2
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0
    assert await process.stdout.read() == b""


async def test_a_taken_port_is_one_sentence_and_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await _start(["--port", str(port)])
        output, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert (process.returncode, output) == (2, b"")
    assert errors.decode().strip().count("\n") == 0
    assert f"Port {port}" in errors.decode()


def test_one_seed_gives_the_same_people_and_another_seed_others() -> None:
    def people(seed: int) -> list[dict[str, str]]:
        world = build_house(MixinOptions(seed=seed, users=2), ManualClock()).world
        return [one.keystore(world.server_key) for one in world.people.values()]

    assert people(1) == people(1)
    assert not {one["session_private_key"] for one in people(1)} & {
        one["session_private_key"] for one in people(2)
    }
    assert all(seed_public_key(bytes.fromhex(one["session_private_key"])) for one in people(1))
