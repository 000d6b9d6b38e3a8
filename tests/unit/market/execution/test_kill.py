"""Kill latches: files that hold whatever they say, and who may release one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.errors import CallerFault
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.market.execution.kill import (
    KillFiles,
    LatchedKillSwitch,
    ReleaseVerdict,
    release_verdict,
    require_scope,
)
from poolmaker.market.execution.killing import new_latch

ACCOUNT, POOL = VenueAccountId("main"), PoolId("btcusdt")


@pytest.mark.parametrize("scope", ["platform", "account:main", "pool:btcusdt"])
def test_a_latch_of_each_scope_holds_from_its_file_alone(tmp_path: Path, scope: str) -> None:
    files = KillFiles(tmp_path)
    switch = LatchedKillSwitch(files)
    files.open()
    assert switch.holds(ACCOUNT, POOL) == ""
    files.set(new_latch(scope, "operator", "why", 5))
    assert switch.holds(ACCOUNT, POOL) == scope
    assert LatchedKillSwitch(KillFiles(tmp_path)).holds(ACCOUNT, POOL) == scope
    files.set(new_latch(scope, "somebody", "later", 9))
    (latch,) = files.latches()
    assert (latch.set_by, latch.set_us) == ("operator", 5)
    files.clear(scope)
    assert switch.holds(ACCOUNT, POOL) == ""


def test_another_accounts_latch_and_another_pools_do_not_hold(tmp_path: Path) -> None:
    files = KillFiles(tmp_path)
    files.open()
    for scope in ("account:other", "pool:other"):
        files.set(new_latch(scope, "operator", "why", 5))
    assert LatchedKillSwitch(files).holds(ACCOUNT, POOL) == ""


def test_what_cannot_be_read_counts_as_set(tmp_path: Path) -> None:
    files = KillFiles(tmp_path)
    switch = LatchedKillSwitch(files)
    assert "cannot be read" in switch.holds(ACCOUNT, POOL)
    files.open()
    (tmp_path / "kill" / "platform.json").write_bytes(b"\xff not json")
    assert switch.holds(ACCOUNT, POOL) == "platform"
    assert [latch.scope for latch in files.latches()] == ["platform"]


def test_a_row_without_its_file_holds_too(tmp_path: Path) -> None:
    files = KillFiles(tmp_path)
    files.open()
    switch = LatchedKillSwitch(files)
    switch.rows = frozenset({"pool:btcusdt"})
    assert switch.holds(ACCOUNT, POOL) == "pool:btcusdt"


@pytest.mark.parametrize("scope", ["", "pool:", "pool:../x", "all", "account:a b", "platform:x"])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(CallerFault):
        require_scope(scope)


def test_a_second_person_releases_at_once_and_who_set_it_does_not() -> None:
    latch = new_latch("platform", "operator", "why", 5)
    assert release_verdict(latch, "treasurer", alone=False, now_us=6) is ReleaseVerdict.RELEASED
    mine = release_verdict(latch, "operator", alone=False, now_us=10 * DAY_US)
    assert mine is ReleaseVerdict.SECOND_PERSON


@given(asked=st.integers(1, 10**15), later=st.integers(0, 3 * DAY_US))
def test_the_only_person_waits_a_day_after_asking(asked: int, later: int) -> None:
    """Where there is only one: a day after the request, and never without one."""
    latch = new_latch("platform", "operator", "why", 5)
    unasked = release_verdict(latch, "operator", alone=True, now_us=10**18)
    assert unasked is ReleaseVerdict.WAITS
    wished = msgspec.structs.replace(latch, asked_by="operator", asked_us=asked)
    verdict = release_verdict(wished, "operator", alone=True, now_us=asked + later)
    assert verdict is (ReleaseVerdict.RELEASED if later >= DAY_US else ReleaseVerdict.WAITS)
