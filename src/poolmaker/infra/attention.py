"""What needs a person: the common form in which every room reports it.

A room names each kind of trouble by a stable word and gives facts; the words that people read are
in the catalogues, under ``attention.<source>.<kind>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

LISTED_MAX: Final = 200
"""Most items of one kind that a source lists one by one; the rest is one item with a count."""
MORE: Final = "more"
"""Subject of the item that stands for what is not listed one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One way forward: ``command`` is what an operator types, ``route`` the same over the API."""

    action: str
    """Stable word of the action, for buttons."""
    command: str
    route: str = ""
    """Method and path, as in ``POST /api/v1/sagas/{id}/resume``; empty where only a person acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """One thing that needs a person. ``id`` is the same as long as the trouble is the same."""

    source: str
    """The room that reports it."""
    kind: str
    """The room's own stable word for the trouble."""
    subject: str
    """What it is about: an id, an account, a place."""
    since_us: int
    """When it began, microseconds since the Unix epoch; 0 when that is not known."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Facts by name, as plain text: amounts are exact decimals with their asset."""
    blocks: tuple[str, ...] = ()
    """What does not go on until it is solved, as stable words; empty when nothing waits."""
    remedies: tuple[Remedy, ...] = ()
    """Every way forward; empty only where evidence alone closes it."""
    count: int = 1
    """How many troubles of this kind it stands for; above 1 for an aggregate."""

    @property
    def id(self) -> str:
        """Names the trouble: ``<source>:<kind>:<subject>``."""
        return f"{self.source}:{self.kind}:{self.subject}"


def closed_by_a_person(source: str, kind: str, subject: str) -> Remedy:
    """The remedy of what nothing outside can settle: a named person closes it with a reason."""
    item_id = f"{source}:{kind}:{subject}"
    return Remedy(
        action="close",
        command=f"poolmaker attention close {item_id!r} --reason TEXT",
        route="POST /api/v1/attention/close",
    )


def and_more(shown: Sequence[AttentionItem], total: int) -> tuple[AttentionItem, ...]:
    """``shown`` of one kind, and one item that counts what of ``total`` is not among them."""
    if not shown or total <= len(shown):
        return tuple(shown)
    last = shown[-1]
    rest = AttentionItem(
        source=last.source,
        kind=last.kind,
        subject=MORE,
        since_us=last.since_us,
        blocks=last.blocks,
        count=total - len(shown),
    )
    return (*shown, rest)


class AttentionSource(Protocol):
    """A room that may need a person."""

    async def attention(self) -> Sequence[AttentionItem]:
        """What needs a person now. Bounded; raises Unavailable when it cannot be read."""
        ...
