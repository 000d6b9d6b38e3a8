"""The live feed: one look is taken and rendered for everybody who watches, at most so often.

While nobody watches nothing is looked at. A watcher always gets the newest frame and what he
lacks of it; there is no queue to grow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import msgspec

from poolmaker.infra.logging import get_logger
from poolmaker.kernel.clock import SECOND_US
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.web.look import SnapshotLoader
from poolmaker.web.model import Frame, Look
from poolmaker.web.ports import PageContext
from poolmaker.web.rules import chart_frame

_LOG: Final = get_logger("web")
FRAME_US: Final = SECOND_US // 3
WATCHERS_MAX: Final = 200
SILENCE_S: Final = 10.0

Render = Callable[[Look, str], Mapping[str, str]]


class Feed:
    """Frames by language, made only for languages that somebody watches."""

    def __init__(self, showing: PageContext, render: Render) -> None:
        self._showing = showing
        self._looker = SnapshotLoader(showing)
        self._render = render
        self._watching: dict[str, int] = {}
        self._frames: dict[str, Frame] = {}
        self._changed = asyncio.Condition()
        self._maker: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether nobody more can be served."""
        return sum(self._watching.values()) >= WATCHERS_MAX

    async def watch(self, language: str) -> AsyncIterator[str]:
        """Server-sent events of one watcher, until the platform stops or he leaves."""
        self._watching[language] = self._watching.get(language, 0) + 1
        if self._maker is None or self._maker.done():
            self._maker = asyncio.create_task(self._make(), name="web-feed")
        try:
            async for message in self._messages(language):
                yield message
        finally:
            self._watching[language] -= 1
            if not self._watching[language]:
                del self._watching[language]
                self._frames.pop(language, None)

    async def _messages(self, language: str) -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        watcher = _Watcher()
        seen: Frame | None = None
        while not self._showing.stopping.is_set():
            frame = await self._next(language, seen)
            if frame is None:
                yield ": quiet\n\n"
                continue
            yield watcher.message(frame)
            seen = frame

    async def _next(self, language: str, seen: Frame | None) -> Frame | None:
        async with self._changed:
            try:
                async with asyncio.timeout(SILENCE_S):
                    await self._changed.wait_for(
                        lambda: (
                            self._showing.stopping.is_set()
                            or self._frames.get(language) not in (None, seen)
                        )
                    )
            except TimeoutError:
                return None
            frame = self._frames.get(language)
            return frame if frame is not seen else None

    async def _make(self) -> None:
        while self._watching and not self._showing.stopping.is_set():
            started_us = self._showing.clock.monotonic_us()
            await self._frame()
            spent_us = self._showing.clock.monotonic_us() - started_us
            await self._showing.clock.sleep_us(max(FRAME_US - spent_us, FRAME_US // 4))
        async with self._changed:
            self._changed.notify_all()

    async def _frame(self) -> None:
        try:
            look = await self._looker.take()
            frames = {name: Frame(self._render(look, name), look) for name in [*self._watching]}
        except (Unavailable, OutcomeUnknown):
            return  # A look that failed is followed by the next; the page keeps what it shows.
        except Exception:  # supervisor
            _LOG.exception("a frame of the page failed")
            return
        self._frames.update(frames)
        async with self._changed:
            self._changed.notify_all()


class _Watcher:
    """What one browser already has."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}
        self._at_ms = 0
        self._fill = 0
        self._first = True

    def message(self, frame: Frame) -> str:
        """The event that brings this browser up to ``frame``."""
        body: dict[str, Any] = chart_frame(frame.look, self._at_ms, self._fill)
        body["full"], self._first = self._first, False
        body["now"] = frame.look.now_us // 1000
        body["parts"] = {
            name: html for name, html in frame.parts.items() if self._parts.get(name) != html
        }
        self._parts.update(body["parts"])
        self._at_ms = max([self._at_ms, *(row[0] for row in body["points"])])
        self._fill = max([self._fill, *(row[0] for row in body["fills"])])
        return f"event: frame\ndata: {msgspec.json.encode(body).decode()}\n\n"
