"""The node's process: started on a free port, asked until it answers, ended with ours."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from pathlib import Path
from typing import Final

import aiohttp

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem, Unavailable
from poolmaker.sandbox.chain.options import ACCOUNTS, CHAIN_ID, MNEMONIC, states_kept
from poolmaker.sandbox.chain.rpc import Rpc

LOOPBACK: Final = "127.0.0.1"
START_TIMEOUT_US: Final = 30 * SECOND_US
STOP_TIMEOUT_S: Final = 5
TRIES_MAX: Final = 3
POLL_US: Final = 20_000


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _command(binary: Path, port: int, finality_blocks: int) -> list[str]:
    command = [
        str(binary), "--host", LOOPBACK, "--port", str(port), "--chain-id", str(CHAIN_ID),
        "--mnemonic", MNEMONIC, "--accounts", str(ACCOUNTS), "--base-fee", "0", "--silent",
        # The node calls final what lies two epochs back.
        "--slots-in-an-epoch", str(finality_blocks // 2),
        # Old states would fill the disk of whoever lets a demo run: some megabytes a second.
        "--prune-history", str(states_kept(finality_blocks)),
    ]  # fmt: skip
    # Where the system offers it, the node dies even when this process is killed.
    guard = shutil.which("setpriv")
    return [guard, "--pdeathsig", "KILL", "--", *command] if guard else command


class Anvil:
    """One running node."""

    def __init__(self, process: asyncio.subprocess.Process, rpc: Rpc) -> None:
        self._process = process
        self.rpc = rpc

    async def ended(self) -> None:
        """Wait until the node ends by itself, which it should not.

        Raises EnvironmentProblem then.
        """
        code = await self._process.wait()
        raise EnvironmentProblem(f"The chain's node ended with code {code}; start it again.")

    async def stop(self) -> None:
        """End the node, by force when it does not listen."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def start_anvil(
    binary: Path, session: aiohttp.ClientSession, clock: Clock, finality_blocks: int
) -> Anvil:
    """A node that answers; mines a block for every transaction until told otherwise.

    Raises EnvironmentProblem when it does not come up.
    """
    for _ in range(TRIES_MAX):
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            *_command(binary, port, finality_blocks), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        node = Anvil(process, Rpc(session, f"http://{LOOPBACK}:{port}"))
        try:
            if await _answers(node.rpc, process, clock):
                return node
        except BaseException:
            await node.stop()
            raise
        await node.stop()
    raise EnvironmentProblem(
        f"The chain's node {binary} does not start on this machine; run it by hand to see why."
    )


async def _answers(rpc: Rpc, process: asyncio.subprocess.Process, clock: Clock) -> bool:
    until = clock.monotonic_us() + START_TIMEOUT_US
    while process.returncode is None and clock.monotonic_us() < until:
        try:
            if await rpc.number("eth_chainId") == CHAIN_ID:
                return True
        except Unavailable:
            await clock.sleep_us(POLL_US)
    return False
