"""Values of campaigns: what is offered, for how long, and whether we take part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CampaignStatus(StrEnum):
    """What whoever runs a campaign says of it."""

    ACTIVE = "active"
    """Its days run or will run."""
    ENDING = "ending"
    """Cancellation was asked for: its running day is the last."""
    ENDED = "ended"
    """Completed or cancelled; what was earned may still be paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSeen:
    """A campaign as it is offered outside. Times are microseconds, ``fund_units`` of ``form``.

    ``id`` is a slug and its identity for ever, such as ``hufi-1338-0xab…``. ``market`` is a symbol
    such as BTC/USDT, or a code for campaigns that count balances.
    """

    id: str
    source: str
    kind: str
    venue: str
    market: str
    start_us: int
    end_us: int
    day_us: int
    form: str
    fund_units: int
    target: str
    status: CampaignStatus
