"""Serves the pages over the made-up platform: ``python -m tests.e2e.preview [PORT]``."""

from __future__ import annotations

import asyncio
import sys

import uvicorn

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import SECOND_US
from poolmaker.web.site import create_site
from tests.e2e.world import FakeWorld


async def _main(port: int) -> None:
    clock = SystemClock()
    world = FakeWorld(clock)
    world.furnish()

    async def live() -> None:
        while True:
            await clock.sleep_us(SECOND_US)
            world.step(clock.now_us())

    walking = asyncio.create_task(live())
    config = uvicorn.Config(
        create_site(world.showing()), host="127.0.0.1", port=port, log_level="warning"
    )
    await uvicorn.Server(config).serve()
    walking.cancel()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 8421))
