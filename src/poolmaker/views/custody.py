"""What pages and API show of custody: incidents, and assets that nobody has configured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyIncidentView:
    """A custody incident: a place that is short, silent, unknown, or holds too much.

    Amounts are in ``asset``, empty where the whole place is meant. ``closed_at_us``: 0 while open.
    """

    incident: str
    kind: str
    location: str
    asset: str
    difference: str
    booked: str
    reported: str
    borne: str
    owner: str
    opened_at_us: int
    closed_at_us: int
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedView:
    """What one sender paid at Mixin in an asset without a form, and is still here.

    ``sender`` is empty for what came from a chain or from several. ``returning`` of ``amount`` are
    under way to ``return_to``; ``problem`` says why the last return was refused.
    """

    asset_id: str
    sender: str
    payments: int
    amount: str
    returning: str
    return_to: str
    first_at_us: int
    last_at_us: int
    problem: str
