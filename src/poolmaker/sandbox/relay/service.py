"""Carries what is due, from each side to the other: first it arrives, then it is completed.

The relay remembers nothing that matters: after a crash it finds the same withdrawals pending,
offers them under the same transaction ids, and both sides know what they have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import CallerFault, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.relay.model import Leaving, Outcome, Side, Told, TxId, WithdrawalId
from poolmaker.sandbox.relay.ports import World
from poolmaker.sandbox.relay.routes import Route
from poolmaker.sandbox.relay.rules import delay_us, transfer_id
from poolmaker.sandbox.venue.units import to_text

POLL_EVERY_US: Final = 100_000
RETRY_AFTER_US: Final = 1 * SECOND_US
BATCH_MAX: Final = 200


class Relay:
    """The chains between two worlds."""

    def __init__(
        self, worlds: tuple[World, World], clock: Clock, rng: Rng, mean_us: int,
        tell: Callable[[Told], None],
    ) -> None:  # fmt: skip
        self._worlds = worlds
        self._clock = clock
        self._rng = rng
        self._mean_us = mean_us
        self._tell = tell
        self._due_us: dict[Side, dict[WithdrawalId, int]] = {}
        self._said: dict[Side, dict[WithdrawalId, Told]] = {}
        self._silent: dict[Side, Told] = {}

    async def run(self) -> None:
        """Carry until cancelled."""
        while True:
            await self.step()
            await self._clock.sleep_us(POLL_EVERY_US)

    async def step(self) -> None:
        """Look at both sides once and carry what is due."""
        one, other = self._worlds
        await self._from(one, other)
        await self._from(other, one)

    async def _from(self, source: World, target: World) -> None:
        try:
            pending = await source.pending()
        except (CallerFault, Unavailable) as problem:
            self._note_silence(source.side, str(problem))
            return
        self._silent.pop(source.side, None)
        due_us = self._schedule(source.side, pending)
        now_us = self._clock.monotonic_us()
        due = [one for one in pending if due_us[one.withdrawal_id] <= now_us]
        for leaving in sorted(due, key=lambda one: due_us[one.withdrawal_id])[:BATCH_MAX]:
            if not await self._carry(source, target, leaving):
                break

    def _schedule(self, side: Side, pending: Sequence[Leaving]) -> dict[WithdrawalId, int]:
        """When each is due; what is no longer pending is forgotten."""
        now_us = self._clock.monotonic_us()
        known, said = self._due_us.get(side, {}), self._said.get(side, {})
        names = [one.withdrawal_id for one in pending]
        due_us = {
            name: known[name] if name in known
            else now_us + delay_us(self._rng, side, name, self._mean_us)
            for name in names
        }  # fmt: skip
        self._due_us[side] = due_us
        self._said[side] = {name: said[name] for name in names if name in said}
        return due_us

    async def _carry(self, source: World, target: World, leaving: Leaving) -> bool:
        """Try one; whether the sides answer, so that the next is worth trying."""
        tx_id = transfer_id(leaving.side, leaving.withdrawal_id)
        if leaving.route is None:
            why = f"{target.side} does not list {leaving.asset}"
            self._leave(leaving, tx_id, Outcome.LEFT_PENDING, why)
            return True
        try:
            await self._transfer(source, target, leaving, leaving.route)
        except CallerFault as problem:
            self._leave(leaving, tx_id, Outcome.LEFT_PENDING, str(problem))
        except Unavailable as problem:
            self._leave(leaving, tx_id, Outcome.UNAVAILABLE, str(problem))
            return False
        else:
            self._tell(_told(leaving, tx_id, Outcome.ARRIVED, ""))
        return True

    @staticmethod
    async def _transfer(source: World, target: World, leaving: Leaving, route: Route) -> None:
        tx_id = transfer_id(leaving.side, leaving.withdrawal_id)
        await target.receive(leaving, route, tx_id)
        await source.complete(leaving, tx_id)

    def _leave(self, leaving: Leaving, tx_id: TxId, outcome: Outcome, why: str) -> None:
        """Offer it again later; the same reason is told once."""
        name, told = leaving.withdrawal_id, _told(leaving, tx_id, outcome, why)
        self._due_us[leaving.side][name] = self._clock.monotonic_us() + RETRY_AFTER_US
        if self._said[leaving.side].get(name) != told:
            self._said[leaving.side][name] = told
            self._tell(told)

    def _note_silence(self, side: Side, why: str) -> None:
        told = Told(outcome=Outcome.UNAVAILABLE, leaves=side, why=why)
        if self._silent.get(side) != told:
            self._silent[side] = told
            self._tell(told)


def _told(leaving: Leaving, tx_id: TxId, outcome: Outcome, why: str) -> Told:
    return Told(
        outcome=outcome, leaves=leaving.side, withdrawal_id=leaving.withdrawal_id, tx_id=tx_id,
        asset=leaving.asset, amount=to_text(leaving.units), address=leaving.address, why=why,
    )  # fmt: skip
