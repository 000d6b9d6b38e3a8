"""Serves the pages over the made-up platform: ``python -m tests.e2e.preview [PORT]``.

Prints its address as one line when it is ready and runs until it is terminated.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from poolmaker.api.server import bind, create_api, serve
from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import SECOND_US
from poolmaker.web.site import create_site
from tests.e2e.world import FakeWorld


async def _main(port: int) -> None:
    clock = SystemClock()
    world = FakeWorld(clock)
    world.furnish()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, world.stopping.set)

    async def live() -> None:
        while True:
            await clock.sleep_us(SECOND_US)
            world.step(clock.now_us())

    listener = bind("127.0.0.1", port)
    api = create_api(world.platform(), create_site(world.showing()))
    walking = asyncio.create_task(live())
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await serve(api, listener, world.stopping)
    walking.cancel()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
