"""Tells the business how the engine is doing; only changes, and only what is proven."""

from __future__ import annotations

from dataclasses import replace

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.market import Side
from poolmaker.market.engine.journal import Journal
from poolmaker.market.engine.rules import inventory_now
from poolmaker.market.engine.state import EngineState, PoolQuoting
from poolmaker.market.execution.rules import committed_units
from poolmaker.messages.base import Message
from poolmaker.messages.market import (
    DrainTo,
    ExposureReduced,
    Halted,
    QuoteGate,
    QuotingChanged,
    VenueBalanceSeen,
)


class Reporter:
    """Appends to the engine's stream."""

    def __init__(self, state: EngineState, journal: Journal, clock: Clock) -> None:
        self._state = state
        self._journal = journal
        self._clock = clock
        self._halted = ""
        self._balances: dict[str, VenueBalanceSeen] = {}
        self._balances_due_us = 0

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await self._clock.sleep_us(self._state.config.report_ms * 1_000)
            await self.report()

    async def report(self) -> None:
        """Append what changed since the last report; it counts as reported once it is committed."""
        halted = [self._halt()] if self._state.halted not in ("", self._halted) else []
        gates = [one for desk in self._state.pools.values() for one in self._gates(desk)]
        reduced = [
            (desk, drain)
            for desk in self._state.pools.values()
            if (drain := self._reduced(desk)) is not None
        ]
        reached = [ExposureReduced(pool=drain.pool, version=drain.version) for _, drain in reduced]
        balances = self._changed_balances()
        messages: list[Message] = [*halted, *gates, *reached, *balances]
        if not messages:
            return
        await self._journal.report(messages, [drain for _, drain in reduced])
        for halt in halted:
            self._halted = halt.reason
        for gate in gates:
            self._state.pool(gate.pool).reported[gate.side] = gate.gate.value
        self._balances.update({seen.asset: seen for seen in balances})
        for desk, drain in reduced:
            if desk.wish.drain == drain:
                desk.wish = replace(desk.wish, drain_reported=True)

    def _halt(self) -> Halted:
        return Halted(account=self._state.config.account, reason=self._state.halted)

    def _gates(self, desk: PoolQuoting) -> list[QuotingChanged]:
        changed = []
        for side, shown in desk.gates.items():
            told = desk.reported.get(side)
            if told == shown.gate.value or self._still_leaving(desk, side, shown.gate):
                continue
            changed.append(QuotingChanged(pool=desk.wish.pool, side=side, gate=shown.gate))
        return changed

    def _still_leaving(self, desk: PoolQuoting, side: Side, gate: QuoteGate) -> bool:
        """A side that is stopped or halted has ceased only when none of its orders lives."""
        if gate not in (QuoteGate.STOPPED, QuoteGate.HALTED, QuoteGate.KILLED):
            return False
        return any(o.side is side for o in self._state.shadow.at_stake_of(desk.wish.pool))

    def _reduced(self, desk: PoolQuoting) -> DrainTo | None:
        """The drain that is reached and not reported yet."""
        drain = desk.wish.drain
        if drain is None or desk.wish.drain_reported or not self._compared(desk):
            return None
        taken = self._taken(desk)
        if taken is None:
            return None
        usable = inventory_now(desk.wish, desk.facts)
        fits = all(taken[side] <= usable.usable(side) for side in Side)
        return drain if fits else None

    def _compared(self, desk: PoolQuoting) -> bool:
        market = self._state.markets.get(desk.symbol)
        return self._state.reconciled and (market is None or market.reconciled)

    def _taken(self, desk: PoolQuoting) -> dict[Side, int] | None:
        """What a pool's orders may still take; None while that cannot be said."""
        pool, now_us = desk.wish.pool, self._clock.now_us()
        if desk.symbol not in self._state.markets:
            orders = self._state.shadow.at_stake_of(pool)
            return None if orders else dict.fromkeys(Side, 0)
        return {side: committed_units(self._state.live_orders(pool, side, now_us)) for side in Side}

    def _changed_balances(self) -> list[VenueBalanceSeen]:
        now_us = self._clock.monotonic_us()
        if now_us < self._balances_due_us:
            return []
        changed = []
        for asset, balance in sorted(self._state.balances.items()):
            seen = VenueBalanceSeen(
                account=self._state.config.account,
                asset=asset,
                free_units=balance.free_units,
                locked_units=balance.locked_units,
            )
            if self._balances.get(asset) != seen:
                changed.append(seen)
        if changed:
            self._balances_due_us = now_us + self._state.config.balance_report_ms * 1_000
        return changed
