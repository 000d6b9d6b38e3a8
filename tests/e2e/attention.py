"""What needs a person on the made-up platform, and what a person did about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolmaker.api.interventions import Bearing, Interventions, Resolving, RewardWord, StreamPlace
from poolmaker.api.results import ActionReceipt, ActionRefused
from poolmaker.infra.attention import AttentionItem, Remedy, closed_by_a_person
from poolmaker.recon.listing import (
    AttentionPage,
    CloseAnswer,
    is_closed_by_a_person,
    page_of_kind,
    summary,
)
from poolmaker.views.attention import SagaStepView, SagaView, StreamEventView
from poolmaker.views.model import AmountView

PARKED = AttentionItem(
    source="sagas",
    kind="parked",
    subject="wd_1",
    since_us=1_700_000_000_000_000,
    evidence={"saga": "withdrawal", "reason": "a refund was sent only in part"},
    blocks=("withdrawal",),
    remedies=(
        Remedy(
            action="resume",
            command="poolmaker saga resume wd_1",
            route="POST /api/v1/sagas/{saga_id}/resume",
        ),
    ),
)
CONFLICT = AttentionItem(
    source="ledger",
    kind="conflict",
    subject="fill:1 00ff",
    since_us=1_700_000_000_000_000,
    evidence={"key": "fill:1"},
    remedies=(closed_by_a_person("ledger", "conflict", "fill:1 00ff"),),
)


@dataclass
class FakeAttention:
    """The real order and pages over two made-up items."""

    items: list[AttentionItem] = field(default_factory=lambda: [PARKED, CONFLICT])
    closed: list[tuple[str, str, str]] = field(default_factory=list)

    async def summary(self) -> AttentionPage:
        return summary(self.items, 1)

    async def recent(self) -> AttentionPage:
        return summary(self.items, 1)

    async def of_kind(self, kind: str, after: str, limit: int) -> AttentionPage:
        return page_of_kind(self.items, kind, after, limit, 1)

    async def close(self, item_id: str, by: str, reason: str) -> CloseAnswer:
        found = next((one for one in self.items if one.id == item_id), None)
        if found is None:
            return CloseAnswer.UNKNOWN
        if not is_closed_by_a_person(found):
            return CloseAnswer.BY_EVIDENCE
        self.items.remove(found)
        self.closed.append((item_id, by, reason))
        return CloseAnswer.CLOSED


@dataclass
class FakeInterventions:
    """Does nothing and writes down what it was asked."""

    done: list[tuple[object, ...]] = field(default_factory=list)
    frozen_us: int = 5
    stands_at: int = 1
    """How what waits for a person stands: changes when anything of it does."""

    def interventions(self) -> Interventions:
        return Interventions(sagas=self, streams=self, ledger=self, rooms=self)

    async def saga(self, saga_id: str) -> SagaView | None:
        if saga_id != "wd_1":
            return None
        steps = (SagaStepView("held", 1, "hold_posted"),)
        return SagaView("wd_1", "withdrawal", "held", "in part", "", 0, 1, steps)

    async def resume(self, saga_id: str) -> SagaView | ActionRefused:
        self.done.append(("resume", saga_id))
        return await self.saga(saga_id) or ActionRefused("not_found")

    async def retry(self, saga_id: str) -> SagaView | ActionRefused:
        self.done.append(("retry", saga_id))
        return await self.saga(saga_id) or ActionRefused("not_found")

    async def event(self, place: StreamPlace) -> StreamEventView | None:
        if place.seq != 7:
            return None
        names = (place.consumer, place.stream, place.seq)
        at_us = self.stands_at
        return StreamEventView(
            *names, "bad", 1, at_us, "key", "{}", 1, replay_asked=False, skip_by=""
        )

    async def replay(self, place: StreamPlace) -> StreamEventView | ActionRefused:
        self.done.append(("replay", place))
        return await self.event(place) or ActionRefused("not_stopped")

    async def skip(
        self, place: StreamPlace, failed_at_us: int, by: str, reason: str
    ) -> StreamEventView | ActionRefused:
        self.done.append(("skip", place, failed_at_us, by, reason))
        return await self.event(place) or ActionRefused("not_stopped")

    async def bear(self, asked: Bearing) -> ActionReceipt | ActionRefused:
        self.done.append(("bear", asked.account, asked.money))
        return ActionReceipt(asked.request_id, 1, 1)

    async def suspended(self, source: str, money: AmountView) -> int | ActionRefused:
        return self.stands_at if source == "mixin:x" else ActionRefused("insufficient")

    async def resolve(self, asked: Resolving) -> ActionReceipt | ActionRefused:
        self.done.append(("resolve", asked.source, asked.target, asked.money, asked.entry))
        return ActionReceipt(asked.request_id, 1, 1)

    async def refund(self, source: str, reason: str, request_id: str) -> ActionRefused | None:
        self.done.append(("refund", source))
        return None

    async def waiting(self, key: str) -> str | ActionRefused:
        return f"{self.stands_at:064x}" if key == "fill:1" else ActionRefused("unknown_transaction")

    async def set_aside(
        self, key: str, digest: str, reason: str, request_id: str
    ) -> ActionReceipt | ActionRefused:
        self.done.append(("set_aside", key, digest))
        return ActionReceipt(request_id, 1, 1)

    async def reward_waits_since_us(self, reward: str) -> int | ActionRefused:
        return self.stands_at if reward == "rw_1" else ActionRefused("reward_not_waiting")

    async def decide_reward(self, word: RewardWord) -> ActionRefused | None:
        self.done.append(("decide_reward", word.reward, word.pool, word.since_us))
        return None

    async def join_campaign(self, campaign: str) -> ActionRefused | None:
        self.done.append(("join_campaign", campaign))
        return None

    async def freeze(self, by: str, reason: str) -> None:
        self.done.append(("freeze", by, reason))

    async def frozen_since_us(self) -> int:
        return self.frozen_us

    async def lift_freeze(self, since_us: int) -> None:
        self.done.append(("lift_freeze", since_us))
        self.frozen_us = 0 if since_us == self.frozen_us else self.frozen_us
