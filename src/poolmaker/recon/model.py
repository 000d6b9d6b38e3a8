"""Values of reconciliation: what needs a person, as one list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from poolmaker.infra.attention import AttentionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPage:
    """A page of the list. ``total`` and ``counts`` are of everything that is open, not of the page.

    ``counts`` is by ``<source>:<kind>``. Ask again with ``next_after`` until it is None.
    """

    items: tuple[AttentionItem, ...]
    total: int
    counts: Mapping[str, int]
    next_after: str | None
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A named person has closed an item. ``fingerprint`` covers its evidence as it was then."""

    item: str
    fingerprint: bytes
    by: str
    reason: str
    at_us: int


class CloseAnswer(StrEnum):
    """What became of closing an item."""

    CLOSED = "closed"
    UNKNOWN = "unknown_item"
    """There is no such item, or it has changed since."""
    BY_EVIDENCE = "closes_by_evidence"
    """It is a condition that holds: only what mends it closes it."""
