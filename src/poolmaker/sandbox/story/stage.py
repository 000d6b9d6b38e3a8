"""What is on the stage: the processes, the wires to them, and how long to wait for what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
from eth_account import Account

from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.story.config import (
    RECORDED_LEVELS,
    SEEDED_LEVELS,
    Own,
    Worlds,
    configuration,
)
from poolmaker.sandbox.story.crash import Crash
from poolmaker.sandbox.story.model import (
    ACTS,
    FINALITY_BLOCKS,
    POOL,
    ActName,
    Plan,
    StoryFailed,
    StoryOptions,
    Told,
)
from poolmaker.sandbox.story.patience import Patience
from poolmaker.sandbox.story.processes import (
    Child,
    platform_child,
    ready_line,
    venue_arguments,
    world_child,
)
from poolmaker.sandbox.story.wire import Api, NotReached
from poolmaker.sandbox.story.words import Teller
from poolmaker.sandbox.story.worlds import Outside

CONFIG_NAME: Final = "demo.toml"
TOKEN_NAME: Final = "operator.token"  # noqa: S105 - a file's name
WORLDS: Final = ("venue", "mixin", "chain", "hufi", "relay")
READY_US: Final = 240 * SECOND_US
LOOK_US: Final = SECOND_US // 5
TELL_US: Final = SECOND_US


class Stage:
    """One run of the story: everything the acts need. ``close`` ends every process."""

    def __init__(
        self,
        options: StoryOptions,
        plan: Plan,
        told: Told,
        clock: Clock,
        session: aiohttp.ClientSession,
    ) -> None:
        self.options = options
        self.plan = plan
        self.told = told
        self.clock = clock
        self._session = session
        self.teller = Teller(clock, on_stderr=options.as_json)
        self.started_us = clock.now_us()
        self.config = options.home / CONFIG_NAME
        self.api = Api(session, clock, self.page, self._is_restarting)
        self.platform = platform_child(self.config, self._log("platform"))
        self.worlds: dict[str, Child] = {}
        self.outside: Outside
        self.crash = Crash(self)
        self.act = ActName.BEGIN
        self._told_us = 0

    @property
    def page(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.options.port}"

    @property
    def wallet(self) -> str:
        """The platform's address on the chain."""
        return str(Account.from_key(self.plan.wallet_key).address)

    def _log(self, name: str) -> Path:
        return self.options.home / f"{name}.log"

    async def open_worlds(self) -> None:
        """Start every world and write the configuration that names them."""
        seed = str(self.told.seed)
        venue, mixin, chain = await self._start(
            ("venue", venue_arguments(self.told.seed, self.options.recording)),
            ("mixin", ["--seed", seed]),
            ("chain", ["--seed", seed, "--finality-blocks", str(FINALITY_BLOCKS)]),
        )
        admins = ["--venue-admin", venue["admin"], "--mixin-admin", mixin["admin"]]
        on_chain = ["--chain", chain["rpc"], "--chain-admin", chain["admin"]]
        hufi, _ = await self._start(
            ("hufi", ["--chain", chain["rpc"], "--venue", venue["rest"], "--seed", seed,
                      "--launcher-port", "0", "--jobs-every-s", "2"]),
            ("relay", [*admins, *on_chain, "--seed", seed, "--delay-ms", "300"]),
        )  # fmt: skip
        worlds = Worlds(venue=venue, mixin=mixin, chain=chain, hufi=hufi)
        self.outside = Outside(self._session, self.clock, worlds, self.check)
        self._configure(worlds)

    async def _start(self, *worlds: tuple[str, Sequence[str]]) -> list[Mapping[str, Any]]:
        children = [world_child(name, arguments, self._log(name)) for name, arguments in worlds]
        self.worlds.update((child.name, child) for child in children)
        return list(await asyncio.gather(*(ready_line(child) for child in children)))

    def _configure(self, worlds: Worlds) -> None:
        levels = SEEDED_LEVELS if self.options.recording is None else RECORDED_LEVELS
        own = Own(
            home=self.options.home,
            port=self.options.port,
            wallet_key=self.plan.wallet_key,
            levels=levels,
        )
        half = self.config.with_suffix(".part")
        half.touch(mode=0o600)
        half.write_text(configuration(worlds, own), "utf-8")
        half.replace(self.config)

    async def open_platform(self) -> None:
        """Start the platform and wait until it answers as the operator's."""
        await self.platform.start()
        await self.until("the platform is up", self._answers, READY_US)

    async def _answers(self) -> bool:
        if self.platform.ended is not None:
            raise EnvironmentProblem(f"the platform did not start: {self.platform.ending()}")
        token = _read(self.options.home / TOKEN_NAME)
        if not token:
            return False
        self.api.token = token
        try:
            await self.api.try_get("/health")
        except NotReached:
            return False
        return True

    def check(self) -> None:
        """Raise StoryFailed when a process ended that should be there."""
        self.crash.check()
        children = [*self.worlds.values()]
        if not self.crash.is_running:
            children.append(self.platform)
        for child in children:
            if child.ended is not None:
                raise StoryFailed(f"{child.ending()}; what is booked is kept, see {child.log}")

    def _is_restarting(self) -> bool:
        """Whether the platform is down on purpose; raises when it will not come back."""
        self.check()
        return self.crash.is_running

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], patience_us: int
    ) -> None:
        """Look again and again until ``holds``; StoryFailed when it does not in its time."""
        patience = Patience(self.clock, patience_us)
        while not await holds():
            self.check()
            if patience.is_over():
                raise StoryFailed(f"after {patience.waited_s} s still not true: {what}")
            await self.clock.sleep_us(LOOK_US)

    async def begin(self, act: ActName, **facts: str) -> None:
        """An act begins, on the terminal and on the page."""
        self.act = act
        self.told.facts = facts
        self.teller.begin(act, facts)
        self.crash.begun(act)
        await self.show(force=True)

    async def show(self, *, force: bool = False, name: str = "", done: bool = False) -> None:
        """Show on the page where the story stands; at most once a second unless forced."""
        now_us = self.clock.monotonic_us()
        if not self.api.token or not (force or now_us - self._told_us >= TELL_US):
            return
        self._told_us = now_us
        body = {
            "number": ACTS.index(self.act) + 1,
            "of": len(ACTS),
            "name": name or self.act.value,
            "facts": self.told.facts,
            "started_at_us": self.started_us,
            "done": done,
        }
        await self.api.post("/sandbox/story", body)

    async def fills(self) -> int:
        """How many fills the pool has had."""
        pool: Mapping[str, Any] = await self.api.get(f"/pools/{POOL}")
        return int(pool["fills"])

    async def order(self, order_id: str) -> Mapping[str, Any]:
        """A user order as it stands."""
        found: Mapping[str, Any] = await self.api.get(f"/orders/{order_id}")
        return found

    async def books(self) -> Mapping[str, Any]:
        """The trial balance."""
        found: Mapping[str, Any] = await self.api.get("/ledger/trial-balance")
        return found

    async def close(self) -> None:
        """End the platform first, so that it can cancel its orders, then the worlds.

        A platform that was killed leaves its database running: that is ended, too.
        """
        await self.crash.abandon()
        await self.platform.stop()
        await asyncio.gather(*(child.stop() for child in self.worlds.values()))
        await Cluster.stop_unused(self.options.home, self.clock)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError:
        return ""
