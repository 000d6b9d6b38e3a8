"""The order, the bounds and the pages of the list of what needs a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from poolmaker.infra.attention import AttentionItem
from poolmaker.kernel.ids import content_hash


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


SHOWN_PER_KIND: Final = 5
"""So many of one kind stand in the summary; a kind that strangers can fill displaces no other."""


def kind_of(item: AttentionItem) -> str:
    """The group in which an item is counted."""
    return f"{item.source}:{item.kind}"


def fingerprint(item: AttentionItem) -> bytes:
    """Hash of what an item says: the same trouble with other evidence is open again."""
    said = [item.id, str(item.since_us), str(item.count)]
    said += [f"{name}={item.evidence[name]}" for name in sorted(item.evidence)]
    return content_hash("\n".join(said).encode())


def is_closed_by_a_person(item: AttentionItem) -> bool:
    """Whether writing a reason closes it; else only what mends it does."""
    return any(remedy.action == "close" for remedy in item.remedies)


def in_order(items: Iterable[AttentionItem]) -> list[AttentionItem]:
    """What blocks something first, then the oldest."""
    return sorted(items, key=lambda one: (not one.blocks, one.since_us, one.id))


def summary(items: Sequence[AttentionItem], at_us: int) -> AttentionPage:
    """The first few of every kind, in the order of need. Its size depends on kinds alone."""
    shown: list[AttentionItem] = []
    seen: Counter[str] = Counter()
    for item in in_order(items):
        seen[kind_of(item)] += 1
        if seen[kind_of(item)] <= SHOWN_PER_KIND:
            shown.append(item)
    return _page(items, shown, None, at_us)


def page_of_kind(
    items: Sequence[AttentionItem], kind: str, after: str, limit: int, at_us: int
) -> AttentionPage:
    """Items of one kind after an id, by id."""
    listed = sorted((one for one in items if kind_of(one) == kind), key=lambda one: one.id)
    found = [one for one in listed if one.id > after]
    more = found[limit - 1].id if len(found) > limit else None
    return _page(items, found[:limit], more, at_us)


def _page(
    items: Sequence[AttentionItem], shown: Sequence[AttentionItem], more: str | None, at_us: int
) -> AttentionPage:
    counts: Counter[str] = Counter()
    for item in items:
        counts[kind_of(item)] += item.count
    return AttentionPage(
        items=tuple(shown), total=sum(counts.values()), counts=dict(counts),
        next_after=more, at_us=at_us,
    )  # fmt: skip
