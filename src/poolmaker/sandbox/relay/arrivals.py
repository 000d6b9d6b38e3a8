"""Follows the chain and credits what came to a side's deposit address, once it is final.

The blocks are the only memory that matters: after a crash they are read again from the first, and
the sides know by transaction id and index what they have credited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from poolmaker.kernel.errors import PreconditionError, Unavailable
from poolmaker.sandbox.relay.model import Arriving, Outcome, Place, RelayNotice, RelaySide, Seen
from poolmaker.sandbox.relay.ports import RelayChain, RelayWorld
from poolmaker.sandbox.relay.rules import counted
from poolmaker.sandbox.relay.waiting import Tell, Waiting
from poolmaker.sandbox.venue.units import to_text

BLOCKS_MAX: Final = 256
"""So many are read in one step."""
WAITING_MAX: Final = 10_000
REORG_DEPTH: Final = 64


class Arrivals:
    """Carries from the chain to the sides."""

    def __init__(
        self, chain: RelayChain, worlds: Sequence[RelayWorld], waiting: Waiting, tell: Tell
    ) -> None:
        self._chain = chain
        self._worlds = worlds
        self._waiting = waiting
        self._tell = tell
        self._next_block = 0
        self._last_hash: str | None = None
        self._seen: dict[str, Seen] = {}

    async def step(self, final_block: int) -> None:
        """Read what has become final and credit what is due; raises Unavailable."""
        owners = await self._owners()
        await self._stay_on_chain()
        await self._read(final_block, owners)
        for name in self._waiting.due(self._seen):
            seen = self._seen[name]
            if await self._is_still_there(seen):
                await self._credit(seen, owners.get(seen.place))

    async def _owners(self) -> Mapping[Place, RelayWorld]:
        return {place: one for one in self._worlds for place in await one.addresses()}

    async def _stay_on_chain(self) -> None:
        """Go back where the newest block that was read is not on the chain any more."""
        if self._next_block and (
            await self._chain.block_hash(self._next_block - 1) != self._last_hash
        ):
            await self._go_back(self._next_block)

    async def _go_back(self, block: int) -> None:
        self._next_block = max(0, min(self._next_block, block) - REORG_DEPTH)
        before = self._next_block - 1
        self._last_hash = await self._chain.block_hash(before) if self._next_block else None

    async def _read(self, final_block: int, owners: Mapping[Place, RelayWorld]) -> None:
        last = min(final_block, self._next_block + BLOCKS_MAX - 1)
        if last < self._next_block or len(self._seen) >= WAITING_MAX:
            return
        last_hash = await self._chain.block_hash(last)
        found = await self._chain.transfers(self._next_block, last, owners.keys())
        self._seen |= {one.name: one for one in found}
        self._next_block, self._last_hash = last + 1, last_hash

    async def _is_still_there(self, seen: Seen) -> bool:
        """Whether its block is still on the chain; else it is forgotten and looked for again."""
        if await self._chain.block_hash(seen.block) == seen.block_hash:
            return True
        del self._seen[seen.name]
        await self._go_back(seen.block)
        return False

    async def _credit(self, seen: Seen, world: RelayWorld | None) -> None:
        decimals = seen.route.token.decimals if seen.route.token else 0
        units, rest = counted(seen.units, decimals)
        try:
            # What is too small to be counted, or whose world has forgotten it, credits nobody.
            is_new = units > 0 and world is not None and await world.receive(_arriving(seen, units))
        except PreconditionError as problem:
            self._put_off(seen, Outcome.LEFT_PENDING, str(problem))
            return
        except Unavailable as problem:
            self._put_off(seen, Outcome.UNAVAILABLE, str(problem))
            return
        del self._seen[seen.name]
        if is_new:
            self._tell(_told(seen, units, Outcome.ARRIVED, ""))
        if rest and (is_new or not units):
            why = f"{rest} of the token's smallest units are below what is counted"
            self._tell(_told(seen, 0, Outcome.DUST, why))

    def _put_off(self, seen: Seen, outcome: Outcome, why: str) -> None:
        told = _told(seen, 0, outcome, why)
        self._waiting.again(seen.name)
        if self._waiting.is_news(seen.name, told):
            self._tell(told)


def _arriving(seen: Seen, units: int) -> Arriving:
    return Arriving(
        route=seen.route, units=units, address=seen.address, tx_id=seen.tx_id, index=seen.index,
        sender=seen.sender,
    )  # fmt: skip


def _told(seen: Seen, units: int, outcome: Outcome, why: str) -> RelayNotice:
    return RelayNotice(
        outcome=outcome, leaves=RelaySide.CHAIN, tx_id=seen.tx_id, asset=seen.route.coin,
        amount=to_text(units), address=seen.address, why=why,
    )  # fmt: skip
