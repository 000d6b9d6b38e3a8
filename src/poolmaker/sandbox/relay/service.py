"""Carries what is due, from each side to where it goes: first it arrives, then it is completed.

What the chain holds goes over the chain: a withdrawal is a transfer on it, and a transfer on it to
a deposit address is a deposit. Everything else goes from side to side.

The relay remembers nothing that matters: after a crash it finds the same withdrawals pending,
offers them under the same names, and both sides and the chain know what they have seen.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PreconditionError, Unavailable
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.relay.arrivals import Arrivals
from poolmaker.sandbox.relay.model import Arriving, Leaving, Outcome, RelayNotice, RelaySide, TxId
from poolmaker.sandbox.relay.ports import RelayChain, RelayWorld
from poolmaker.sandbox.relay.routes import RelayRoute
from poolmaker.sandbox.relay.rules import transfer_id
from poolmaker.sandbox.relay.waiting import Tell, Waiting
from poolmaker.sandbox.venue.units import to_text

POLL_EVERY_US: Final = 100_000
SETTLING_AFTER_US: Final = 250_000


class Relay:
    """The chains between two worlds; ``chain`` is the one that is there."""

    def __init__(
        self, worlds: tuple[RelayWorld, RelayWorld], clock: Clock, rng: Rng, mean_us: int,
        tell: Tell, chain: RelayChain | None = None,
    ) -> None:  # fmt: skip
        self._worlds = worlds
        self._clock = clock
        self._tell = tell
        self._chain = chain
        self._final_block = -1
        self._waiting = {side: Waiting(side, clock, rng, mean_us) for side in RelaySide}
        self._silent: dict[RelaySide, RelayNotice] = {}
        self._arrivals = (
            Arrivals(chain, worlds, self._waiting[RelaySide.CHAIN], tell) if chain else None
        )

    async def run(self) -> None:
        """Carry until cancelled."""
        while True:
            await self.step()
            await self._clock.sleep_us(POLL_EVERY_US)

    async def step(self) -> None:
        """Look everywhere once and carry what is due."""
        one, other = self._worlds
        await self._heard(RelaySide.CHAIN, self._from_chain())
        await self._heard(one.side, self._from(one, other))
        await self._heard(other.side, self._from(other, one))

    async def _heard(self, side: RelaySide, work: Awaitable[None]) -> None:
        """Do the work; a side that is silent is told of once."""
        try:
            await work
        except (PreconditionError, Unavailable) as problem:
            told = RelayNotice(outcome=Outcome.UNAVAILABLE, leaves=side, why=str(problem))
            if self._silent.get(side) != told:
                self._silent[side] = told
                self._tell(told)
        else:
            self._silent.pop(side, None)

    async def _from_chain(self) -> None:
        if self._chain is None or self._arrivals is None:
            return
        self._final_block = await self._chain.final_block()
        await self._arrivals.step(self._final_block)

    async def _from(self, source: RelayWorld, target: RelayWorld) -> None:
        pending = {str(one.withdrawal_id): one for one in await source.pending()}
        for name in self._waiting[source.side].due(list(pending)):
            if not await self._carry(source, target, pending[name]):
                break

    async def _carry(self, source: RelayWorld, target: RelayWorld, leaving: Leaving) -> bool:
        """Try one; whether the sides answer, so that the next is worth trying."""
        route = leaving.route
        if route is None:
            why = f"{target.side} does not list {leaving.asset}"
            self._leave(leaving, Outcome.LEFT_PENDING, why)
            return True
        try:
            if self._chain is not None and route.token is not None:
                tx_id = await self._over(self._chain, leaving, route)
            else:
                tx_id = await self._past(target, leaving, route)
            if tx_id is None:
                return True
            await source.complete(leaving, tx_id)
        except PreconditionError as problem:
            self._leave(leaving, Outcome.LEFT_PENDING, str(problem))
        except Unavailable as problem:
            self._leave(leaving, Outcome.UNAVAILABLE, str(problem))
            return False
        else:
            self._tell(_told(leaving, tx_id, Outcome.ARRIVED, ""))
        return True

    async def _over(self, chain: RelayChain, leaving: Leaving, route: RelayRoute) -> TxId | None:
        """The transaction on the chain, None while it is not final."""
        sent = await chain.send(leaving, route)
        if sent.block is not None and sent.block <= self._final_block:
            return sent.tx_id
        self._waiting[leaving.side].again(leaving.withdrawal_id, SETTLING_AFTER_US)
        return None

    @staticmethod
    async def _past(target: RelayWorld, leaving: Leaving, route: RelayRoute) -> TxId:
        """The transaction on a chain that is not there."""
        tx_id = transfer_id(leaving.side, leaving.withdrawal_id)
        arriving = Arriving(
            route=route, units=leaving.units, address=leaving.address, tag=leaving.tag, tx_id=tx_id
        )
        await target.receive(arriving)
        return tx_id

    def _leave(self, leaving: Leaving, outcome: Outcome, why: str) -> None:
        """Offer it again later; the same reason is told once."""
        waiting, told = self._waiting[leaving.side], _told(leaving, "", outcome, why)
        waiting.again(leaving.withdrawal_id)
        if waiting.is_news(leaving.withdrawal_id, told):
            self._tell(told)


def _told(leaving: Leaving, tx_id: str, outcome: Outcome, why: str) -> RelayNotice:
    return RelayNotice(
        outcome=outcome, leaves=leaving.side, withdrawal_id=leaving.withdrawal_id, tx_id=tx_id,
        asset=leaving.asset, amount=to_text(leaving.units), address=leaving.address, why=why,
    )  # fmt: skip
