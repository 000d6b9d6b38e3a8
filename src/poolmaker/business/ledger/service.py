"""The single writer, and the client through which the other rooms reach it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from poolmaker.bus.ports import KeyConflict
from poolmaker.business.ledger._store import PgAuditReader, PgCommandStore, PgLedgerStore
from poolmaker.business.ledger.accounts import Normal, normal_of
from poolmaker.business.ledger.codec import encode_command, read_row, streams_of
from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import (
    BooksDiverged,
    Fenced,
    IncidentKind,
    LedgerHead,
    LedgerIncident,
    LedgerTransaction,
    Outcome,
    PendingCommand,
    Unbookable,
    WriterLease,
)
from poolmaker.business.ledger.ports import AuditReader, CommandStore, LedgerStore
from poolmaker.business.ledger.proposal import (
    BatchBuilder,
    EncodedCommand,
    Reply,
    StoppedStreams,
    Unread,
    answered_keys,
    recalled_keys,
)
from poolmaker.business.ledger.rules import LedgerState, books_of
from poolmaker.business.ledger.verify import refuse_to_start_on_a_mismatch
from poolmaker.infra.database import Database
from poolmaker.infra.holder import described
from poolmaker.infra.leases import LeaseEvidence, LeaseWatch
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.clock import SECOND_US, Clock, next_ledger_time
from poolmaker.kernel.errors import InvariantBroken, OutcomeUnknown, Unavailable
from poolmaker.kernel.ids import MAIN_LEDGER, CommandKey, LedgerId
from poolmaker.kernel.money import Asset

__all__ = [
    "KeyConflict",
    "Ledger",
    "LedgerLog",
    "LedgerWriter",
    "WriterSettings",
    "open_evidence",
    "open_rows",
    "open_store",
]

_LOG: Final = get_logger("ledger")


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """Bounds of the writer. A batch is whatever is queued, up to ``batch_max``."""

    batch_max: int = 256
    queue_max: int = 10_000
    poll_us: int = SECOND_US // 2
    lease_us: int = 3 * SECOND_US
    back_off_us: int = SECOND_US // 4
    back_off_max_us: int = 5 * SECOND_US


@dataclass(slots=True)
class _Waiting:
    asked: EncodedCommand
    answer: asyncio.Future[Outcome] | None


class LedgerWriter:
    """The only one who decides. ``start``, then ``run`` until it raises or is cancelled.

    What it decided leaves only after its batch is durable. After a failed append it forgets its
    books, takes a new epoch (so that the lost append can no longer succeed), loads again and
    decides the same commands anew: their keys tell what became of them.
    """

    def __init__(
        self,
        store: LedgerStore,
        clock: Clock,
        holder: str,
        settings: WriterSettings | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._settings = settings or WriterSettings()
        self._books = LedgerState()
        self._head = LedgerHead(0, 0, bytes(32), 0)
        self._queue: deque[_Waiting] = deque()
        self._inside: list[_Waiting] = []
        self._room = asyncio.Condition()
        self._wake = asyncio.Event()
        self._rows_may_wait = True
        self._renew_at_us = 0
        self._stopped = StoppedStreams()
        self._parked: set[CommandKey] = set()
        self._told: dict[CommandKey, str] = {}
        self._divergences = 0
        self._closed = False

    @property
    def head(self) -> LedgerHead:
        """Where the log is, as far as this writer knows it to be durable."""
        return self._head

    @property
    def books(self) -> LedgerState:
        """The books in memory. Read them between awaits only, and never change them."""
        return self._books

    async def start(self, evidence: AuditReader | None = None) -> LedgerHead:
        """Wait for the lease and load the books. ``run`` must follow before it runs out.

        With ``evidence`` the whole ledger is verified first; raises BooksDiverged on a mismatch.
        """
        if evidence is not None:
            await refuse_to_start_on_a_mismatch(evidence)
        watch, lapsed = LeaseWatch(self._clock, self._settings.lease_us), None
        while not await self._take_over(lapsed):
            lapsed = await self._lapsed(watch)
            if lapsed is None:
                await self._clock.sleep_us(self._settings.back_off_us)
        await self._store.listen(self._command_came)
        return self._head

    async def run(self) -> None:
        """Decide and append until cancelled.

        Raises Fenced when another writer took over, BooksDiverged when database and books differ
        twice in a row. Whoever waits for an answer then gets OutcomeUnknown.
        """
        try:
            while True:
                if not self._queue and not self._rows_may_wait:
                    await self._wait()
                await self._round()
        finally:
            self._closed = True
            self._give_up()
            async with self._room:
                self._room.notify_all()

    async def submit(self, command: Command) -> Outcome:
        """Hand over a command and wait for its durable answer; see ``LedgerClient.submit``."""
        asked = encode_command(command)
        async with self._room:
            await self._room.wait_for(self._has_room)
            if self._closed:
                raise OutcomeUnknown(f"{command.key}: the ledger's writer has stopped")
            answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._queue.append(_Waiting(asked, answer))
        self._wake.set()
        return await answer

    async def register_asset(self, asset: Asset) -> None:
        """Make an asset known for ever. Raises KeyConflict when its scale differs."""
        await self._store.register_asset(asset)
        self._command_came()

    def _has_room(self) -> bool:
        return self._closed or len(self._queue) < self._settings.queue_max

    def _command_came(self) -> None:
        self._rows_may_wait = True
        self._wake.set()

    async def _wait(self) -> None:
        """Until something comes, the next poll or the renewal of the lease."""
        left_us = self._renew_at_us - self._clock.monotonic_us()
        sleep_us = max(1, min(self._settings.poll_us, left_us))
        woken = asyncio.ensure_future(self._wake.wait())
        slept = asyncio.ensure_future(self._clock.sleep_us(sleep_us))
        try:
            await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
            if slept.done():
                # What had to wait may be bookable by now.
                self._parked.clear()
                self._rows_may_wait = True
        finally:
            woken.cancel()
            slept.cancel()
        self._wake.clear()

    async def _round(self) -> None:
        """One batch, or one recovery."""
        try:
            await self._renew_when_due()
            if not self._inside:
                await self._collect()
            if self._inside:
                await self._commit()
            self._divergences = 0
        except (OutcomeUnknown, Unavailable):
            await self._recover()
        except BooksDiverged:
            self._divergences += 1
            if self._divergences > 1:
                raise
            await self._recover()

    async def _collect(self) -> None:
        """Take in command rows, and of the queue what there is room for beside them."""
        rows: list[_Waiting] = []
        if self._rows_may_wait:
            # Set before reading: a row that comes meanwhile sets it again.
            self._rows_may_wait = False
            rows = await self._pending_rows(self._settings.batch_max)
        # Neither way in starves the other: rows fill half a batch at most.
        room = max(1, self._settings.batch_max - len(rows))
        taken = [self._queue.popleft() for _ in range(min(room, len(self._queue)))]
        self._inside = rows + taken
        async with self._room:
            self._room.notify_all()

    async def _pending_rows(self, limit: int) -> list[_Waiting]:
        """Command rows that are not known to wait, at most half a batch."""
        found: list[_Waiting] = []
        after_row, size = 0, max(1, limit // 2)
        while len(found) < size:
            page = await self._store.pending(after_row, size)
            for row in page:
                asked = read_row(row) if row.key not in self._parked else None
                if asked is not None:
                    found.append(_Waiting(asked, None))
                elif row.key not in self._parked:
                    await self._hold(row)
            if len(page) < size:
                return found
            after_row = page[-1].row
        self._rows_may_wait = True
        return found

    async def _hold(self, row: PendingCommand) -> None:
        """A row that cannot be read stops its streams, unless it was set aside already."""
        if await self._store.answers([row.key]):
            self._parked.add(row.key)
            return
        self._stopped.hold(row.key, Unread(row.row, streams_of(row)))
        await self._park({row.key: f"malformed command row {row.row}"})

    async def _commit(self) -> None:
        """Decide what is inside, make it durable, answer."""
        batch = [waiting.asked for waiting in self._inside]
        keys = answered_keys(batch)
        recalled = recalled_keys(batch)
        if recalled:
            self._books.recalled = dict(await self._store.recall(recalled))
        answers = await self._store.answers(keys)
        stopped = self._stopped.copy()
        proposal = BatchBuilder(self._books, self._head, answers, stopped)
        replies = [await self._decided(proposal, asked) for asked in batch]
        written = proposal.batch()
        if written is not None:
            await self._store.append(written)
        self._head, self._stopped = proposal.head, stopped
        stuck = {
            asked.command.key: str(reply)
            for asked, reply in zip(batch, replies, strict=True)
            if isinstance(reply, Unbookable)
        }
        await self._park(stuck)
        for waiting, reply in zip(self._inside, replies, strict=True):
            _answer(waiting, reply)
        self._inside = []

    async def _decided(self, proposal: BatchBuilder, asked: EncodedCommand) -> Reply:
        reply = proposal.take(asked, self._clock.now_us())
        if reply is None:
            known = await self._store.assets()
            self._books.assets.update((asset.code, asset) for asset in known)
            proposal.assets_are_fresh = True
            reply = proposal.take(asked, self._clock.now_us())
        if reply is None:
            raise InvariantBroken(f"{asked.command.key}: no answer")
        return reply

    async def _park(self, stuck: Mapping[CommandKey, str]) -> None:
        """What cannot be booked waits for the next poll; a person is told each reason once."""
        at_us = next_ledger_time(self._head.at_us, self._clock.now_us())
        incidents = [
            LedgerIncident(IncidentKind.UNBOOKABLE, why, key, at_us)
            for key, why in stuck.items()
            if self._told.get(key) != why
        ]
        if incidents:
            await self._store.open_incidents(incidents)
        self._told.update(stuck)
        self._parked |= stuck.keys()

    async def _renew_when_due(self) -> None:
        now_us = self._clock.monotonic_us()
        if now_us >= self._renew_at_us:
            await self._store.renew_lease(self._head.epoch, self._settings.lease_us)
            self._renew_at_us = now_us + self._settings.lease_us // 3

    async def release(self) -> None:
        """Give the lease back, after ``run`` has ended, so that the next writer need not wait."""
        await self._store.renew_lease(self._head.epoch, 0)

    async def _take_over(self, lapsed: WriterLease | None) -> bool:
        """Take the lease and load the books; False while another writer holds it."""
        monotonic_us = self._clock.monotonic_us()
        head = await self._store.take_lease(self._holder, self._settings.lease_us, lapsed)
        return head is not None and await self._load(head, monotonic_us)

    async def _lapsed(self, watch: LeaseWatch) -> WriterLease | None:
        """The lease of the one we wait for, once it has surely lapsed; says whom we wait for."""
        lease = await self._store.lease()
        if lease is None:
            return None
        if watch.look(lease.holder, lease.epoch, lease.until_us) is LeaseEvidence.LAPSED:
            return lease
        _LOG.info("waits for the ledger's writer", holder=described(lease.holder))
        return None

    async def _load(self, head: LedgerHead, taken_us: int) -> bool:
        image = await self._store.load()
        if image.head != head:
            return False
        self._books, self._head = books_of(image), head
        self._renew_at_us = taken_us + self._settings.lease_us // 3
        return True

    async def _recover(self) -> None:
        """After a failed call: a new epoch and fresh books.

        Raises Fenced when anybody else has taken the ledger since: it is never taken back.
        """
        back_off_us = self._settings.back_off_us
        while True:
            with suppress(OutcomeUnknown, Unavailable):
                taken_us = self._clock.monotonic_us()
                head = await self._store.retake_lease(self._holder, self._settings.lease_us)
                if head is None or not await self._load(head, taken_us):
                    raise Fenced("another process has taken over the ledger")
                self._rows_may_wait = True
                return
            await self._clock.sleep_us(back_off_us)
            back_off_us = min(2 * back_off_us, self._settings.back_off_max_us)

    def _give_up(self) -> None:
        """Nobody will answer what is left: its fate has to be read from the ledger."""
        for waiting in (*self._inside, *self._queue):
            key = waiting.asked.command.key
            _answer(waiting, OutcomeUnknown(f"{key}: the ledger's writer has stopped"))
        self._inside.clear()
        self._queue.clear()


def _answer(waiting: _Waiting, reply: Reply | OutcomeUnknown) -> None:
    answer = waiting.answer
    if answer is None or answer.done():
        return
    if isinstance(reply, Unbookable | OutcomeUnknown):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)


class Ledger:
    """``LedgerClient`` over its rows and, in the writer's process, the writer's queue."""

    def __init__(self, rows: CommandStore, writer: LedgerWriter | None = None) -> None:
        self._rows = rows
        self._writer = writer

    async def ask(self, tx: Tx, command: Command) -> None:
        asked = encode_command(command)
        await self._rows.ask(tx, command.key, asked.body, asked.body_hash)

    async def register_asset(self, asset: Asset) -> None:
        writer = self._writer
        if writer is None:
            raise OutcomeUnknown(f"{asset.code}: the ledger's writer is in another process")
        await writer.register_asset(asset)

    async def outcome(self, tx: Tx, key: CommandKey) -> Outcome | None:
        return await self._rows.outcome(tx, key)

    async def submit(self, command: Command) -> Outcome:
        """Raises CallerFault in a process without the writer."""
        writer = self._writer
        if writer is None:
            raise OutcomeUnknown(f"{command.key}: the ledger's writer is in another process")
        return await writer.submit(command)

    async def balance(self, tx: Tx, account: str, asset: str) -> int:
        raw = await self._rows.raw_balance(tx, account, asset)
        return raw if normal_of(account) is Normal.HELD else -raw

    async def custody(self, tx: Tx) -> Mapping[tuple[str, str], int]:
        """See ``LedgerClient.custody``; custody is debit-normal."""
        return await self._rows.custody(tx)

    async def scale(self, tx: Tx, asset: str) -> int:
        found = await self._rows.scale(tx, asset)
        if found is None:
            raise InvariantBroken(f"the asset {asset} is not registered")
        return found

    async def transaction(self, tx: Tx, key: CommandKey) -> LedgerTransaction | None:
        return await self._rows.transaction(tx, key)

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        return await self._rows.read(tx, after_seq, limit)

    async def head(self, tx: Tx) -> int:
        return await self._rows.head(tx)


def open_store(database: Database, clock: Clock, ledger: LedgerId = MAIN_LEDGER) -> PgLedgerStore:
    """The writer's store; ``database`` is open as the role of the writer."""
    return PgLedgerStore(database, clock, ledger)


def open_rows(ledger: LedgerId = MAIN_LEDGER) -> CommandStore:
    """What clients read and write."""
    return PgCommandStore(ledger)


def open_evidence(database: Database, ledger: LedgerId = MAIN_LEDGER) -> AuditReader:
    """What auditors read; any role will do."""
    return PgAuditReader(database, ledger)


class LedgerLog:
    """The ledger's log as a consumer of the bus follows it: the log is its own outbox."""

    def __init__(self, rows: CommandStore, ledger: LedgerId = MAIN_LEDGER) -> None:
        self._rows = rows
        self._stream = f"ledger:{ledger}"

    @property
    def stream(self) -> str:
        """``ledger:main`` for the main ledger."""
        return self._stream

    async def read(self, tx: Tx, after_seq: int, limit: int) -> list[LedgerTransaction]:
        return await self._rows.read(tx, after_seq, limit)

    async def head(self, tx: Tx) -> int:
        return await self._rows.head(tx)
