"""Setting, keeping and releasing kill latches: the file first, the row as soon as it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.approvals.model import Approver
from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import DAY_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.market.execution._kill_store import PgKillLatches
from poolmaker.market.execution.kill import (
    KillFiles,
    KillLatch,
    LatchedKillSwitch,
    LatchFile,
    ReleaseVerdict,
    is_scope,
    plain,
    release_verdict,
    require_scope,
)

_LOG: Final = get_logger("market")
ROW_S: Final = 2
"""How long a row may take before the file alone has to do."""
KEEP_US: Final = 2_000_000
EVER_US: Final = 2**62


@dataclass(frozen=True, slots=True)
class HeldLatch:
    """A latch and where it is held."""

    latch: KillLatch
    file: bool
    row: bool

    @property
    def effective_us(self) -> int:
        """When the only person there is may release it, 0 while nobody has asked."""
        return self.latch.asked_us + DAY_US if self.latch.asked_us else 0


def new_latch(scope: str, by: str, reason: str, now_us: int, rng: Rng) -> KillLatch:
    """A latch that is not set yet, unlike any of before whatever the clock says.

    Raises CallerFault for what is no scope.
    """
    latch_id, words = f"{require_scope(scope)}@{now_us}-{rng.bits(64):016x}", plain(reason)
    return KillLatch(id=latch_id, scope=scope, set_by=plain(by), reason=words, set_us=now_us)


class KillSwitchService:
    """The latches of one installation. ``run`` keeps files and rows the same.

    Every ``set`` makes a latch of its own, and a release lets only those go that were judged: a
    latch that is set while another is released holds.
    """

    def __init__(
        self, files: KillFiles, transactions: Transactions, clock: Clock, rng: Rng
    ) -> None:
        self.switch = LatchedKillSwitch(files)
        self._files = files
        self._transactions = transactions
        self._clock = clock
        self._rng = rng
        self._store = PgKillLatches()
        # Only where rows are read and written again; setting a latch waits for nobody.
        self._keeping = asyncio.Lock()

    async def set(self, scope: str, by: str, reason: str) -> HeldLatch:
        """Hold from now on, in this process whatever disk and database say.

        The file is written before this waits for anything. Raises CallerFault for no scope.
        """
        latch = new_latch(scope, by, reason, self._clock.now_us(), self._rng)
        file = self._write(latch)
        _LOG.warning("kill latch set", scope=scope, by=by, reason=reason)
        return HeldLatch(latch, file=file.holds, row=await self._add(latch))

    def scopes(self) -> list[str]:
        """Scopes that are killed, as files say now and rows said last; why none can be read."""
        files = {latch.scope for latch in self._files.latches()}
        return sorted((files | self.switch.scopes() | {self._files.why(())}) - {""})

    async def held(self) -> tuple[HeldLatch, ...]:
        """Every latch, with what the database knows of it if it answers."""
        files = {latch.id: latch for latch in self._files.latches()}
        try:
            async with asyncio.timeout(ROW_S):
                rows = {latch.id: latch for latch in await self._rows()}
        except (Unavailable, OutcomeUnknown, TimeoutError):
            rows = {}
        known = self.switch.unwritten | files | rows
        return tuple(
            HeldLatch(latch, file=latch.id in files, row=latch.id in rows)
            for latch in sorted(known.values(), key=lambda one: (one.scope, one.set_us, one.id))
        )

    async def release(
        self,
        scope: str,
        approver: Approver,
        reason: str,
        ids: Collection[str] = (),
        before_us: int = EVER_US,
    ) -> ReleaseVerdict:
        """Let go if a second person wishes it, or the only one after a day; else note the wish.

        ``ids`` are the latches that the person judged; without any it is what the scope is held
        by when this reads them, as far as it was set until ``before_us``. Raises Unavailable while
        the database cannot keep it: a release is never forgotten.
        """
        async with self._keeping:
            await self._sync()
            held = [latch for latch in await self._rows() if latch.scope == scope]
            judged = [one for one in held if one.id in ids or (not ids and one.set_us <= before_us)]
            verdict = await self._judge(judged, approver, reason)
            if verdict is not ReleaseVerdict.RELEASED:
                return verdict
            await self._sync()
            _LOG.warning("kill latch released", scope=scope, by=approver.name, reason=reason)
            return ReleaseVerdict.STILL_HELD if scope in self.scopes() else verdict

    async def _judge(
        self, latches: Sequence[KillLatch], approver: Approver, reason: str
    ) -> ReleaseVerdict:
        """Release all of them, or note the wish for all of them."""
        now_us = self._clock.now_us()
        verdicts = [release_verdict(latch, approver, now_us) for latch in latches]
        refused = next((v for v in verdicts if v is not ReleaseVerdict.RELEASED), None)
        async with self._transactions.begin("kill release") as tx:
            if refused is None:
                ids = [latch.id for latch in latches]
                await self._store.release(tx, ids, approver.name, reason, now_us)
                return ReleaseVerdict.RELEASED
            for latch in latches:
                if not latch.asked_us:
                    await self._store.ask(tx, latch.id, approver.name, now_us)
        return refused

    async def take_back(self, scope: str) -> None:
        """The wish to release a latch is taken back; it holds as before."""
        latches = [latch for latch in await self._rows() if latch.scope == scope]
        async with self._transactions.begin("kill take back") as tx:
            for latch in latches:
                await self._store.ask(tx, latch.id, "", 0)

    async def run(self) -> None:
        """Keep files and rows the same until cancelled; a database that is away is asked again."""
        while True:
            try:
                await self.sync()
            except (Unavailable, OutcomeUnknown) as problem:
                _LOG.info("kill latches are kept in files only", why=str(problem))
            await self._clock.sleep_us(KEEP_US)

    async def sync(self) -> None:
        """A file without a row gets one, a row without a file too; what was released is gone."""
        async with self._keeping:
            await self._sync()

    async def _sync(self) -> None:
        files = {latch.id: latch for latch in self._files.latches()}
        here = self.switch.unwritten | files
        async with self._transactions.begin("kill sync") as tx:
            released = await self._store.released(tx, list(here)) if here else set()
            rows = {latch.id: latch for latch in await self._store.held(tx)}
            for latch_id in here.keys() - rows.keys() - released:
                await self._store.add(tx, here[latch_id])
                rows[latch_id] = here[latch_id]
        self.switch.rows = frozenset(latch.scope for latch in rows.values())
        for latch_id in released:
            self.switch.unwritten.pop(latch_id, None)
        self._files.clear(released)
        for latch_id in rows.keys() - files.keys():
            if is_scope(rows[latch_id].scope):
                self._write(rows[latch_id])

    def _write(self, latch: KillLatch) -> LatchFile:
        """The latch as a file; while that is not whole this process remembers it."""
        file = self._files.set(latch)
        if file.problem:
            if latch.id not in self.switch.unwritten:
                _LOG.error("a latch's file cannot be written", id=latch.id, why=file.problem)
            self.switch.unwritten[latch.id] = latch
        else:
            self.switch.unwritten.pop(latch.id, None)
        return file

    async def attention(self) -> Sequence[AttentionItem]:
        """See ``AttentionSource.attention``: every scope that is held, by its oldest latch."""
        oldest: dict[str, HeldLatch] = {}
        for held in await self.held():
            oldest.setdefault(held.latch.scope, held)
        return [_item(held) for held in oldest.values()]

    async def _rows(self) -> list[KillLatch]:
        async with self._transactions.begin("kill look") as tx:
            return await self._store.held(tx)

    async def _add(self, latch: KillLatch) -> bool:
        try:
            async with asyncio.timeout(ROW_S), self._transactions.begin("kill set") as tx:
                await self._store.add(tx, latch)
        except (Unavailable, OutcomeUnknown, TimeoutError) as problem:
            _LOG.warning("the latch is in its file only", scope=latch.scope, why=str(problem))
            return False
        return True


def _item(held: HeldLatch) -> AttentionItem:
    latch = held.latch
    return AttentionItem(
        source="market",
        kind="killed",
        subject=latch.scope,
        since_us=latch.set_us,
        evidence={"reason": latch.reason, "set_by": latch.set_by, "asked_by": latch.asked_by},
        blocks=("orders",),
        remedies=(
            Remedy(
                action="release",
                command=f"poolmaker kill release {latch.scope} --reason TEXT",
                route="POST /api/v1/kill/release",
            ),
        ),
    )
