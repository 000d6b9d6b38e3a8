"""Files and rows of kill latches: what is released is what was judged, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from poolmaker.infra.approvals.model import Approver
from poolmaker.infra.database import Database, DatabaseUnavailable
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import ManualClock
from poolmaker.kernel.ids import PoolId, VenueAccountId
from poolmaker.kernel.rng import Rng
from poolmaker.market.execution.kill import KillFiles, ReleaseVerdict
from poolmaker.market.execution.killing import KillSwitchService, new_latch

ANNA, BOB = Approver("anna", may_approve=True), Approver("bob", may_approve=True)
RNG = Rng(1)
ACCOUNT, POOL = VenueAccountId("main"), PoolId("btcusdt")


class Between:
    """Transactions of a database that may be gone, and before which something else happens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.gone = False
        self.before: dict[str, Callable[[], object]] = {}

    @asynccontextmanager
    async def begin(self, label: str) -> AsyncIterator[Tx]:
        if self.gone:
            raise DatabaseUnavailable("planned: the database is gone")
        self.before.pop(label, object)()
        async with self._database.begin(label) as tx:
            yield tx

    def look(self, label: str) -> AbstractAsyncContextManager[Tx]:
        return self.begin(label)


@pytest.fixture
def transactions(database: Database) -> Between:
    return Between(database)


@pytest.fixture
def files(tmp_path: Path) -> KillFiles:
    made = KillFiles(tmp_path)
    made.open()
    return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def desk(files: KillFiles, transactions: Between, clock: ManualClock) -> KillSwitchService:
    return KillSwitchService(files, transactions, clock, RNG)


async def test_an_unreadable_file_set_after_another_was_released_holds(
    desk: KillSwitchService, files: KillFiles, tmp_path: Path
) -> None:
    """Files of a full disk shared one id: the second was removed as released already."""
    file = tmp_path / "kill" / "platform.json"
    for content in (b"", b"", b'{"id": "platf'):
        file.write_bytes(content)
        await desk.sync()
        await desk.sync()
        assert file.exists()
        assert [held.row for held in await desk.held()] == [True]
        assert await desk.release("platform", ANNA, "a look") is ReleaseVerdict.SECOND_PERSON
        assert await desk.release("platform", BOB, "a look") is ReleaseVerdict.RELEASED
        assert not file.exists()
        assert desk.scopes() == []
        assert await desk.held() == ()


@pytest.mark.parametrize("moment", ["kill sync", "kill look", "kill release"])
async def test_a_latch_that_is_set_during_a_release_holds(
    desk: KillSwitchService, files: KillFiles, transactions: Between, moment: str
) -> None:
    """Another process writes its file while this one releases what was judged before."""
    first = (await desk.set("platform", "anna", "first")).latch
    later = new_latch("platform", "carl", "second", 9, RNG)
    transactions.before[moment] = lambda: files.set(later)
    verdict = await desk.release("platform", BOB, "a look", [first.id])
    assert verdict is ReleaseVerdict.STILL_HELD
    assert [held.latch.id for held in await desk.held()] == [later.id]
    assert desk.switch.holds(ACCOUNT, POOL) == "platform"
    assert await desk.release("platform", BOB, "a look") is ReleaseVerdict.RELEASED
    assert desk.switch.holds(ACCOUNT, POOL) == ""


async def test_a_release_that_is_repeated_releases_no_latch_that_was_set_since(
    desk: KillSwitchService, files: KillFiles
) -> None:
    """Its answer was lost, and somebody has killed again before the client asks once more."""
    before_us = (await desk.set("platform", "anna", "first")).latch.set_us
    said = await desk.release("platform", BOB, "a look", (), before_us)
    assert said is ReleaseVerdict.RELEASED
    later = new_latch("platform", "carl", "second", before_us + 1, RNG)
    files.set(later)
    again = await desk.release("platform", BOB, "a look", (), before_us)
    assert again is ReleaseVerdict.STILL_HELD
    assert [held.latch.id for held in await desk.held()] == [later.id]


async def test_what_was_not_judged_is_not_released(desk: KillSwitchService) -> None:
    first = await desk.set("account:main", "anna", "first")
    second = await desk.set("account:main", "bob", "second")
    ids = [first.latch.id]
    assert first.latch.id != second.latch.id
    assert await desk.release("account:main", BOB, "a look", ids) is ReleaseVerdict.STILL_HELD
    assert [held.latch.id for held in await desk.held()] == [second.latch.id]
    assert await desk.release("account:main", BOB, "a look") is ReleaseVerdict.SECOND_PERSON
    assert desk.switch.holds(ACCOUNT, POOL) == "account:main"


async def test_a_file_that_cannot_be_removed_still_holds(
    desk: KillSwitchService, tmp_path: Path
) -> None:
    (tmp_path / "kill" / "platform.json").mkdir()
    await desk.sync()
    assert await desk.release("platform", ANNA, "a look") is ReleaseVerdict.SECOND_PERSON
    assert await desk.release("platform", BOB, "a look") is ReleaseVerdict.STILL_HELD
    assert desk.switch.holds(ACCOUNT, POOL) == "platform"


async def test_without_disk_and_database_a_latch_holds_and_is_written_later(
    desk: KillSwitchService, files: KillFiles, transactions: Between, tmp_path: Path
) -> None:
    folder = tmp_path / "kill"
    folder.rmdir()
    folder.touch()
    transactions.gone = True
    held = await desk.set("account:main", "anna", "why")
    assert (held.file, held.row) == (False, False)
    assert "account:main" in desk.scopes()
    assert [one.latch for one in await desk.held()] == [held.latch]
    folder.unlink()
    files.open()
    assert desk.switch.holds(ACCOUNT, POOL) == "account:main"
    transactions.gone = False
    await desk.sync()
    assert files.latches() == [held.latch]
    assert [(one.file, one.row) for one in await desk.held()] == [(True, True)]
    assert await desk.release("account:main", BOB, "a look") is ReleaseVerdict.RELEASED
    assert desk.switch.holds(ACCOUNT, POOL) == ""


async def test_words_that_no_row_can_hold_stop_nothing(
    desk: KillSwitchService, tmp_path: Path
) -> None:
    """A reason with a zero byte, and a file that says one."""
    held = await desk.set("platform", "anna", "a\0b\udcff")
    assert (held.file, held.row) == (True, True)
    broken = msgspec.structs.replace(held.latch, id="x", reason="\0", set_us=2**80)
    (tmp_path / "kill" / "platform@0.json").write_bytes(msgspec.json.encode(broken))
    await desk.sync()
    assert [(one.file, one.row) for one in await desk.held()] == [(True, True)] * 2


async def test_a_scope_with_many_latches_is_one_row_of_the_attention_list(
    desk: KillSwitchService, clock: ManualClock
) -> None:
    for name in ("anna", "bob"):
        await desk.set("platform", name, "why")
        clock.advance(1)
    (item,) = await desk.attention()
    assert (item.subject, item.evidence["set_by"]) == ("platform", "anna")


async def test_a_row_without_its_file_gets_one_and_what_was_released_stays_away(
    desk: KillSwitchService, files: KillFiles, tmp_path: Path
) -> None:
    held = await desk.set("platform", "anna", "why")
    for file in (tmp_path / "kill").iterdir():
        file.unlink()
    await desk.sync()
    assert files.latches() == [held.latch]
    assert await desk.release("platform", BOB, "a look") is ReleaseVerdict.RELEASED
    files.set(held.latch)
    await desk.sync()
    assert files.latches() == []
