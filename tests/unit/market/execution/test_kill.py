"""Kill latches: files that hold whatever they say, and who may release one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolmaker.infra.approvals.model import Approver
from poolmaker.kernel.clock import DAY_US
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.rng import Rng
from poolmaker.market.execution.kill import (
    KillFiles,
    KillLatch,
    LatchedKillSwitch,
    LatchFile,
    ReleaseVerdict,
    release_verdict,
    require_scope,
)
from poolmaker.market.execution.killing import new_latch

RNG = Rng(1)
ACCOUNT, POOL = VenueAccountId("main"), PoolId("btcusdt")
SCOPES = ["platform", "account:main", "pool:btcusdt"]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_latch_of_each_scope_holds_from_its_file_alone(tmp_path: Path, scope: str) -> None:
    files = KillFiles(tmp_path)
    switch = LatchedKillSwitch(files)
    files.open()
    assert switch.holds(ACCOUNT, POOL) == ""
    latch = new_latch(scope, "operator", "why", 5, RNG)
    assert files.set(latch) == LatchFile(holds=True)
    assert switch.holds(ACCOUNT, POOL) == scope
    assert LatchedKillSwitch(KillFiles(tmp_path)).holds(ACCOUNT, POOL) == scope
    files.clear({latch.id})
    assert switch.holds(ACCOUNT, POOL) == ""


def test_each_latch_of_a_scope_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = KillFiles(tmp_path)
    first, second = (new_latch("platform", "operator", "why", at_us, RNG) for at_us in (5, 9))
    files.set(first)
    files.set(second)
    assert sorted(latch.id for latch in files.latches()) == [first.id, second.id]
    files.clear({first.id})
    assert files.latches() == [second]
    assert LatchedKillSwitch(files).holds(ACCOUNT, POOL) == "platform"


def test_another_accounts_latch_and_another_pools_do_not_hold(tmp_path: Path) -> None:
    files = KillFiles(tmp_path)
    files.open()
    for scope in ("account:other", "pool:other"):
        files.set(new_latch(scope, "operator", "why", 5, RNG))
    assert LatchedKillSwitch(files).holds(ACCOUNT, POOL) == ""


def test_a_file_of_an_older_release_is_the_same_latch(tmp_path: Path) -> None:
    """It was named by its scope alone."""
    files = KillFiles(tmp_path)
    files.open()
    latch = new_latch("account:main", "operator", "why", 5, RNG)
    (tmp_path / "kill" / "account%3Amain.json").write_bytes(msgspec.json.encode(latch))
    assert files.latches() == [latch]
    assert LatchedKillSwitch(files).holds(ACCOUNT, POOL) == "account:main"
    files.clear({latch.id})
    assert files.latches() == []


GOOD = msgspec.json.encode(KillLatch(id="x", scope="platform", set_by="a", reason="b", set_us=1))


@given(
    contents=st.lists(st.binary(max_size=40) | st.sampled_from([b"", GOOD, GOOD[:20]]), min_size=2),
    named=st.sampled_from([*SCOPES, "platform@0123456789abcdef", "everything", ""]),
)
def test_files_that_cannot_be_read_are_latches_of_their_own(
    contents: list[bytes], named: str
) -> None:
    """Empty, cut off, of another name: each holds, has an id alone, and goes alone."""
    with TemporaryDirectory() as folder:
        files = KillFiles(Path(folder))
        files.open()
        for number, content in enumerate(contents):
            name = named.replace(":", "%3A") + f"@{number}.json"
            Path(folder, "kill", name).write_bytes(content)
        found = files.latches()
        assert len({latch.id for latch in found}) == len(contents)
        scope = named.partition("@")[0] if named.partition("@")[0] in SCOPES else "platform"
        assert LatchedKillSwitch(files).holds(ACCOUNT, POOL) == scope
        assert {latch.scope for latch in found} == {scope}
        assert {latch.set_by for latch in found} == {""}
        files.clear({found[0].id})
        assert files.latches() == found[1:]


def test_a_file_that_is_set_anew_after_it_was_judged_is_another_latch(tmp_path: Path) -> None:
    """An empty file is released; a second one of the same name is not what was released."""
    files, file = KillFiles(tmp_path), tmp_path / "kill" / "platform.json"
    files.open()
    file.touch()
    (judged,) = files.latches()
    file.unlink()
    file.touch()
    os.utime(file, ns=(1, 1))
    files.clear({judged.id})
    assert [latch.scope for latch in files.latches()] == ["platform"]


def test_without_its_folder_everything_is_killed(tmp_path: Path) -> None:
    assert "cannot be read" in LatchedKillSwitch(KillFiles(tmp_path)).holds(ACCOUNT, POOL)


@given(reason=st.text() | st.sampled_from(["\0", "\udcff broken"]), by=st.text())
def test_setting_never_raises_and_reads_back_as_it_was_set(reason: str, by: str) -> None:
    """What files and rows cannot hold would be an unreadable file, or no row, for ever."""
    with TemporaryDirectory() as folder:
        files, latch = KillFiles(Path(folder)), new_latch("pool:btcusdt", by, reason, 5, RNG)
        assert "\0" not in latch.reason + latch.set_by
        assert files.set(latch) == LatchFile(holds=True)
        assert files.latches() == [latch]


def test_on_a_full_disk_an_empty_file_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files, latch = KillFiles(tmp_path), new_latch("platform", "operator", "why", 5, RNG)
    with monkeypatch.context() as patched:
        patched.setattr("poolmaker.infra.postgres.passwords.os.fsync", full)
        assert files.set(latch) == LatchFile(holds=True, problem="No space left on device")
        first = files.latches()
        assert files.set(latch).holds
        assert files.latches() == first, "trying again makes no new latch"
    assert [found.set_by for found in first] == [""]
    assert LatchedKillSwitch(files).holds(ACCOUNT, POOL) == "platform"
    assert {file.suffix for file in (tmp_path / "kill").iterdir()} == {".json"}


def test_where_no_file_can_be_made_setting_says_so(tmp_path: Path) -> None:
    (tmp_path / "kill").touch()
    files = KillFiles(tmp_path)
    told = files.set(new_latch("platform", "operator", "why", 5, RNG))
    assert not told.holds
    assert told.problem
    assert "cannot be read" in LatchedKillSwitch(files).holds(ACCOUNT, POOL)


def test_a_row_without_its_file_holds_too(tmp_path: Path) -> None:
    files = KillFiles(tmp_path)
    files.open()
    switch = LatchedKillSwitch(files)
    switch.rows = frozenset({"pool:btcusdt"})
    assert switch.holds(ACCOUNT, POOL) == "pool:btcusdt"


@pytest.mark.parametrize("scope", ["", "pool:", "pool:../x", "all", "account:a b", "platform:x"])
def test_what_is_no_scope_is_refused(scope: str) -> None:
    with pytest.raises(PreconditionError):
        require_scope(scope)


def test_a_second_person_releases_at_once_and_who_set_it_does_not() -> None:
    latch = new_latch("platform", "anna", "why", 5, RNG)
    assert release_verdict(latch, Approver("bob", may_approve=True), 6) is ReleaseVerdict.RELEASED
    mine = release_verdict(latch, Approver("anna", may_approve=True), 10 * DAY_US)
    assert mine is ReleaseVerdict.SECOND_PERSON


@pytest.mark.parametrize(
    "approver",
    [
        Approver("clerk"),
        Approver("annas-other", may_approve=True, hand=frozenset({"anna"})),
    ],
)
def test_who_is_no_second_person_releases_nothing(approver: Approver) -> None:
    """A token without the scope to approve, and another name of the one who set it."""
    latch = new_latch("platform", "anna", "why", 5, RNG)
    assert release_verdict(latch, approver, 10 * DAY_US) is ReleaseVerdict.SECOND_PERSON
    asked = msgspec.structs.replace(latch, asked_by="anna", asked_us=6)
    assert release_verdict(asked, approver, 10 * DAY_US) is ReleaseVerdict.SECOND_PERSON


@pytest.mark.parametrize("set_by", ["", "operator"])
@pytest.mark.parametrize("name", ["anna", "operator", ""])
def test_a_setter_that_proves_nobody_is_no_first_person(set_by: str, name: str) -> None:
    """Whoever typed it could release it alone under their own name."""
    latch = new_latch("platform", set_by, "why", 5, RNG)
    assert (
        release_verdict(latch, Approver(name, may_approve=True), 6) is ReleaseVerdict.SECOND_PERSON
    )
    asked = msgspec.structs.replace(latch, asked_by="anna", asked_us=6)
    assert (
        release_verdict(asked, Approver("anna", may_approve=True), 10**18)
        is ReleaseVerdict.SECOND_PERSON
    )
    assert release_verdict(asked, Approver("bob", may_approve=True), 7) is ReleaseVerdict.RELEASED


@given(
    asked=st.integers(1, 10**15),
    later=st.integers(0, 3 * DAY_US),
    set_by=st.sampled_from(["anna", "operator", ""]),
)
def test_the_only_person_waits_a_day_after_asking(asked: int, later: int, set_by: str) -> None:
    """Where there is only one: a day after the request, and never without one."""
    latch, anna = (
        new_latch("platform", set_by, "why", 5, RNG),
        Approver("anna", may_approve=True, alone=True),
    )
    assert release_verdict(latch, anna, 10**18) is ReleaseVerdict.WAITS
    wished = msgspec.structs.replace(latch, asked_by="anna", asked_us=asked)
    verdict = release_verdict(wished, anna, asked + later)
    assert verdict is (ReleaseVerdict.RELEASED if later >= DAY_US else ReleaseVerdict.WAITS)
