"""The chain as a process: public RPC and admin port on loopback around one anvil."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import Clock
from poolmaker.sandbox.chain.admin import ChainAdmin
from poolmaker.sandbox.chain.anvil import start_anvil
from poolmaker.sandbox.chain.contracts import Deployer
from poolmaker.sandbox.chain.model import addresses
from poolmaker.sandbox.chain.options import CHAIN_ID, MNEMONIC, ChainOptions
from poolmaker.sandbox.chain.packages import anvil_of, node_packages
from poolmaker.sandbox.chain.wire import RpcWire
from poolmaker.sandbox.serving import Ports, bind, say, stop_on_signals, until


@dataclass(frozen=True, slots=True)
class ChainAddresses:
    """Where a running chain is reached and what is on it: the ready line."""

    rpc: str
    chain_id: int
    mnemonic: str
    contracts: dict[str, str]
    admin: str


async def _beat(admin: ChainAdmin, block_ms: int, clock: Clock) -> None:
    """Blocks that come by themselves."""
    while True:
        await clock.sleep_us(block_ms * 1_000)
        if admin.is_mining:
            await admin.mine(1)


async def serve(options: ChainOptions) -> None:
    """Run a chain until SIGTERM or SIGINT; prints its addresses as one JSON line when ready.

    Raises EnvironmentProblem when a port is taken, node is missing or the packages cannot be
    fetched.
    """
    stop, clock, ports = stop_on_signals(), SystemClock(), Ports()
    public, private = bind(options.port), bind(options.admin_port, "--admin-port")
    modules = await node_packages(options.packages)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        anvil = await start_anvil(anvil_of(modules), session, clock, options.finality_blocks)
        try:
            await Deployer(anvil.rpc, modules, clock).deploy()
            wire = RpcWire(
                anvil.rpc,
                clock,
                mines_each=not options.block_ms,
                tip_min_wei=options.tip_min_gwei * 10**9,
            )
            admin = ChainAdmin(anvil.rpc, clock, wire.faults, options)
            beats = [anvil.ended()]
            if options.block_ms:
                await anvil.rpc.call("evm_setAutomine", False)
                beats.append(_beat(admin, options.block_ms, clock))
            ready = ChainAddresses(
                rpc=await ports.serve(public, wire.handle), chain_id=CHAIN_ID, mnemonic=MNEMONIC,
                contracts=addresses(), admin=await ports.serve_app(private, admin.app()),
            )  # fmt: skip
            say(ready)
            await until(stop, beats)
        finally:
            await ports.close()
            await anvil.stop()
