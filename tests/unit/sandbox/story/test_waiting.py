"""How the story waits and what it says of a process that ended."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.clock import SystemClock
from poolmaker.kernel.clock import SECOND_US, ManualClock
from poolmaker.sandbox.story.model import StoryFailed
from poolmaker.sandbox.story.patience import Patience, slowness
from poolmaker.sandbox.story.processes import Child
from poolmaker.sandbox.story.wire import PATIENCE_US, Api


@given(
    looks=st.lists(
        st.tuples(st.integers(0, 30 * SECOND_US), st.floats(1.0, 20.0)), min_size=1, max_size=60
    )
)
def test_patience_ends_when_the_machine_had_time_enough_and_not_before(
    looks: list[tuple[int, float]],
) -> None:
    clock, now = ManualClock(), {"slower": 1.0}
    patience = Patience(clock, 60 * SECOND_US, lambda: now["slower"])
    had_us = 0.0
    for slept_us, slower in looks:
        now["slower"] = slower
        clock.advance(slept_us)
        had_us += slept_us / slower
        if abs(had_us - 60 * SECOND_US) > 1:
            assert patience.is_over() == (had_us > 60 * SECOND_US)
        else:
            patience.is_over()


def test_a_machine_is_never_quicker_than_itself() -> None:
    assert slowness() >= 1


class _HastyClock(SystemClock):
    """Every pause is short and counts for minutes."""

    def __init__(self) -> None:
        self._passed_us = 0

    def monotonic_us(self) -> int:
        return super().monotonic_us() + self._passed_us

    async def sleep_us(self, duration_us: int) -> None:
        self._passed_us += 300 * duration_us
        await asyncio.sleep(0)


async def test_an_answer_is_waited_for_as_long_as_a_restart_takes_and_then_with_patience() -> None:
    async def down(_: web.Request) -> web.Response:
        return web.Response(status=503, text="starting")

    app = web.Application()
    app.router.add_get("/api/v1/health", down)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    clock, looks = _HastyClock(), itertools.count()

    def check() -> bool:
        return next(looks) < 100

    async with aiohttp.ClientSession() as session:
        began_us = clock.monotonic_us()
        api = Api(session, clock, str(site.name), check)
        with pytest.raises(StoryFailed, match=r"GET /health was not answered in .* starting"):
            await api.get("/health")
        assert clock.monotonic_us() - began_us > 10 * PATIENCE_US
    await runner.cleanup()


async def test_nobody_waits_for_a_platform_that_has_ended() -> None:
    def check() -> bool:
        raise StoryFailed("the platform was ended from outside by SIGKILL")

    async with aiohttp.ClientSession() as session:
        api = Api(session, SystemClock(), "http://127.0.0.1:1", check)
        with pytest.raises(StoryFailed, match="SIGKILL"):
            await api.get("/health")


# ------------------------------------------------------------------------------------- the words

_JSON = '{"room": "app", "event": "a part failed", "error": "the disk is full", "at": "2026"}'


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (_JSON, "a part failed: the disk is full"),
        (f"{_JSON}\npoolmaker: port 1 is taken", "port 1 is taken"),
        (f'{_JSON}\n{{"event": "cut off in the mid', "a part failed: the disk is full"),
        ('{"event": "platform is up", "level": "info"}', "platform is up"),
        ("", ""),
    ],
)
def test_found_59_last_words_are_a_sentence_and_never_a_line_of_json(
    tmp_path: Path, log: str, said: str
) -> None:
    child = Child("platform", [], tmp_path / "log")
    child.log.write_text(log)
    assert child.last_words() == said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"import os; os.kill({{pid}}, {int(signal.SIGKILL)})", "ended from outside by SIGKILL"),
        ("import sys; sys.exit('poolmaker: no')", r"ended by itself \(exit code 1\): no"),
    ],
)
async def test_found_59_how_a_process_ended_is_said_in_words(
    tmp_path: Path, code: str, said: str
) -> None:
    program = code.replace("{pid}", "os.getpid()")
    child = Child("platform", [sys.executable, "-c", program], tmp_path / "log")
    await child.start()
    await child.wait()
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(child.ending())
    assert os.fspath(tmp_path) not in child.ending()
