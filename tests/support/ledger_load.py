"""A process with the ledger's writer under load; it notes every answer after it was given.

``python -m tests.support.ledger_load DSN HOLDER ANSWERS``: takes the lease, then sends commands
until it is killed. Exit code 3 says that another writer took over.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import IO

from poolmaker.business.ledger import commands as c
from poolmaker.business.ledger.model import Fenced, Outcome, Posted
from poolmaker.business.ledger.service import (
    LedgerWriter,
    WriterSettings,
    open_evidence,
    open_store,
)
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.database import Database
from poolmaker.infra.logging import configure_logging
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.kernel.ids import OrderId, UserId
from tests.support.ledger import BTC, USDT, deposit, lock, unlock, usdt

CLIENTS = 12
FENCED = 3
SETTINGS = WriterSettings(lease_us=1_000_000, poll_us=100_000, back_off_us=50_000)


def command(name: str, at: int) -> c.Command:
    """The at-th command of a client: money in, then locked, and a part of it unlocked."""
    user, order = UserId(f"u{at % 5}"), OrderId(f"o{at % 5}")
    kinds = (
        deposit(f"{name}-{at}", usdt(100 + at), user=user),
        lock(f"{name}-{at}", usdt(90 + at), user=user, order=order),
        unlock(f"{name}-{at}", usdt(at), user=user, order=order),
    )
    return kinds[at // 5 % 3]


async def client(writer: LedgerWriter, name: str, answers: IO[str]) -> None:
    """One command after another, some of them again, and every answer noted once it is here."""
    chance = random.Random(name)
    at = 0
    while True:
        wanted = command(name, at)
        for _ in range(chance.choice((1, 1, 1, 2))):
            _note(answers, wanted, await writer.submit(wanted))
        if chance.random() < 0.2:
            older = command(name, chance.randrange(at + 1))
            _note(answers, older, await writer.submit(older))
        at += 1


def _note(answers: IO[str], asked: c.Command, outcome: Outcome) -> None:
    said = str(outcome.seq) if isinstance(outcome, Posted) else outcome.reason.value
    answers.write(f"{asked.key} {said}\n")
    answers.flush()


async def lead(dsn: str, holder: str, answers: IO[str]) -> int:
    clock = SystemClock()
    database = await Database.open(dsn)
    store = open_store(database, clock)
    await store.register_asset(USDT)
    await store.register_asset(BTC)
    writer = LedgerWriter(store, clock, holder, SETTINGS)
    await writer.start(open_evidence(database))
    sys.stdout.write("leading\n")
    sys.stdout.flush()
    load = [asyncio.create_task(client(writer, f"{holder}-{at}", answers)) for at in range(CLIENTS)]
    try:
        await writer.run()
    except Fenced:
        ends = await asyncio.gather(*load, return_exceptions=True)
        return FENCED if all(isinstance(end, OutcomeUnknown) for end in ends) else 1
    return 1


def main(dsn: str, holder: str, path: str) -> int:
    # What is logged goes to standard error: standard output is what the test reads.
    configure_logging("info", "console", SystemClock())
    with Path(path).open("a", encoding="utf-8") as answers:
        return asyncio.run(lead(dsn, holder, answers))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
