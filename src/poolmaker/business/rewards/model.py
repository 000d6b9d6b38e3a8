"""Values of rewards: what arrived, for which days, and who gets what of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSeen:
    """One payment of a campaign to us, attributed to its days. Times are microseconds.

    ``key`` is its identity out there: chain, escrow, payout and recipient. ``location`` is the
    custody account where it stands, ``units`` atomic units of ``asset``. Only an ``is_final`` one
    is ever booked; one that is not may vanish.
    """

    key: str
    campaign: str
    location: str
    asset: str
    units: int
    from_us: int
    to_us: int
    transaction_id: str
    is_final: bool
