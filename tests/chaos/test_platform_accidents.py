"""A whole platform, with people in it, is stopped, doubled, killed and robbed of its disk.

Each story ends with every flag of the judge true, or with one sentence for a person.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolmaker.infra.postgres.placement import place
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.story import acts
from poolmaker.sandbox.story.model import Member, StoryFailed
from poolmaker.sandbox.story.stage import Stage
from tests.support.stories import (
    PATIENCE_US,
    ended,
    ends_well,
    fills_go_on,
    healthy,
    leases_locked,
    postmaster,
    quoting,
    restarted,
    send,
    story,
    taken_over_by,
    twin,
)

MINUTES_S = 900


def _log_of(path: Path) -> str:
    return path.read_text("utf-8", "replace")


@pytest.mark.timeout(MINUTES_S)
async def test_found_41_and_56_one_platform_per_home_and_nobody_takes_back_what_was_lost(
    tmp_path: Path,
) -> None:
    """Rows 41 and 56: a twin is told who runs; a stopped platform is followed for good."""
    async with story(tmp_path / "home", seed=41) as stage:
        _, bo = await quoting(stage)

        second, _ = twin(stage)
        await second.start()
        assert await ended(second) == 2
        words = second.last_words()
        assert f"process {stage.platform.pid} on " in words
        assert "is running as 'platform'" in words

        heard, _ = twin(stage)
        async with leases_locked(stage) as waiting:
            await heard.start()
            while await waiting() < 2:  # ours renews, the other one asks
                await asyncio.sleep(0.1)
            send(heard, signal.SIGTERM)
            assert await ended(heard) == 0

        send(stage.platform, signal.SIGSTOP)
        follower, port = twin(stage)
        await follower.start()
        first = taken_over_by(stage, follower, port)
        await healthy(stage)
        assert f"takes over from process {first.pid} on " in _log_of(follower.log)
        send(first, signal.SIGCONT)
        assert await ended(first) == 1
        sentence = f"process {follower.pid} on .* has taken over; this one ends"
        assert re.search(sentence, first.last_words()), first.last_words()
        await fills_go_on(stage)

        send(follower, signal.SIGSTOP)
        await asyncio.sleep(8)
        send(follower, signal.SIGCONT)
        await fills_go_on(stage)
        assert follower.ended is None
        os.kill(postmaster(stage), signal.SIGKILL)
        await healthy(stage)
        await fills_go_on(stage)
        assert follower.ended is None
        await ends_well(stage, bo)


# ------------------------------------------------------------------------- each accident by itself


@pytest.mark.long
@pytest.mark.timeout(MINUTES_S)
async def test_stopped_for_twenty_seconds_it_goes_on(tmp_path: Path) -> None:
    async with story(tmp_path / "home", seed=20) as stage:
        _, bo = await quoting(stage)
        send(stage.platform, signal.SIGSTOP)
        await asyncio.sleep(20)
        send(stage.platform, signal.SIGCONT)
        await fills_go_on(stage)
        assert stage.platform.ended is None
        await ends_well(stage, bo)


@pytest.mark.long
@pytest.mark.timeout(MINUTES_S)
@pytest.mark.parametrize("seed", [1, 2])
async def test_five_kills_at_moments_of_chance_lose_nothing(tmp_path: Path, seed: int) -> None:
    rng = Rng(seed).fork("kills")
    async with story(tmp_path / "home", seed=seed) as stage:
        await acts.begin(stage)
        joining = asyncio.create_task(_joined(stage))
        for _ in range(5):
            await asyncio.sleep(rng.below(8_000) / 1_000)
            await restarted(stage)
        bo = await joining
        await fills_go_on(stage)
        await ends_well(stage, bo)


async def _joined(stage: Stage) -> Member:
    ada, bo = await acts.deposit(stage)
    await acts.join(stage, (ada, bo))
    return bo


@pytest.mark.long
@pytest.mark.timeout(MINUTES_S)
async def test_a_database_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    async with story(tmp_path / "home", seed=5) as stage:
        _, bo = await quoting(stage)
        for _ in range(3):
            os.kill(postmaster(stage), signal.SIGKILL)
            await healthy(stage)
            await fills_go_on(stage)
        assert stage.platform.ended is None
        await ends_well(stage, bo)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A home whose database lies on a disk of its own."""
    home = tmp_path / "home"
    base = place(home).base
    command = ["mount", "-t", "tmpfs", "-o", "size=450m", "poolmaker-test", str(base)]
    base.mkdir(parents=True, mode=0o711)
    base.parent.chmod(0o755)
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        base.rmdir()
        pytest.skip("a disk of its own needs the rights of root; run as root: make test-long")
    base.chmod(0o711)
    yield home
    subprocess.run(["umount", str(base)], check=True, capture_output=True)
    base.rmdir()


@pytest.mark.long
@pytest.mark.timeout(MINUTES_S)
async def test_found_57_on_a_full_disk_it_cancels_waits_and_goes_on(small_disk: Path) -> None:
    async with story(small_disk, seed=57) as stage:
        _, bo = await quoting(stage)
        ballast = place(small_disk).base / "ballast"
        _fill(ballast)

        async def nothing_rests() -> bool:
            _fill(ballast)
            return not await _open_orders(stage)

        await stage.until("what rested is cancelled", nothing_rests, PATIENCE_US)
        assert stage.platform.ended is None
        await asyncio.sleep(10)
        assert not await _open_orders(stage)
        ballast.unlink()
        await healthy(stage)
        await fills_go_on(stage)
        assert stage.platform.ended is None
        await ends_well(stage, bo)
        assert "full" in _log_of(stage.platform.log)


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


async def _open_orders(stage: Stage) -> int:
    found = await stage.outside._venue("GET", "/accounts")
    return int(next(row for row in found["accounts"] if row["account"] == 1)["open_orders"])


@pytest.mark.long
@pytest.mark.timeout(MINUTES_S)
@pytest.mark.parametrize("world", ["venue", "mixin", "chain", "hufi", "relay"])
async def test_a_world_that_is_killed_ends_the_story_with_one_sentence(
    tmp_path: Path, world: str
) -> None:
    async with story(tmp_path / "home", seed=9) as stage:
        _, bo = await quoting(stage)
        stage.worlds[world].kill()
        await stage.worlds[world].wait()
        with pytest.raises(StoryFailed, match=rf"the {world} was ended from outside by SIGKILL"):
            await ends_well(stage, bo)
        assert stage.platform.ended is None
