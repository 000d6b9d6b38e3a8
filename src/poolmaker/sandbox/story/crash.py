"""SIGKILL of the platform at the moment that the seed chose, beside whatever is being told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from poolmaker.kernel.clock import Clock
from poolmaker.sandbox.story.model import ActName, Plan, StoryFailed, Told
from poolmaker.sandbox.story.processes import Child
from poolmaker.sandbox.story.wire import Api, NotReached
from poolmaker.sandbox.story.words import Teller


class Scene(Protocol):
    """What a crash needs of the stage."""

    plan: Plan
    told: Told
    clock: Clock
    teller: Teller
    api: Api
    platform: Child

    async def open_platform(self) -> None:
        """Start the platform and wait until it answers."""
        ...

    async def books(self) -> Mapping[str, Any]:
        """The trial balance."""
        ...

    async def show(self, *, force: bool = False, name: str = "", done: bool = False) -> None:
        """Show on the page where the story stands."""
        ...


class Crash:
    """One crash and the restart after it; the acts go on meanwhile and wait for answers."""

    def __init__(self, stage: Scene) -> None:
        self._stage = stage
        self._task: asyncio.Task[None] | None = None
        self.is_running = False

    def begun(self, act: ActName) -> None:
        """An act begins; in the chosen one the crash is set off."""
        if act is self._stage.plan.crash_act and self._task is None:
            self._task = asyncio.create_task(self._run(), name="story-crash")

    @property
    def is_ahead(self) -> bool:
        """Whether it was set off and is not over yet."""
        return self._task is not None and not self._task.done()

    def check(self) -> None:
        """Raise what was wrong with the restart, as soon as it is known."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def survived(self) -> None:
        """Wait until the platform is back; raises what was wrong with it."""
        if self._task is None:
            raise StoryFailed("the platform was not killed")
        await self._task

    async def abandon(self) -> None:
        """Nothing is started any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        stage = self._stage
        await stage.clock.sleep_us(stage.plan.crash_delay_us)
        before = await self._books()
        self.is_running = True
        stage.platform.kill()
        await stage.platform.wait()
        stage.teller.aside("the platform is killed with SIGKILL")
        stage.told.restart_survived = False
        try:
            await stage.open_platform()
        finally:
            self.is_running = False
        after = await stage.books()
        if after["seq"] < before["seq"] or not after["ok"]:
            raise StoryFailed(f"books were lost: entry {before['seq']}, then {after['seq']}")
        stage.told.restart_survived = True
        stage.teller.aside(f"it goes on: entry {before['seq']} before, {after['seq']} after")
        await stage.show(force=True)

    async def _books(self) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = await self._stage.api.try_get("/ledger/trial-balance")
        except NotReached:
            return {"seq": 0}
        return found
