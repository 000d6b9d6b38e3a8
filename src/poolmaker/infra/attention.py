"""What needs a person: the common form in which every room reports it.

A room names each kind of trouble by a stable word and gives facts; the words that people read are
in the catalogues, under ``attention.<source>.<kind>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


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

    @property
    def id(self) -> str:
        """Names the trouble: ``<source>:<kind>:<subject>``."""
        return f"{self.source}:{self.kind}:{self.subject}"


class AttentionSource(Protocol):
    """A room that may need a person."""

    async def attention(self) -> Sequence[AttentionItem]:
        """What needs a person now. Bounded; raises Unavailable when it cannot be read."""
        ...
