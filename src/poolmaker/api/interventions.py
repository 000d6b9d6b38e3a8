"""What a person may do about what needs one, as the API needs it; ``app`` plugs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from poolmaker.api.results import ActionReceipt, ActionRefused
from poolmaker.views.attention import SagaView, StreamEventView
from poolmaker.views.model import (
    AmountView,
)


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """An event at which a consumer of a stream has stopped."""

    consumer: str
    stream: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearing:
    """Platform equity is to bear what facts took beyond what was there on ``account``."""

    request_id: str
    account: str
    money: AmountView
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolving:
    """Money of ``suspense:<source>`` is to become that of the account ``target``."""

    request_id: str
    source: str
    target: str
    money: AmountView
    entry: int
    """The last ledger entry of the suspense that was decided about."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardWord:
    """A reward that waits for a person since ``since_us`` is a pool's, or nobody's without one."""

    reward: str
    pool: str
    since_us: int
    by: str
    reason: str


class SagaCommands(Protocol):
    """Sagas that are parked or wait."""

    async def saga(self, saga_id: str) -> SagaView | None:
        """One saga with its steps, or None."""
        ...

    async def resume(self, saga_id: str) -> SagaView | ActionRefused:
        """Let a parked saga go on. Refuses ``not_found`` and ``not_parked``."""
        ...

    async def retry(self, saga_id: str) -> SagaView | ActionRefused:
        """Let a waiting saga look again now. Refuses ``not_found``."""
        ...


class StreamCommands(Protocol):
    """Streams that stopped at an event that could not be applied."""

    async def event(self, place: StreamPlace) -> StreamEventView | None:
        """The event and why it stopped the consumer; None when it has not stopped there."""
        ...

    async def replay(self, place: StreamPlace) -> StreamEventView | ActionRefused:
        """Try the event again. Refuses ``not_stopped``."""
        ...

    async def skip(
        self, place: StreamPlace, failed_at_us: int, by: str, reason: str
    ) -> StreamEventView | ActionRefused:
        """Leave the event out for this consumer, which stopped at ``failed_at_us``, not later.

        Refuses ``not_stopped``.
        """
        ...


class LedgerCommands(Protocol):
    """What is missing, nobody's, or cannot be booked. Refusals are the ledger's own words."""

    async def bear(self, asked: Bearing) -> ActionReceipt | ActionRefused:
        """BEAR_DEFICIT."""
        ...

    async def suspended(self, source: str, money: AmountView) -> int | ActionRefused:
        """The last ledger entry of a suspense that holds ``money``."""
        ...

    async def resolve(self, asked: Resolving) -> ActionReceipt | ActionRefused:
        """RESOLVE_SUSPENSE.v2, if nothing was booked there since. Refuses ``insufficient``."""
        ...

    async def refund(self, source: str, reason: str, request_id: str) -> ActionRefused | None:
        """Pay suspense back to its sender once more. Refuses ``no_sender``."""
        ...

    async def waiting(self, key: str) -> str | ActionRefused:
        """The digest of a fact that cannot be booked. Refuses ``unknown_transaction``."""
        ...

    async def set_aside(
        self, key: str, digest: str, reason: str, request_id: str
    ) -> ActionReceipt | ActionRefused:
        """SET_ASIDE of a fact that cannot be booked. Refuses ``unknown_transaction``."""
        ...


class RoomCommands(Protocol):
    """Decisions about rewards, campaigns and the freeze of outgoing money."""

    async def reward_waits_since_us(self, reward: str) -> int | ActionRefused:
        """Since when a reward without owners waits. Refuses ``reward_not_waiting``."""
        ...

    async def decide_reward(self, word: RewardWord) -> ActionRefused | None:
        """A reward without owners is the operator's, or a pool's where one is named."""
        ...

    async def join_campaign(self, campaign: str) -> ActionRefused | None:
        """Ask again to take part."""
        ...

    async def freeze(self, by: str, reason: str) -> None:
        """Stop outgoing money."""
        ...

    async def frozen_since_us(self) -> int:
        """When outgoing money was stopped, microseconds since the Unix epoch; 0: it is not."""
        ...

    async def lift_freeze(self, since_us: int) -> None:
        """Let outgoing money go again that was stopped at ``since_us``; a later freeze stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Interventions:
    """Everything that a person may do about what needs one."""

    sagas: SagaCommands
    streams: StreamCommands
    ledger: LedgerCommands
    rooms: RoomCommands
