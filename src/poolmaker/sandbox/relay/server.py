"""The relay as a process: one line when it has seen both sides, until SIGTERM."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.errors import CallerFault, EnvironmentProblem, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.chain.loopback import say, stop_on_signals, until
from poolmaker.sandbox.relay.model import Told
from poolmaker.sandbox.relay.options import RelayOptions
from poolmaker.sandbox.relay.ports import World
from poolmaker.sandbox.relay.service import Relay
from poolmaker.sandbox.relay.worlds import TIMEOUT_S, MixinWorld, VenueWorld

DELAY_MS_MAX: Final = 3_600_000


def tell(told: Told) -> None:
    """One JSON line on standard error."""
    sys.stderr.write(msgspec.json.encode(told).decode() + "\n")
    sys.stderr.flush()


async def _checked(worlds: Sequence[World]) -> None:
    for world in worlds:
        try:
            await world.pending()
        except (CallerFault, Unavailable) as problem:
            raise EnvironmentProblem(
                f"{problem}; start the sandbox {world.side} first, "
                f"and name its admin address with --{world.side}-admin."
            ) from None


async def serve(options: RelayOptions) -> None:
    """Carry until SIGTERM or SIGINT; prints its options as one JSON line when ready.

    Raises EnvironmentProblem when a side is not there or the delay is out of range.
    """
    if not 0 <= options.delay_ms <= DELAY_MS_MAX:
        raise EnvironmentProblem(
            f"The delay is {options.delay_ms} ms; choose 0 to {DELAY_MS_MAX} with --delay-ms."
        )
    stop = stop_on_signals()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        worlds = (
            VenueWorld(session, options.venue_admin), MixinWorld(session, options.mixin_admin)
        )  # fmt: skip
        await _checked(worlds)
        rng = Rng(options.seed).fork("relay")
        relay = Relay(worlds, SystemClock(), rng, options.delay_ms * 1_000, tell)
        say(options)
        await until(stop, [relay.run()])
