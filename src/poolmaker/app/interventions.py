"""What a person may do about what the list of attention names.

Nothing here decides who may: the API asks for a second person where money depends on it. Every
ledger command is keyed by the request, so that the same request moves nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from poolmaker.api.interventions import Bearing, Resolving, RewardWord, StreamPlace
from poolmaker.api.results import ActionReceipt, ActionRefused
from poolmaker.app.figures import AssetRegistry
from poolmaker.bus.model import DeadLetter
from poolmaker.bus.ports import StreamStore
from poolmaker.business.campaigns.service import CampaignService
from poolmaker.business.ledger.accounts import suspense
from poolmaker.business.ledger.attention import LedgerAttention
from poolmaker.business.ledger.commands import BearDeficit, Command, ResolveSuspenseTo
from poolmaker.business.ledger.model import LedgerRefusal, Posted
from poolmaker.business.ledger.ports import LedgerClient
from poolmaker.business.rewards.model import RewardDecision, RewardDecisionKind
from poolmaker.business.rewards.service import RewardService
from poolmaker.business.treasury.service import IncomingPayments
from poolmaker.business.withdrawals.service import Withdrawals
from poolmaker.infra.sagas.ports import RunnerStore
from poolmaker.infra.transactions import Transactions
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.ids import CommandKey, PoolId, SagaId
from poolmaker.kernel.money import parse_units
from poolmaker.messages.base import Money as UnitMoney
from poolmaker.views.attention import SagaStepView, SagaView, StreamEventView
from poolmaker.views.model import (
    AmountView,
)

BODY_MAX: Final = 20_000
_NOT_FOUND: Final = ActionRefused("not_found")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionRooms:
    """Whose waiting things a person may move on."""

    withdrawals: Withdrawals
    reception: IncomingPayments
    rewards: RewardService
    campaigns: CampaignService
    ledger_attention: LedgerAttention


class SagaInterventions:
    """Sagas that are parked or wait."""

    def __init__(self, transactions: Transactions, store: RunnerStore, clock: Clock) -> None:
        self._transactions = transactions
        self._store = store
        self._clock = clock

    async def saga(self, saga_id: str) -> SagaView | None:
        saga = SagaId(saga_id)
        async with self._transactions.begin("interventions.saga") as tx:
            found = await self._store.waiting(tx, saga)
            steps = await self._store.steps(tx, saga)
        if found is None:
            return None
        return SagaView(
            saga_id=found.id,
            kind=found.kind,
            state=found.state,
            incident=found.incident,
            note=found.note,
            tries=found.tries,
            since_us=found.since_us,
            steps=tuple(SagaStepView(one.state_after, one.at_us, one.note) for one in steps),
        )

    async def resume(self, saga_id: str) -> SagaView | ActionRefused:
        async with self._transactions.begin("interventions.resume") as tx:
            parked = await self._store.unpark(tx, SagaId(saga_id), self._clock.now_us())
        seen = await self.saga(saga_id)
        if seen is None:
            return _NOT_FOUND
        return seen if parked else ActionRefused("not_parked", {"saga": saga_id})

    async def retry(self, saga_id: str) -> SagaView | ActionRefused:
        async with self._transactions.begin("interventions.retry") as tx:
            await self._store.wake(tx, SagaId(saga_id), self._clock.now_us())
        return await self.saga(saga_id) or _NOT_FOUND


class StreamInterventions:
    """Streams that stopped at an event."""

    def __init__(self, transactions: Transactions, store: StreamStore) -> None:
        self._transactions = transactions
        self._store = store

    async def event(self, place: StreamPlace) -> StreamEventView | None:
        async with self._transactions.begin("interventions.event") as tx:
            letter = await self._store.letter(tx, place.consumer, place.stream)
            if letter is None or letter.seq != place.seq:
                return None
            found = await self._store.read(tx, place.stream, place.seq - 1, 1)
        one = found[0] if found else None
        return StreamEventView(
            consumer=letter.consumer,
            stream=letter.stream,
            seq=letter.seq,
            error=letter.error,
            failures=letter.failures,
            failed_at_us=letter.failed_at_us,
            key=one.key if one is not None else "",
            body=one.body[:BODY_MAX].decode("utf-8", "replace") if one is not None else "",
            recorded_at_us=one.recorded_at_us if one is not None else 0,
            replay_asked=letter.replay_asked,
            skip_by=letter.skip_by,
        )

    async def replay(self, place: StreamPlace) -> StreamEventView | ActionRefused:
        async with self._transactions.begin("interventions.replay") as tx:
            letter = await self._at(place, await self._store.letter(tx, *_names(place)))
            if letter is None:
                return _not_stopped(place)
            await self._store.ask_replay(tx, place.consumer, place.stream)
        return await self.event(place) or _not_stopped(place)

    async def skip(
        self, place: StreamPlace, failed_at_us: int, by: str, reason: str
    ) -> StreamEventView | ActionRefused:
        seen = await self.event(place)
        if seen is None or seen.failed_at_us != failed_at_us:
            return _not_stopped(place)
        async with self._transactions.begin("interventions.skip") as tx:
            asked = await self._store.ask_skip(tx, *_names(place), place.seq, by, reason)
        return seen if asked else _not_stopped(place)

    @staticmethod
    async def _at(place: StreamPlace, letter: DeadLetter | None) -> DeadLetter | None:
        return letter if letter is not None and letter.seq == place.seq else None


def _names(place: StreamPlace) -> tuple[str, str]:
    return place.consumer, place.stream


def _not_stopped(place: StreamPlace) -> ActionRefused:
    return ActionRefused("not_stopped", {"stream": place.stream, "event": str(place.seq)})


class LedgerInterventions:
    """Amounts that are missing or nobody's, and commands that cannot be booked."""

    def __init__(
        self,
        ledger: LedgerClient,
        transactions: Transactions,
        rooms: InterventionRooms,
        scales: AssetRegistry,
    ) -> None:
        self._ledger = ledger
        self._transactions = transactions
        self._rooms = rooms
        self._scales = scales

    async def bear(self, asked: Bearing) -> ActionReceipt | ActionRefused:
        return await self._post(
            asked.request_id,
            BearDeficit(
                key=CommandKey(f"bear:{asked.request_id}"),
                account=asked.account,
                money=self._units(asked.money),
                reason=asked.reason,
            ),
            asked.money.asset,
        )

    async def suspended(self, source: str, money: AmountView) -> int | ActionRefused:
        units = self._units(money).units
        entry, held_units = await self._rooms.ledger_attention.stands(suspense(source), money.asset)
        if units > held_units:
            return ActionRefused(LedgerRefusal.INSUFFICIENT.value, self._scales.facts(money.asset))
        return entry

    async def resolve(self, asked: Resolving) -> ActionReceipt | ActionRefused:
        money = self._units(asked.money)
        entry, _ = await self._rooms.ledger_attention.stands(suspense(asked.source), money.asset)
        command = ResolveSuspenseTo(
            key=CommandKey(f"resolve:{asked.request_id}"),
            source=asked.source,
            target=asked.target,
            money=money,
            reason=asked.reason,
        )
        if entry != asked.entry and not await self._answered(command.key):
            return ActionRefused(LedgerRefusal.INSUFFICIENT.value, self._scales.facts(money.asset))
        answer = await self._post(asked.request_id, command, money.asset)
        if isinstance(answer, ActionReceipt):
            async with self._transactions.begin("interventions.resolved") as tx:
                left = await self._ledger.balance(tx, suspense(asked.source), money.asset)
                if left <= 0:
                    await self._rooms.reception.resolved(tx, asked.source, asked.reason)
        return answer

    async def refund(self, source: str, reason: str, request_id: str) -> ActionRefused | None:
        async with self._transactions.begin("interventions.refund") as tx:
            sent = await self._rooms.reception.refund_again(tx, source, reason, request_id)
        return None if sent else ActionRefused("no_sender", {"source": source})

    async def waiting(self, key: str) -> str | ActionRefused:
        fact = CommandKey(key)
        found = await self._rooms.ledger_attention.aside(fact, fact, "")
        return ActionRefused(found.value) if isinstance(found, LedgerRefusal) else found.digest

    async def set_aside(
        self, key: str, digest: str, reason: str, request_id: str
    ) -> ActionReceipt | ActionRefused:
        asked_as = CommandKey(f"aside:{request_id}")
        command = await self._rooms.ledger_attention.aside(CommandKey(key), asked_as, reason)
        if isinstance(command, LedgerRefusal):
            return ActionRefused(command.value)
        if command.digest != digest:
            return ActionRefused(LedgerRefusal.UNKNOWN_TRANSACTION.value)
        return await self._post(request_id, command)

    async def _answered(self, key: CommandKey) -> bool:
        async with self._transactions.begin("interventions.answered") as tx:
            return await self._ledger.outcome(tx, key) is not None

    async def _post(
        self, request_id: str, command: Command, asset: str = ""
    ) -> ActionReceipt | ActionRefused:
        outcome = await self._ledger.submit(command)
        if isinstance(outcome, Posted):
            return ActionReceipt(request_id, outcome.seq, outcome.at_us)
        return ActionRefused(outcome.reason.value, self._scales.facts(asset))

    def _units(self, money: AmountView) -> UnitMoney:
        units = parse_units(money.amount, self._scales.of(money.asset))
        return UnitMoney(asset=money.asset, units=units)


class RoomInterventions:
    """Rewards that nobody can be given, campaigns that did not take us, the freeze."""

    def __init__(self, rooms: InterventionRooms, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock

    async def reward_waits_since_us(self, reward: str) -> int | ActionRefused:
        answer = await self._rooms.rewards.waits_since_us(reward)
        return answer if isinstance(answer, int) else ActionRefused(answer.value)

    async def decide_reward(self, word: RewardWord) -> ActionRefused | None:
        kind = RewardDecisionKind.ASSIGN if word.pool else RewardDecisionKind.KEEP
        decision = RewardDecision(
            reward=word.reward,
            kind=kind,
            pool=PoolId(word.pool),
            by=word.by,
            reason=word.reason,
            at_us=self._clock.now_us(),
        )
        refusal = await self._rooms.rewards.decide(decision, word.since_us)
        return ActionRefused(refusal.value) if refusal is not None else None

    async def join_campaign(self, campaign: str) -> ActionRefused | None:
        if await self._rooms.campaigns.view(campaign) is None:
            return _NOT_FOUND
        await self._rooms.campaigns.want(campaign)
        return None

    async def freeze(self, by: str, reason: str) -> None:
        await self._rooms.withdrawals.freeze(reason, by)

    async def frozen_since_us(self) -> int:
        freeze = await self._rooms.withdrawals.frozen()
        return freeze.at_us if freeze is not None else 0

    async def lift_freeze(self, since_us: int) -> None:
        await self._rooms.withdrawals.unfreeze(since_us)
