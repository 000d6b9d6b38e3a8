"""What can be seen of what needs a person. Times are microseconds since the Unix epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SagaStepView:
    """One advance of a saga, as it was recorded."""

    state: str
    at_us: int
    note: str


@dataclass(frozen=True, slots=True)
class SagaView:
    """A saga: ``incident`` says why it is parked, ``note`` what it waits for."""

    saga_id: str
    kind: str
    state: str
    incident: str
    note: str
    tries: int
    since_us: int
    steps: tuple[SagaStepView, ...]


@dataclass(frozen=True, slots=True)
class StreamEventView:
    """An event at which a consumer has stopped. ``body`` is its text as it was recorded."""

    consumer: str
    stream: str
    seq: int
    error: str
    failures: int
    failed_at_us: int
    key: str
    body: str
    recorded_at_us: int
    replay_asked: bool
    skip_by: str


@dataclass(frozen=True, slots=True)
class AttentionItemView:
    """One thing that needs a person; ``commands`` are what an operator types to solve it."""

    id: str
    source: str
    kind: str
    subject: str
    since_us: int
    evidence: Mapping[str, str]
    blocks: tuple[str, ...]
    commands: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class AttentionView:
    """What needs a person, the first few of every kind; ``total`` counts everything."""

    items: tuple[AttentionItemView, ...]
    total: int
