"""The relay as a process: one line when it has seen both sides, until SIGTERM."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import EnvironmentProblem, PreconditionError, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.chain.options import CHAIN_ID
from poolmaker.sandbox.chain.rpc import Rpc, RpcRefused
from poolmaker.sandbox.relay.model import RelayNotice
from poolmaker.sandbox.relay.onchain import ChainWorld
from poolmaker.sandbox.relay.options import RelayOptions
from poolmaker.sandbox.relay.port import TIMEOUT_S
from poolmaker.sandbox.relay.ports import RelayChain, RelayWorld
from poolmaker.sandbox.relay.service import Relay
from poolmaker.sandbox.relay.worlds import MixinWorld, VenueWorld
from poolmaker.sandbox.serving import say, stop_on_signals, until

DELAY_MS_MAX: Final = 3_600_000
CONFIRMATIONS_MAX: Final = 64


def tell(told: RelayNotice) -> None:
    """One JSON line on standard error."""
    sys.stderr.write(msgspec.json.encode(told).decode() + "\n")
    sys.stderr.flush()


async def _checked(worlds: Sequence[RelayWorld]) -> None:
    for world in worlds:
        try:
            await world.pending()
        except (PreconditionError, Unavailable) as problem:
            raise EnvironmentProblem(
                f"{problem}; start the sandbox {world.side} first, "
                f"and name its admin address with --{world.side}-admin."
            ) from None


async def _chain(options: RelayOptions, session: aiohttp.ClientSession) -> RelayChain | None:
    """The chain between the sides, where one is named.

    Raises EnvironmentProblem when only one of its addresses is named or it is not there.
    """
    url, admin = options.chain_rpc, options.chain_admin
    if url is None and admin is None:
        return None
    if url is None or admin is None:
        raise EnvironmentProblem("A chain needs both its addresses: --chain and --chain-admin.")
    rpc = Rpc(session, url, "relay")
    chain = ChainWorld(rpc, session, admin, options.confirmations)
    try:
        is_ours = await rpc.number("eth_chainId") == CHAIN_ID
        await chain.check()
    except (PreconditionError, RpcRefused, Unavailable) as problem:
        raise EnvironmentProblem(
            f"{problem}; start the sandbox chain first, and name its addresses with --chain and "
            "--chain-admin."
        ) from None
    if not is_ours:
        raise EnvironmentProblem(
            f"The chain at {url} is not the sandbox chain; name it by --chain."
        )
    return chain


def _check_numbers(options: RelayOptions) -> None:
    ranges = (
        ("delay", "--delay-ms", options.delay_ms, DELAY_MS_MAX),
        ("number of confirmations", "--confirmations", options.confirmations, CONFIRMATIONS_MAX),
    )
    for name, option, value, most in ranges:
        if not 0 <= value <= most:
            raise EnvironmentProblem(f"The {name} is {value}; choose 0 to {most} with {option}.")


async def serve(options: RelayOptions) -> None:
    """Carry until SIGTERM or SIGINT; prints its options as one JSON line when ready.

    Raises EnvironmentProblem when a side is not there or a number is out of range.
    """
    _check_numbers(options)
    stop = stop_on_signals()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        worlds = (
            VenueWorld(session, options.venue_admin), MixinWorld(session, options.mixin_admin)
        )  # fmt: skip
        await _checked(worlds)
        chain = await _chain(options, session)
        rng = Rng(options.seed).fork("relay")
        relay = Relay(worlds, SystemClock(), rng, options.delay_ms * 1_000, tell, chain)
        say(options)
        await until(stop, [relay.run()])
