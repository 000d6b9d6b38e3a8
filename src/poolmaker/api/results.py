"""What commands answer: done and durable, or refused and nothing moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ActionRefused:
    """An expected refusal: nothing moved. ``code`` is stable, ``facts`` fill its sentence."""

    code: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActionReceipt:
    """Done and durable. ``seq`` is the ledger transaction that moved money."""

    id: str
    seq: int
    at_us: int
