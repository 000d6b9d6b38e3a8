"""Setting, keeping and releasing kill latches: the file first, the row as soon as it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poolmaker.infra.attention import AttentionItem, Remedy
from poolmaker.infra.logging import get_logger
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import DAY_US, Clock
from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.market.execution._kill_store import PgKillLatches
from poolmaker.market.execution.kill import (
    KillFiles,
    KillLatch,
    LatchedKillSwitch,
    ReleaseVerdict,
    release_verdict,
    require_scope,
)

_LOG: Final = get_logger("market")
ROW_S: Final = 2
"""How long a row may take before the file alone has to do."""
KEEP_US: Final = 2_000_000


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


def new_latch(scope: str, by: str, reason: str, now_us: int) -> KillLatch:
    """A latch that is not set yet."""
    require_scope(scope)
    return KillLatch(id=f"{scope}@{now_us}", scope=scope, set_by=by, reason=reason, set_us=now_us)


class KillDesk:
    """The latches of one installation. ``run`` keeps files and rows the same."""

    def __init__(self, files: KillFiles, transactions: Transactions, clock: Clock) -> None:
        self.switch = LatchedKillSwitch(files)
        self._files = files
        self._transactions = transactions
        self._clock = clock
        self._store = PgKillLatches()

    async def set(self, scope: str, by: str, reason: str) -> HeldLatch:
        """Hold from now on. The file is written before this waits for anything."""
        latch = new_latch(scope, by, reason, self._clock.now_us())
        self._files.set(latch)
        _LOG.warning("kill latch set", scope=scope, by=by, reason=reason)
        return HeldLatch(latch, file=True, row=await self._add(latch))

    def scopes(self) -> list[str]:
        """Scopes that are killed, as files say now and rows said last."""
        return sorted({latch.scope for latch in self._files.latches()} | self.switch.rows)

    async def held(self) -> tuple[HeldLatch, ...]:
        """Every latch, with what the database knows of it if it answers."""
        files = {latch.scope: latch for latch in self._files.latches()}
        try:
            async with asyncio.timeout(ROW_S):
                rows = {latch.scope: latch for latch in await self._rows()}
        except (Unavailable, OutcomeUnknown, TimeoutError):
            rows = {}
        known = files | rows
        return tuple(
            HeldLatch(latch, file=scope in files, row=scope in rows)
            for scope, latch in sorted(known.items())
        )

    async def release(self, scope: str, name: str, reason: str, *, alone: bool) -> ReleaseVerdict:
        """Let go if a second person wishes it, or the only one after a day; else note the wish.

        Raises Unavailable while the database cannot keep it: a release is never forgotten.
        """
        await self.sync()
        latches = [latch for latch in await self._rows() if latch.scope == scope]
        now_us = self._clock.now_us()
        verdicts = [release_verdict(one, name, alone=alone, now_us=now_us) for one in latches]
        worst = next((v for v in verdicts if v is not ReleaseVerdict.RELEASED), None)
        async with self._transactions.begin("kill release") as tx:
            if worst is None:
                await self._store.release(tx, scope, name, reason, now_us)
            else:
                for latch in latches:
                    if not latch.asked_us:
                        await self._store.ask(tx, latch.id, name, now_us)
        if worst is not None:
            return worst
        self._files.clear(scope)
        self.switch.rows -= {scope}
        _LOG.warning("kill latch released", scope=scope, by=name, reason=reason)
        return ReleaseVerdict.RELEASED

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
        files = {latch.id: latch for latch in self._files.latches()}
        async with self._transactions.begin("kill sync") as tx:
            released = await self._store.released(tx, list(files)) if files else set()
            rows = {latch.id: latch for latch in await self._store.held(tx)}
            for latch_id, latch in files.items():
                if latch_id not in released and latch_id not in rows:
                    await self._store.add(tx, latch)
                    rows[latch_id] = latch
        self.switch.rows = frozenset(latch.scope for latch in rows.values())
        for latch_id in released:
            if files[latch_id].scope not in self.switch.rows:
                self._files.clear(files[latch_id].scope)
        for latch in rows.values():
            self._files.set(latch)

    async def attention(self) -> Sequence[AttentionItem]:
        """See ``AttentionSource.attention``: every latch that holds."""
        return [_item(held) for held in await self.held()]

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
