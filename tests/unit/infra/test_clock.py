"""Wall time that follows its monotonic clock: a jump of the machine's clock is not followed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.clock import STEP_MAX_US, SteadyClock, SystemClock
from poolmaker.infra.health import HealthBoard
from poolmaker.infra.machine import ROOM_MIN_BYTES, MachineWatch
from poolmaker.kernel.clock import DAY_US, SECOND_US, ManualClock, next_ledger_time

START_US = 1_700_000_000 * SECOND_US


@dataclass
class Machine:
    """A machine whose wall clock somebody sets."""

    passed_us: int = 0
    off_us: int = 0

    def now_us(self) -> int:
        return START_US + self.passed_us + self.off_us

    def monotonic_us(self) -> int:
        return self.passed_us

    async def sleep_us(self, duration_us: int) -> None:
        self.passed_us += duration_us


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3_600 * SECOND_US),
        st.one_of(
            st.just(0),
            st.integers(-400 * DAY_US, 400 * DAY_US),
            st.integers(-STEP_MAX_US, STEP_MAX_US),
        ),
    ),
    max_size=40,
)


@given(STEPS)
def test_found_46_time_never_runs_from_the_time_that_has_passed_by_more_than_a_small_step(
    steps: list[tuple[int, int]],
) -> None:
    machine = Machine()
    clock = SteadyClock(machine)
    before_us, ledger_us = clock.now_us(), 0
    for passed_us, set_by_us in steps:
        machine.passed_us += passed_us
        machine.off_us += set_by_us
        now_us = clock.now_us()
        assert abs(now_us - before_us - passed_us) <= STEP_MAX_US
        assert now_us == clock.now_us()
        assert clock.off_us == machine.now_us() - now_us
        ledger_us = next_ledger_time(ledger_us, now_us)
        assert ledger_us <= START_US + machine.passed_us + STEP_MAX_US * (len(steps) + 1)
        before_us = now_us


def test_found_46_a_day_ahead_for_a_moment_leaves_no_trace() -> None:
    machine = Machine()
    clock = SteadyClock(machine)
    for off_us in (DAY_US, -DAY_US, 3_600 * SECOND_US):
        machine.off_us = off_us
        machine.passed_us += SECOND_US
        assert clock.now_us() == START_US + machine.passed_us
        assert clock.off_us == off_us
        machine.off_us = 0
        assert clock.now_us() == START_US + machine.passed_us
        assert clock.off_us == 0


def test_a_time_service_that_slews_or_steps_a_little_is_followed() -> None:
    machine = Machine()
    clock = SteadyClock(machine)
    for _ in range(10_000):
        machine.passed_us += SECOND_US
        machine.off_us += 500
        assert clock.now_us() == machine.now_us()
    machine.off_us -= 128_000
    assert clock.now_us() == machine.now_us()


def test_the_machines_own_clocks_agree_with_each_other() -> None:
    clock = SteadyClock(SystemClock())
    assert abs(clock.now_us() - SystemClock().now_us()) < STEP_MAX_US
    assert clock.off_us == 0


async def test_found_46_a_jump_is_an_item_for_a_person_until_the_clock_is_right() -> None:
    machine = Machine()
    clock, health = SteadyClock(machine), HealthBoard(ManualClock())
    watch = MachineWatch(clock, None, health)
    watch.look()
    assert (health.ok(), await watch.attention()) == (True, [])
    machine.off_us = DAY_US
    watch.look()
    assert "set forward by 86400 s" in health.parts()[0].sentence
    (item,) = await watch.attention()
    assert (item.kind, item.since_us, item.evidence) == (
        "clock_jump", START_US, {"ahead_s": "86400"},
    )  # fmt: skip
    assert [remedy.action for remedy in item.remedies] == ["restart"]
    machine.off_us = 0
    watch.look()
    assert (health.ok(), await watch.attention()) == (True, [])


async def test_a_disk_that_fills_is_an_item_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"bytes": ROOM_MIN_BYTES - 1}
    monkeypatch.setattr(
        "poolmaker.infra.machine.shutil.disk_usage",
        lambda _: type("Usage", (), {"free": free["bytes"]}),
    )
    health = HealthBoard(ManualClock())
    watch = MachineWatch(SteadyClock(Machine()), tmp_path / "not made yet", health)
    watch.look()
    (item,) = await watch.attention()
    assert (item.kind, item.evidence) == ("disk_full", {"free_mb": "255"})
    assert "make room" in health.parts()[0].sentence
    free["bytes"] = ROOM_MIN_BYTES
    watch.look()
    assert (health.ok(), await watch.attention()) == (True, [])
