"""The kill switch and the engines as the surfaces see them; engines' health on the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from poolmaker.api.ports import (
    ActionRefused,
    EngineLatchView,
    EngineView,
    KillView,
    LatchReleased,
    LatchView,
    Released,
    SweepView,
)
from poolmaker.app.engines import EngineHandle
from poolmaker.app.killing import SweptAccount, is_proven, sweep, targets
from poolmaker.infra.approvals.model import Approver
from poolmaker.infra.attention import AttentionItem
from poolmaker.infra.health import HealthReporter
from poolmaker.infra.settings.model import Settings
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import VenueAccountId
from poolmaker.market.engine.latches import LATCHES
from poolmaker.market.engine.model import EngineHealth
from poolmaker.market.execution.killing import HeldLatch, KillSwitchService

LOOK_US: Final = SECOND_US
SWEEP_US: Final = 12 * SECOND_US
"""How long a request waits for the proof; the latch holds without it."""


class SafetyCommands:
    """``api.ports.Safety`` over the engines of this process."""

    def __init__(
        self,
        settings: Settings,
        desks: Mapping[VenueAccountId, EngineHandle],
        kill: KillSwitchService,
    ) -> None:
        self._settings = settings
        self._desks = desks
        self._kill = kill

    async def latches(self) -> Sequence[LatchView]:
        return [_latch(held) for held in await self._kill.held()]

    async def kill(self, scope: str, name: str, reason: str) -> KillView | ActionRefused:
        """The latch comes first; the proof may take some seconds."""
        known = [
            (pool, account, symbol)
            for account, desk in self._desks.items()
            for pool, symbol in desk.engine.symbols().items()
        ]
        try:
            found = targets(self._settings, scope, known)
        except PreconditionError:
            return ActionRefused("unknown_scope", {"scope": scope})
        held = await self._kill.set(scope, name, reason)
        swept = await sweep(self._settings, found, SWEEP_US)
        return KillView(
            scope=scope,
            file=held.file,
            row=held.row,
            proven=is_proven(swept),
            accounts=tuple(_swept(one) for one in swept),
        )

    async def release(
        self, scope: str, approver: Approver, reason: str, ids: Sequence[str], before_us: int
    ) -> Released:
        verdict = await self._kill.release(scope, approver, reason, ids, before_us)
        return Released(scope=scope, verdict=verdict.value)

    async def take_back(self, scope: str) -> Released:
        await self._kill.take_back(scope)
        return Released(scope=scope, verdict="held")

    async def engines(self) -> Sequence[EngineView]:
        return [self._engine(desk) for _, desk in sorted(self._desks.items())]

    async def release_latch(
        self, account: str, kind: str, subject: str, word: str
    ) -> LatchReleased | ActionRefused:
        desk = self._desks.get(VenueAccountId(account))
        known = {kind.value: kind for kind, rule in LATCHES.items() if rule.by_engine}
        if desk is None or kind not in known:
            return ActionRefused("not_found")
        name, _, reason = word.partition(": ")
        return LatchReleased(await desk.engine.release(known[kind], subject, name, reason))

    def _engine(self, desk: EngineHandle) -> EngineView:
        health = desk.engine.health()
        latches = tuple(
            EngineLatchView(
                kind=latch.kind.value,
                subject=latch.subject,
                cause=latch.cause,
                since_us=latch.since_us,
                cleared_by=LATCHES[latch.kind].cleared_by,
                released_by=LATCHES[latch.kind].released_by,
            )
            for latch in desk.engine.latches()
        )
        return EngineView(
            account=health.account,
            ok=health.ok,
            connected=health.connected,
            reconciled=health.reconciled,
            quoting=health.quoting,
            since_us=health.since_us,
            why_not=health.why_not,
            latches=latches,
        )


class EngineWatch:
    """Keeps engines and kill latches on the health board; lists what of them needs a person."""

    def __init__(
        self,
        desks: Mapping[VenueAccountId, EngineHandle],
        kill: KillSwitchService,
        health: HealthReporter,
        clock: Clock,
    ) -> None:
        self._desks = desks
        self._kill = kill
        self._health = health
        self._clock = clock

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            for account, desk in self._desks.items():
                health = desk.engine.health()
                self._health.report(f"engine {account}", ok=health.ok, sentence=sentence_of(health))
            held = ", ".join(self._kill.scopes())
            sentence = f"killed: {held}" if held else "no latch holds"
            self._health.report("kill switch", ok=not held, sentence=sentence)
            await self._clock.sleep_us(LOOK_US)

    async def attention(self) -> Sequence[AttentionItem]:
        found = list(await self._kill.attention())
        for desk in self._desks.values():
            found += await desk.engine.attention()
        return found


def sentence_of(health: EngineHealth) -> str:
    """An engine's health in one sentence."""
    if health.quoting and not health.why_not:
        return "connected, reconciled, quoting"
    return health.why_not


def facts_of(health: EngineHealth) -> dict[str, str]:
    """An engine's health as facts by name."""
    return {
        "connected": str(health.connected).lower(),
        "reconciled": str(health.reconciled).lower(),
        "quoting": str(health.quoting).lower(),
        "since_us": str(health.since_us),
        "why_not": health.why_not,
    }


def _latch(held: HeldLatch) -> LatchView:
    latch = held.latch
    return LatchView(
        id=latch.id,
        scope=latch.scope,
        set_by=latch.set_by,
        reason=latch.reason,
        set_us=latch.set_us,
        file=held.file,
        row=held.row,
        asked_by=latch.asked_by,
        asked_us=latch.asked_us,
        effective_us=held.effective_us,
    )


def _swept(one: SweptAccount) -> SweepView:
    return SweepView(
        account=one.account,
        symbols=one.symbols,
        cancelled=one.sweep.cancelled,
        left=one.sweep.left,
        proven=one.sweep.proven,
        problem=one.sweep.problem,
    )
