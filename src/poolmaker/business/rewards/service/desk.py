"""Where rooms of outside campaigns tell what was paid to us, and what people read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from poolmaker.business.rewards.attention import reward_item
from poolmaker.business.rewards.model import (
    REWARD,
    REWARD_TABLE,
    UNBOOKED,
    DistributionSettings,
    ObservedReward,
    Reward,
    RewardData,
    RewardDecision,
    RewardDecisionKind,
    RewardDecisionRefusal,
    RewardEvent,
    RewardIncident,
    RewardLine,
    RewardState,
    RewardSummary,
    RewardTotals,
    RewardTrouble,
    ShareWindow,
    StoredAllocation,
    UserPart,
    reward_id,
)
from poolmaker.business.rewards.service.saga import (
    DistributionSaga,
    RewardPorts,
    receive_fact,
)
from poolmaker.infra.attention import LISTED_MAX, AttentionItem, and_more
from poolmaker.infra.sagas.model import Saga
from poolmaker.infra.sagas.ports import SagaHandler
from poolmaker.infra.transactions import Tx
from poolmaker.kernel.checks import ensure, require
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import InvariantBroken, Unavailable
from poolmaker.kernel.ids import OrderId, PoolId, UserId
from poolmaker.messages.base import encode

SHOWN_MAX: Final = 200


class RewardService:
    """Rewards from the first sight to the users' balances."""

    def __init__(self, ports: RewardPorts, clock: Clock, settings: DistributionSettings) -> None:
        self._ports = ports
        self._clock = clock
        self._distributing = DistributionSaga(ports, clock, settings)

    def handlers(self) -> dict[str, SagaHandler]:
        """Saga kind to its handler."""
        return {REWARD: self._distributing}

    async def follow(self) -> int:
        """Read a batch of the ledger's log into the history of shares; 0 at its end."""
        return await self._ports.shares.follow()

    # ---------------------------------------------------------------------------- what is outside

    async def observed(self, tx: Tx, reward: ObservedReward) -> None:
        """It may become ours: shown, never booked. What is final already stays as it is."""
        row = Reward(seen=replace(reward, is_final=False), seen_us=self._clock.now_us())
        found = await self._ports.store.lock(tx, row.id)
        if found is None:
            await self._add(tx, row, "observed")
        elif found.state in UNBOOKED and (found.state, found.seen) != (row.state, row.seen):
            await self._save(tx, replace(found, seen=row.seen), RewardEvent.SEEN_AGAIN)

    async def vanished(self, tx: Tx, key: str) -> None:
        """What was observed is not there any more. Of what is final this changes nothing."""
        found = await self._ports.store.lock(tx, reward_id(key))
        if found is not None and found.state is RewardState.OBSERVED:
            await self._save(tx, found, RewardEvent.VANISHED)

    async def confirmed(self, tx: Tx, reward: ObservedReward) -> None:
        """It is final: booked once, in the caller's transaction.

        Told again it changes nothing; told again with another content it is an incident.
        """
        require(reward.is_final, f"reward {reward.key}: expected a final one")
        row = Reward(seen=reward, seen_us=self._clock.now_us())
        found = await self._ports.store.lock(tx, row.id)
        if found is None:
            await self._add(tx, replace(row, state=RewardState.CONFIRMED), "confirmed")
            await self._begin(tx, row)
        elif found.state in UNBOOKED:
            await self._save(tx, replace(found, seen=reward), RewardEvent.CONFIRMED)
            await self._begin(tx, row)
        elif found.seen != reward:
            await self._contradicted(tx, found, reward)

    async def _add(self, tx: Tx, reward: Reward, event: str) -> None:
        line = RewardLine(reward.seen_us, reward.state, event)
        if not await self._ports.store.add(tx, reward, line):
            raise Unavailable(f"reward {reward.id} is being added; tell it again")

    async def _save(self, tx: Tx, reward: Reward, event: RewardEvent) -> None:
        state = REWARD_TABLE.next(reward.state, event)
        if state is None:
            raise InvariantBroken(f"{reward.id}: {event} is not possible in {reward.state}")
        line = RewardLine(self._clock.now_us(), state, event)
        await self._ports.store.save(tx, replace(reward, state=state), line)

    async def _begin(self, tx: Tx, reward: Reward) -> None:
        """Ask for RECEIVE_REWARD and start the saga."""
        await self._ports.ledger.ask(tx, receive_fact(reward))
        saga = Saga(
            id=reward.saga,
            kind=REWARD,
            state=RewardState.CONFIRMED,
            version=0,
            due_us=self._clock.now_us(),
            tries=0,
            data=encode(RewardData()),
            correlation=reward.correlation,
        )
        ensure(await self._ports.sagas.start(tx, saga), f"saga {saga.id} was there already")

    async def _contradicted(self, tx: Tx, found: Reward, seen: ObservedReward) -> None:
        names = [
            name
            for name in ObservedReward.__slots__
            if getattr(found.seen, name) != getattr(seen, name)
        ]
        told = ", ".join(f"{name}: {getattr(seen, name)}" for name in names)
        incident = RewardIncident(
            found.id, RewardTrouble.CONTRADICTED, self._clock.now_us(), f"told again with {told}"
        )
        await self._ports.store.open_incident(tx, incident)

    # ------------------------------------------------------------------------------- for people

    async def waits_since_us(self, reward: str) -> int | RewardDecisionRefusal:
        """Since when a reward waits for a person's word."""
        async with self._ports.transactions.begin("rewards.waits") as tx:
            row = await self._ports.store.reward(tx, reward)
            if row is None:
                return RewardDecisionRefusal.UNKNOWN
            return await self._waits_since_us(tx, row) or RewardDecisionRefusal.NOT_WAITING

    async def _waits_since_us(self, tx: Tx, row: Reward) -> int:
        """Since when it waits for a person, after the last word on it; 0 while it does not."""
        known = await self._ports.store.decision(tx, row.id)
        is_kept = known is not None and known.kind is RewardDecisionKind.KEEP
        if row.state is not RewardState.TRANSFERRED or is_kept:
            return 0
        asking = (RewardTrouble.NO_POOL, RewardTrouble.NO_WEIGHT)
        found = await self._ports.store.incidents(tx, row.id)
        asked = [one.opened_us for one in found if one.trouble in asking and not one.closed_us]
        if asked and known is not None:
            asked.append(known.at_us)
        return max(asked, default=0)

    async def decide(self, decision: RewardDecision, since_us: int) -> RewardDecisionRefusal | None:
        """Take a person's word on a reward that waits for one since then; go on with it at once."""
        async with self._ports.transactions.begin("rewards.decide") as tx:
            row = await self._ports.store.lock(tx, decision.reward)
            if row is None:
                return RewardDecisionRefusal.UNKNOWN
            if not since_us or await self._waits_since_us(tx, row) != since_us:
                return RewardDecisionRefusal.NOT_WAITING
            await self._ports.store.add_decision(tx, decision)
            await self._ports.sagas.wake(tx, row.saga, self._clock.now_us())
        return None

    # -------------------------------------------------------------------------------------- reads

    async def listed(self, campaign: str = "", limit: int = SHOWN_MAX) -> tuple[RewardSummary, ...]:
        """Rewards of a campaign, or of all, newest period first, each with its story."""
        async with self._ports.transactions.begin("rewards.listed") as tx:
            found = await self._ports.store.listed(tx, campaign, limit)
            return tuple([await self._view(tx, reward) for reward in found])

    async def view(self, reward: str) -> RewardSummary | None:
        """One reward by our name for it, or None."""
        async with self._ports.transactions.begin("rewards.view") as tx:
            found = await self._ports.store.reward(tx, reward)
            return await self._view(tx, found) if found is not None else None

    async def _view(self, tx: Tx, reward: Reward) -> RewardSummary:
        store = self._ports.store
        return RewardSummary(
            reward,
            tuple(await store.timeline(tx, reward.id)),
            tuple(await store.incidents(tx, reward.id)),
        )

    async def explain(self, reward: str) -> StoredAllocation | None:
        """Who got what and by which weights; None while it is not allocated."""
        async with self._ports.transactions.begin("rewards.explain") as tx:
            return await self._ports.store.allocation(tx, reward)

    async def share_history(self, pool: PoolId, from_us: int, to_us: int) -> ShareWindow:
        """What every order had of a pool in a window: who doubts a weight computes it again."""
        require(from_us < to_us, "to_us: expected a time after from_us")
        async with self._ports.transactions.begin("rewards.shares") as tx:
            return await self._ports.shares.window(tx, pool, from_us, to_us)

    async def parts_of(
        self, user: UserId, after: str = "", limit: int = SHOWN_MAX
    ) -> Sequence[UserPart]:
        """A user's parts of rewards whose name comes after ``after``, by name and order."""
        async with self._ports.transactions.begin("rewards.parts") as tx:
            return await self._ports.store.parts_of_user(tx, user, after, limit)

    async def credited(self, orders: Sequence[OrderId]) -> Mapping[OrderId, Mapping[str, int]]:
        """What was credited for each of these orders, atomic units by asset."""
        if not orders:
            return {}
        async with self._ports.transactions.begin("rewards.credited") as tx:
            return await self._ports.store.credited(tx, orders)

    async def totals(self) -> tuple[RewardTotals, ...]:
        """Sums over all booked rewards, by asset."""
        async with self._ports.transactions.begin("rewards.totals") as tx:
            return tuple(await self._ports.store.totals(tx))

    async def attention(self) -> Sequence[AttentionItem]:
        """Every open incident of a reward."""
        async with self._ports.transactions.begin("rewards.attention") as tx:
            open_ones = await self._ports.store.incidents(tx, "")
        items: list[AttentionItem] = []
        for trouble in RewardTrouble:
            of_kind = [reward_item(one) for one in open_ones if one.trouble is trouble]
            items += and_more(of_kind[:LISTED_MAX], len(of_kind))
        return items
