"""The ledger under load while its writer or its database is killed or stopped.

Ledger 2.5-1: after every crash each answer that was given is true, once. Ledger invariants 5 and 6.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from poolmaker.business.ledger.service import Ledger, open_evidence, open_rows
from poolmaker.business.ledger.verify import verify
from poolmaker.infra.database import Database, DatabaseGone
from poolmaker.infra.migrations.runner import migrate
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.model import DatabaseRole
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import CommandKey
from tests.support.ledger import deposit, usdt
from tests.support.ledger_load import FENCED
from tests.support.servers import OURSELVES, REPOSITORY, postmaster, run_scenario, start

ROUNDS = 5
ANSWERS_BEFORE_A_KILL = 150


class _Answers:
    """What the killed processes had been told, as far as they noted it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "answers"
        self.path.touch()

    def lines(self) -> list[list[str]]:
        """Complete notes only: a process may be killed in the middle of one."""
        whole = self.path.read_text("utf-8").splitlines(keepends=True)
        return [line.split() for line in whole if line.endswith("\n")]

    def by_key(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for parts in self.lines():
            if len(parts) == 2:
                found.setdefault(parts[0], set()).add(parts[1])
        return found

    async def grow(self, count: int = ANSWERS_BEFORE_A_KILL) -> None:
        """Until so many more were given."""
        enough = len(self.lines()) + count
        while True:
            if len(self.lines()) >= enough:
                return
            await asyncio.sleep(0.02)


@contextmanager
def _writer(cluster: Cluster, holder: str, answers: _Answers) -> Iterator[subprocess.Popen[str]]:
    dsn = cluster.dsn(DatabaseRole.WRITER)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.ledger_load", dsn, holder, str(answers.path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _leads(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "leading\n"


async def _ask_rows(database: Database, asked: list[str]) -> None:
    """Sagas elsewhere ask by rows all the while; only what was committed counts."""
    ledger = Ledger(open_rows())
    at = 0
    while True:
        with suppress(OutcomeUnknown, Unavailable, DatabaseGone):
            async with database.begin("ask") as tx:
                await ledger.ask(tx, deposit(f"row-{at}", usdt(1)))
            asked.append(f"row-{at}")
        at += 1
        await asyncio.sleep(0.01)


async def _prove(cluster: Cluster, answers: _Answers, asked: list[str]) -> int:
    """Every answer is in the ledger exactly once and as it was told; the whole log verifies."""
    told = answers.by_key()
    assert [key for key, said in told.items() if len(said) != 1] == []
    database = await Database.open(cluster.dsn(DatabaseRole.READER))
    ledger = Ledger(open_rows())
    report = await verify(open_evidence(database))
    assert report.problems == ()
    async with database.begin("prove") as tx:
        log = await ledger.read(tx, 0, report.transactions + 1)
        assert [found.seq for found in log] == [*range(1, report.transactions + 1)]
        seqs = {found.key: found.seq for found in log}
        assert len(seqs) == len(log), "a key was applied twice"
        for key, (said,) in told.items():
            if said.isdigit():
                assert seqs.get(CommandKey(key)) == int(said), f"{key} was lost or moved"
            else:
                assert key not in seqs, f"{key} was refused and applied"
        missing = [key for key in asked if key not in seqs]
        assert missing == [], "a command row was lost"
    await database.close()
    return len(told)


async def _finish_rows(cluster: Cluster, asked: list[str]) -> None:
    """Wait until the writer has answered every row that was committed."""
    database = await Database.open(cluster.dsn(DatabaseRole.READER))
    ledger = Ledger(open_rows())
    for key in asked:
        while True:
            async with database.begin("outcome") as tx:
                if await ledger.outcome(tx, CommandKey(key)) is not None:
                    break
            await asyncio.sleep(0.05)
    await database.close()


async def kill_the_writer(folder: Path) -> None:
    cluster = await start(folder)
    await migrate(cluster)
    answers, asked = _Answers(folder), list[str]()
    application = await Database.open(cluster.dsn(DatabaseRole.APP))
    asking = asyncio.create_task(_ask_rows(application, asked))
    with ExitStack() as processes:
        process = processes.enter_context(_writer(cluster, "first", answers))
        for at in range(ROUNDS):
            await _leads(process)
            # The next one waits for the lease while this one works.
            standby = processes.enter_context(_writer(cluster, f"standby{at}", answers))
            await answers.grow()
            process.send_signal(signal.SIGKILL)
            process = standby
        await _leads(process)
        await answers.grow()
        asking.cancel()
        await _finish_rows(cluster, asked)
    assert await _prove(cluster, answers, asked) > ROUNDS * ANSWERS_BEFORE_A_KILL // 3
    await application.close()
    await cluster.stop()


async def kill_the_postmaster(folder: Path) -> None:
    cluster = await start(folder)
    await migrate(cluster)
    answers, asked = _Answers(folder), list[str]()
    application = await Database.open(cluster.dsn(DatabaseRole.APP))
    asking = asyncio.create_task(_ask_rows(application, asked))
    watching = asyncio.create_task(cluster.watch())
    with _writer(cluster, "survivor", answers) as process:
        await _leads(process)
        for _ in range(ROUNDS):
            await answers.grow()
            os.kill(postmaster(cluster.placement), signal.SIGKILL)
        await answers.grow()
        asking.cancel()
        await _finish_rows(cluster, asked)
        assert process.poll() is None, "the writer did not survive"
    assert await _prove(cluster, answers, asked) > ROUNDS * ANSWERS_BEFORE_A_KILL // 3
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    await application.close()
    await cluster.stop()


async def stop_a_writer_and_let_another_take_over(folder: Path) -> None:
    cluster = await start(folder)
    await migrate(cluster)
    answers = _Answers(folder)
    with _writer(cluster, "first", answers) as first:
        await _leads(first)
        await answers.grow()
        first.send_signal(signal.SIGSTOP)
        with _writer(cluster, "second", answers) as second:
            await _leads(second)
            await answers.grow()
            first.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(first.wait, 30) == FENCED
            await answers.grow()
            assert second.poll() is None
    await _prove(cluster, answers, [])
    await cluster.stop()


@pytest.mark.timeout(110)
async def test_every_answer_survives_five_kills_of_the_writer() -> None:
    await run_scenario(OURSELVES, kill_the_writer)


@pytest.mark.timeout(110)
async def test_every_answer_survives_five_kills_of_the_database() -> None:
    await run_scenario(OURSELVES, kill_the_postmaster)


@pytest.mark.timeout(110)
async def test_a_writer_that_was_stopped_and_taken_over_writes_nothing_any_more() -> None:
    """E15: the lease is for liveness, the epoch is the fence."""
    await run_scenario(OURSELVES, stop_a_writer_and_let_another_take_over)
