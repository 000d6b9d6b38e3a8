"""What is on the stage: the processes, the wires to them, and how long to wait for what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.story.model import ACTS, POOL, ActName, Plan, StoryFailed, StoryOptions, Told
from poolmaker.sandbox.story.plan import (
    OPERATORS_OWN,
    RECORDED_LEVELS,
    SEEDED_LEVELS,
    configuration,
)
from poolmaker.sandbox.story.processes import addresses, platform_child, venue_child
from poolmaker.sandbox.story.wire import Api, NotReached, World
from poolmaker.sandbox.story.words import Teller

CONFIG_NAME: Final = "demo.toml"
TOKEN_NAME: Final = "operator.token"  # noqa: S105 - a file's name
READY_US: Final = 120 * SECOND_US
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
        self.api = Api(session, clock, self.page)
        self.venue = venue_child(
            told.seed, options.recording, OPERATORS_OWN, options.home / "venue.log"
        )
        self.platform = platform_child(self.config, options.home / "platform.log")
        self.world: World
        self._act = ActName.BEGIN
        self._told_us = 0

    @property
    def page(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.options.port}"

    @property
    def users(self) -> str:
        """The users' names as people say them."""
        return " and ".join(person.name for person in self.plan.people)

    async def open_venue(self) -> None:
        """Start the venue and write the configuration that names it."""
        found = await addresses(self.venue)
        self.world = World(self._session, self.clock, found)
        levels = SEEDED_LEVELS if self.options.recording is None else RECORDED_LEVELS
        text = configuration(found, self.options.home, self.options.port, levels)
        half = self.config.with_suffix(".part")
        half.touch(mode=0o600)
        half.write_text(text, "utf-8")
        half.replace(self.config)

    async def open_platform(self) -> None:
        """Start the platform and wait until it answers as the operator's."""
        await self.platform.start()
        await self.until("the platform is up", self._answers, READY_US)

    async def _answers(self) -> bool:
        if self.platform.ended is not None:
            said = _sentence(self.platform.last_words())
            raise EnvironmentProblem(f"the platform did not start: {said}")
        token = _read(self.options.home / TOKEN_NAME)
        if not token:
            return False
        self.api.token = token
        try:
            await self.api.try_get("/health")
        except NotReached:
            return False
        return True

    async def until(
        self, what: str, holds: Callable[[], Awaitable[bool]], patience_us: int
    ) -> None:
        """Look again and again until ``holds``; StoryFailed when it does not in its time."""
        deadline_us = self.clock.monotonic_us() + patience_us
        while not await holds():
            if self.clock.monotonic_us() > deadline_us:
                seconds = patience_us // SECOND_US
                raise StoryFailed(f"after {seconds} s still not true: {what}")
            await self.clock.sleep_us(LOOK_US)

    async def begin(self, act: ActName, **facts: str) -> None:
        """An act begins, on the terminal and on the page."""
        self._act = act
        self.told.facts = facts
        self.teller.begin(act, facts)
        await self.show(force=True)

    async def show(self, *, force: bool = False, name: str = "", done: bool = False) -> None:
        """Show on the page where the story stands; at most once a second unless forced."""
        now_us = self.clock.monotonic_us()
        if not self.api.token or not (force or now_us - self._told_us >= TELL_US):
            return
        self._told_us = now_us
        body = {
            "number": ACTS.index(self._act) + 1,
            "of": len(ACTS),
            "name": name or self._act.value,
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

    async def market(self) -> Mapping[str, Any] | None:
        """The pool's market as the engine sees it."""
        markets = await self.api.get("/market/live")
        return next((one for one in markets if one["pool_id"] == POOL), None)

    async def close(self) -> None:
        """End the platform first, so that it can cancel its orders, then the venue."""
        await self.platform.stop()
        await self.venue.stop()


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except OSError:
        return ""


def _sentence(last_words: str) -> str:
    return last_words.removeprefix("poolmaker: ") or "it said nothing"
